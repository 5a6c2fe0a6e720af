/* SPDX-License-Identifier: ISC */
/*
 * Transactions in flight on one connection: which command goes out next, and whose reply is the
 * next one. It knows no socket and no timer: commands are appended to an evbuffer, replies come in
 * as words, jobs come from and go back to the owner through two callbacks. client.c feeds it.
 *
 * Three ways of sending (RFC 2920), by what the peer offers and the site allows:
 *
 *   STEP      one command, then its reply
 *   ENVELOPE  MAIL, all RCPT and DATA together; the body after 354
 *   FULL      and right behind the final dot RSET, MAIL, RCPT and DATA of the next job, once the
 *             connection has carried one message well: one round trip a message. With CHUNKING
 *             small messages go by BDAT; once one has gone well, with its content sent when its
 *             recipients were answered, whole transactions follow each other, a window of them
 *
 * Over LMTP the end of data is answered once for each recipient that was accepted, in their order
 * (RFC 2033 §4.2): each of these replies decides one recipient, the last one ends the transaction.
 *
 * Replies are matched strictly in order. A recipient counts as sent only if the RSET (where there
 * is one), MAIL, this recipient's RCPT, DATA (354) and the end of its data were answered so. A job
 * of which the peer has answered nothing, on a connection that has ended others before, is given
 * back as not tried; the one on the wire otherwise as deferred; those behind it as not tried.
 *
 * 503 where all that came before was accepted is no word about the message: the peer has lost track
 * of what it is told ahead of its replies. Step by step it is taken as said.
 */
#pragma once

#include <event2/buffer.h>
#include <stdbool.h>

#include "deliver/body.h"
#include "deliver/downgrade.h"
#include "deliver/ehlo.h"
#include "deliver/jobs.h"

#define PIPELINE_WINDOW     2 /* transactions begun at once: one on its way, one ahead */
#define PIPELINE_WINDOW_MAX 8 /* what it grows to with those that went ahead and well */

enum pipeline_mode { PIPELINE_STEP, PIPELINE_ENVELOPE, PIPELINE_FULL };

struct pipeline_ops {
	/* The next job, owned by the pipeline from now on; NULL when there is none. */
	struct job *(*next)(void *arg);
	/* All its recipients are decided; the owner has it back. */
	void (*done)(void *arg, struct job *job);
	/*
	 * For who wants to watch (NULL: nobody): commands lie in out behind `before` bytes; or,
	 * body not 0, a message of so many bytes goes.
	 */
	void (*said)(void *arg, struct evbuffer *out, size_t before, uint64_t body);
};

/* One transaction: positions count its commands, RSET (0), MAIL, each RCPT, DATA, body, end; with
 * BDAT there is no DATA. */
struct tx {
	struct job *job;
	uint32_t first; /* position of its first command: 0 with RSET, else 1 */
	uint32_t sent;  /* next to send */
	uint32_t heard; /* next to be answered */
	uint32_t accepted;
	bool mail_ok, data_ok;
	bool body_begun;
	bool taken; /* the end of data was answered with 2xx, over LMTP for some recipient */
	bool ahead; /* another one was in flight when it began */
	bool bdat;
	struct evbuffer *chunk; /* BDAT and content, until they are sent */
	struct body body;
	struct downgrade *down; /* it goes in seven bits; NULL: as it is */
};

struct pipeline {
	const struct pipeline_ops *ops;
	void *arg;
	enum pipeline_mode mode;
	struct ehlo peer;
	uint32_t max;      /* transactions this connection may carry */
	uint32_t begun;    /* transactions begun */
	uint32_t answered; /* of them, ended by the peer's replies */
	uint32_t carried;  /* of them, ended by a final 2xx */
	bool lmtp;         /* the end of data has a reply for each accepted recipient */
	bool try_ipv4;     /* it may be another matter over IPv4: verdict_no_ipv6() */
	uint32_t chunks;   /* of them, by BDAT */
	unsigned window;   /* how many may be in flight */
	bool fine;         /* one that was sent ahead went well */
	bool confused;     /* a reply was out of step while replies were outstanding */
	bool goodbye;      /* the peer said 421 */
	bool closing;      /* begins none any more */
	bool reset;        /* the peer may still hold a transaction: RSET comes first */
	struct job *held;  /* still being looked at, by `down`: deliver/fit.h */
	struct downgrade *down;
	unsigned count, head;
	struct tx tx[PIPELINE_WINDOW_MAX];
};

/* What came of a reply. */
enum pipeline_verdict {
	PIPELINE_GOES_ON,
	PIPELINE_ENDS,    /* the peer closes (421), or refused a RSET: use the connection no more */
	PIPELINE_REFUSED, /* the peer refuses us (530 to MAIL) */
	PIPELINE_NO_IPV6, /* it refuses what comes over IPv6: nothing was tried */
	PIPELINE_CONFUSED /* a reply that fits nothing: the connection is out of step */
};

void pipeline_init(struct pipeline *p, const struct pipeline_ops *ops, void *arg);

/*
 * Appends what may be sent now to out, of a body as much as keeps out at or under `room` bytes.
 * Returns 1 when more of a body waits for room, 0 when all is out; -EBADMSG, -EIO, ...: the body at
 * hand can't be read, its job is decided, the connection must be closed without another byte.
 */
int pipeline_send(struct pipeline *p, struct evbuffer *out, size_t room);

/* Takes one reply. */
enum pipeline_verdict pipeline_reply(struct pipeline *p, const struct words *words);

/* The connection is gone: every job in flight is decided and given back. */
void pipeline_lost(struct pipeline *p, const struct words *why);

/*
 * How long to wait for what is awaited now, 0: nothing is. ms: for an ordinary reply; with the five
 * minutes of RFC 5321 §4.5.3.2 that makes two for the answer to DATA, three for a block of the
 * content to go out, ten for the answer to its end.
 */
uint32_t pipeline_patience(const struct pipeline *p, uint32_t ms);
/* Whether it may take no further job. */
bool pipeline_full(const struct pipeline *p);

/* How many jobs it has use for: those in flight and one more; 0: it makes no difference. */
unsigned pipeline_wants(const struct pipeline *p);

/* What is going on, for texts: "MAIL", "end of data"; never NULL. */
const char *pipeline_action(const struct pipeline *p);
