/* SPDX-License-Identifier: ISC */
/*
 * An SMTP client on one connection: connects, greets, carries jobs until there are no more, the
 * peer has enough or something breaks. hop.c and dial.c own clients for next hops, notice.c one for
 * each link to an smtpd. Everything is reported through struct client_ops; `ended` comes exactly
 * once, from the end of a turn with nothing of the client's on the stack, and is the place to call
 * client_free(). Until then every job given out by `next` has come back through `done`.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

#include "deliver/jobs.h"
#include "lib/conf.h"
#include "lib/tls.h"

struct client;

/* What went well on the way to a session, in this order as far as it came. */
enum client_step {
	STEP_CONNECTED,
	STEP_GREETED,
	STEP_EHLO, /* a second time after STARTTLS */
	STEP_STARTTLS,
	STEP_SECURED,
	STEP_AUTH,
	STEP_MAIL,
	STEP_RCPT
};

struct client_ops {
	/* For who wants to watch (NULL: nobody); words: the peer's, NULL where it said nothing. */
	void (*step)(void *arg, enum client_step step, const struct words *words);
	/* The session stands: greeting and EHLO went well. client_feed() is implied. */
	void (*ready)(void *arg);
	/* As struct pipeline_ops. */
	struct job *(*next)(void *arg);
	void (*done)(void *arg, struct job *job);
	/*
	 * It is over: why, and the peer's words or ours. Before `ready` this is the answer to the
	 * attempt; OPEN_IDLE only afterwards.
	 */
	void (*ended)(void *arg, enum open_verdict why, const struct words *words);
};

struct client_setup {
	const char *hello;             /* our name for EHLO; must outlive the client */
	uint32_t connect_ms, reply_ms; /* what this makes of each command: pipeline_patience() */
	uint32_t idle_ms;              /* without a job, then QUIT; 0: forever */
	uint32_t max_messages;         /* 0: no limit */
	enum conf_pipelining pipelining;
	bool try_ipv4; /* a refusal that is about IPv6 ends the client with OPEN_NO_IPV6 */
	bool lmtp;     /* LHLO, and the end of data answered by recipient (RFC 2033) */
	/*
	 * CONF_TLS_NONE (or UNSET): plaintext. OPPORTUNISTIC: STARTTLS where it is offered; a
	 * refusal of it is passed over, a handshake that fails ends the client with OPEN_TLS.
	 * REQUIRED, VERIFY: no session without.
	 */
	enum conf_tls tls;
	bool implicit_tls;         /* the handshake comes first */
	struct tls_connect secure; /* its name must outlive the client */
	/*
	 * The name of a login in `credentials`, NULL or "": none. With one there is no session
	 * before AUTH went well, and what stands in its way ends the client with OPEN_REFUSED
	 * or OPEN_TLS. It must outlive the client. Whether the connection is fit for a secret is
	 * the business of who sets `tls`.
	 */
	const char *credential;
	/*
	 * Before `ready` a MAIL and a RCPT of these are tried and reset; what refuses them ends the
	 * client. NULL: none, as for all but trial.c. They must outlive the client.
	 */
	const char *try_from, *try_to;
	uint64_t tag; /* for debug lines: the connection's number */
	/* For dialogues in the log: the site, and the host at hand; NULL: none. They must outlive
	 * it. */
	const char *site, *host;
};

/*
 * Begins to connect. Returns NULL with errno set when not even the socket could be made: our own
 * limit, not the host's fault. source may be NULL.
 */
struct client *client_connect(const struct client_setup *setup, const struct sockaddr *to,
    socklen_t to_len, const struct sockaddr *source, socklen_t source_len,
    const struct client_ops *ops, void *arg);

/* The same on a connected, non-blocking socket (taken over, also on failure). */
struct client *client_adopt(
    const struct client_setup *setup, int fd, const struct client_ops *ops, void *arg);

/* There are jobs, or room for them: looked after at the end of the turn. */
void client_feed(struct client *client);

/* Finishes what is on the wire, then QUIT; `ended` follows (OPEN_IDLE, unless something breaks). */
void client_close(struct client *client);

/* Closes at once. Jobs in flight come back through `done`; `ended` doesn't come. NULL allowed. */
void client_free(struct client *client);

/* What TLS there is, for results and logs; "" for plaintext. */
void client_tls(const struct client *client, char out[TLS_TEXT_SIZE]);

/* Jobs it has use for at a time, 0: no matter (RESULT); how it took what was sent ahead (CLOSED).
 */
unsigned client_wants(const struct client *client);
enum ahead_verdict client_ahead(const struct client *client);

/* How many transactions ended well on this connection. */
uint32_t client_carried(const struct client *client);
