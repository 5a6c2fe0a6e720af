/* SPDX-License-Identifier: ISC */
/*
 * An SMTP session as data (RFC 5321): bytes in, replies and messages out, no socket. smtpd/client.c
 * feeds it from a connection, unit tests from memory.
 *
 * The state says what is legal (smtpd/commands.c has the table of verbs), `wait` whether something
 * else must happen before the next byte is looked at: an answer of keeper or dnscache, room for
 * the body, the sync, a TLS handshake, a pause (which its client ends). Only session_enter()
 * changes the state. Handlers of commands return a verdict; the session writes the reply, counts
 * errors and logs refusals.
 *
 * A transaction (struct tx) exists exactly in the states SMTP_MAIL to SMTP_CHUNKED and goes as one.
 */
#pragma once

#include <event2/buffer.h>
#include <stdbool.h>
#include <stdint.h>

#include "lib/addr.h"
#include "lib/conf.h"
#include "lib/dot.h"
#include "lib/dot_form.h"
#include "lib/envelope.h"
#include "lib/line.h"
#include "lib/msg.h"
#include "smtpd/auth.h"
#include "smtpd/fold.h"
#include "smtpd/parcel.h"
#include "smtpd/policy.h"
#include "smtpd/question.h"
#include "smtpd/recipient.h"
#include "smtpd/verdict.h"

#define SESSION_HELO_MAX  255          /* octets of a domain, RFC 5321 §4.5.3.1.2 */
#define DSN_ENVID_MAX     100          /* characters of ENVID's value, RFC 3461 §4.4 */
#define DSN_ORCPT_MAX     500          /* of ORCPT's, RFC 3461 §4.2 */
#define SESSION_BODY_TURN (128u << 10) /* body bytes one session handles in a turn */

enum smtp_state {
	SMTP_GREET,   /* greeted, no EHLO yet */
	SMTP_READY,   /* no transaction */
	SMTP_MAIL,    /* a sender, no recipient */
	SMTP_RCPT,    /* at least one recipient */
	SMTP_DATA,    /* the body comes, or waits to be safe */
	SMTP_BDAT,    /* a chunk of it comes, or the whole waits to be safe */
	SMTP_CHUNKED, /* between chunks: nothing but BDAT gets on with it */
	SMTP_DROP,    /* a chunk that was refused comes and is thrown away */
	SMTP_CLOSING, /* the last reply was written */
	SMTP_AUTH,    /* a login is under way: the client's lines are no commands */
	SMTP_STATES
};

/* what must happen before the session goes on */
enum session_wait {
	WAIT_NONE,
	WAIT_RECIPIENT,
	WAIT_ROOM,
	WAIT_SYNC,
	WAIT_TLS,
	WAIT_FACTS,
	WAIT_PAUSE,
	WAIT_KEEPER
};

/* What one transaction has gathered. */
struct tx {
	char sender[ADDR_SIZE]; /* without <>; "" is the null sender */
	uint32_t flags;         /* enum envelope_flag */
	bool utf8_address;      /* one has a local part that is not ASCII; */
	bool utf8_header;       /* so is the header */
	uint64_t declared;      /* SIZE, 0: not said */
	uint8_t ret;            /* enum envelope_ret, 0: not said */
	char envid[DSN_ENVID_MAX + 1];
	unsigned nrcpts;
	size_t rcpts_len, rcpts_size;
	char *rcpts; /* each: NOTIFY, two lengths of two bytes, the address, ORCPT */
	struct parcel *parcel;
	struct dot dot;          /* over what the client sends */
	bool lf_only, lf_start;  /* such a listener: no CR came yet; the next byte begins a line */
	struct dot_form form;    /* on a listener that mends line ends, */
	struct dot_plain unform; /* and to count what became of it: */
	uint64_t plain_len;
	bool last;              /* the chunk is the last one */
	struct verdict refused; /* code 0: the body is still wanted */
	bool submitted;         /* policy_submits(): header and long lines are mended */
	struct fold fold;       /* then: over the body as it is stored; */
	int64_t mended;         /* bytes that its header has grown by */
	uint64_t began_ms;      /* loop_ms() at MAIL */
	int64_t whole_us;       /* events_time() when its body was */
	bool noted;             /* it has header fields that classes look at */
	char class[64];         /* of its recipients, for the log; "": nothing but normal */
	char message_id[128];
};

struct session;
/* The session can go on: call session_feed(). Not called from inside session_feed(). */
typedef void session_ready(struct session *s, void *arg);
/* What a command does once keeper has agreed to it. */
typedef struct verdict session_then(struct session *s);

struct session {
	enum smtp_state state;
	enum session_wait wait;
	const struct conf *conf;
	struct peer peer;
	struct evbuffer *out;
	session_ready *ready; /* NULL: the client is gone, the session ends with its sync */
	void *arg;
	struct line line;
	struct tx *tx;
	uint32_t epoch; /* intake's: when it was last in a transaction */
	struct recipient_ask ask;
	struct stranger *stranger;  /* what is known of it; NULL: nothing needs to be */
	const char *check;          /* the policy that objected, for the log */
	unsigned pause_ms;          /* WAIT_PAUSE: how long */
	struct question question;   /* to keeper, for AUTH, MAIL or RCPT */
	session_then *then;         /* after the latter two */
	struct auth_exchange *auth; /* in SMTP_AUTH only */
	unsigned errors;
	unsigned number;     /* of this process's sessions */
	bool tried_auth;     /* AUTH was said, whatever came of it */
	uint64_t chunk;      /* bytes of it that are still to come, in SMTP_BDAT and SMTP_DROP */
	struct verdict drop; /* the reply behind it, in SMTP_DROP */
	bool esmtp;          /* EHLO, not HELO */
	bool quit;           /* the client said QUIT: it sends no more */
	char helo[SESSION_HELO_MAX + 1];
	struct { /* what the check of a command leaves to its run */
		char address[ADDR_SIZE];
		char local[ADDR_SIZE]; /* without quotes */
		const char *domain;    /* in address; NULL: none */
		uint64_t size;
		uint32_t flags;
		bool last;             /* BDAT */
		bool utf8, utf8_local; /* smtpd/address.h */
		unsigned recipients;   /* that keeper is asked for */
		enum auth_mechanism mechanism;
		const char *initial; /* AUTH's, in the line; NULL: none */
		size_t initial_len;
		struct { /* smtpd/dsn.h */
			uint8_t given, ret, notify;
			char envid[DSN_ENVID_MAX + 1];
			char orcpt[DSN_ORCPT_MAX + 1];
		} dsn;
	} cmd;
	const char *verb;           /* that is being answered, for the log */
	char text[ADDR_SIZE + 128]; /* for a verdict's text */
};

/*
 * Makes one. conf must live as long; out takes the replies; ready is called when a wait is over.
 * NULL when out of memory.
 */
struct session *session_new(const struct peer *peer, const struct conf *conf, struct evbuffer *out,
    session_ready *ready, void *arg);

/* Writes the greeting. */
void session_greet(struct session *s);

/* It spoke while the greeting was held back: tells it off and ends. */
void session_early(struct session *s);

/* Nothing is looked at until session_go_on(): its client, who has the clock, calls that. */
void session_pause(struct session *s, unsigned ms);
void session_go_on(struct session *s);

/*
 * Handles what lies in `in`: at most *budget commands (reduced by what it used), body bytes up to
 * SESSION_BODY_TURN. Returns true when it stopped for the budget only and wants to be called again.
 */
bool session_feed(struct session *s, struct evbuffer *in, unsigned *budget);

/*
 * While a large body comes: where its next bytes may be put, and how many, instead of into `in`,
 * which must be empty; 0: nowhere now. What came there: the body's bytes are kept, the others go
 * into `rest`. Returns how many were body, or -ENOMEM.
 */
size_t session_place(struct session *s, char **at);
ssize_t session_placed(struct session *s, const char *at, size_t n, struct evbuffer *rest);

/*
 * The handshake that the session waited for (WAIT_TLS) is done, and peer is what is known of the
 * client now: all that it said before is forgotten (RFC 3207 §4.2). The session can go on; where
 * the handshake came first session_greet() is still to be called.
 */
void session_secured(struct session *s, const struct peer *peer);

/*
 * The client is gone, or is to go: frees the session, now or when its sync is done. `out` and
 * `arg` are not touched any more.
 */
void session_end(struct session *s);

/* Says 421 and ends: a timeout, a limit, a shutdown. */
void session_goodbye(struct session *s, const char *status, const char *text);

/* Sessions that exist, those included whose client is gone and whose message isn't safe yet. */
unsigned session_count(void);

/* No transaction under way: may be ended with 421 at any time. */
bool session_idle(const struct session *s);

/* What comes are no commands but bytes of a message. */
bool session_in_body(const struct session *s);

/* -- for the command files ------------------------------------------------------------------ */

/* The one place where the state changes; frees the transaction where none belongs. */
void session_enter(struct session *s, enum smtp_state next);

/* A wait ends: with what the command has to say about it. The session may be freed after this. */
void session_resume(struct session *s, struct verdict verdict);

/* Walks the recipients of a transaction: *pos starts at 0, and is rcpts_len behind the last. */
struct envelope_rcpt tx_next_rcpt(const struct tx *tx, size_t *pos);

/* Writes a reply; status NULL leaves the enhanced status code out (RFC 2034 §4). */
void session_reply(struct session *s, unsigned code, const char *status, const char *text);
