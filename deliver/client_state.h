/* SPDX-License-Identifier: ISC */
/*
 * What client.c (a client's life and its transactions), client_open.c (from the connection to the
 * session: greeting, EHLO, STARTTLS), client_auth.c (AUTH) and client_try.c share; for nobody else.
 */
#pragma once

#include "deliver/client.h"
#include "deliver/pipeline.h"
#include "lib/conn.h"
#include "lib/loop.h"

#define CLIENT_SHAKE_MS 60000 /* for a TLS handshake */

enum client_state {
	CLIENT_CONNECTING,
	CLIENT_GREETING, /* connected, waits for 220 */
	CLIENT_EHLO,
	CLIENT_HELO,     /* the peer doesn't know EHLO (RFC 5321 §3.2) */
	CLIENT_STARTTLS, /* waits for the answer to that */
	CLIENT_SECURING, /* the handshake */
	CLIENT_AUTH,     /* waits for the answer to AUTH, or to our part of its exchange */
	CLIENT_TRYING,   /* waits for the answer to a MAIL, RCPT or RSET without a message */
	CLIENT_READY,
	CLIENT_ENDED /* jobs are back; the owner hears of it at the end of the turn */
};

struct client {
	enum client_state state;
	bool closing; /* QUIT as soon as nothing is on the wire */
	bool secured; /* TLS stands */
	bool tried;   /* try_from and try_to were */
	unsigned trying;
	struct client_setup setup;
	const struct client_ops *ops;
	void *arg;
	const char *mechanism; /* of AUTH, the one being used */
	struct sasl *sasl;     /* its exchange, NULL: none */
	unsigned challenges;   /* in it */
	struct conn *conn;
	struct reply reply;
	struct pipeline pipeline;
	struct loop_task task;
	struct event *again; /* the next round of a big body; made when first needed */
	bool timed_out;
	enum ahead_verdict ahead; /* as it ended */
	enum open_verdict why;
	struct words words;
};

/* client.c: the one place where the state changes. */
void client_enter(struct client *c, enum client_state next);
/* It is over: jobs are decided now, the owner hears of it at the end of the turn. */
void client_end(struct client *c, enum open_verdict why, const struct words *words);
/* The same in our own words. */
void client_end_ours(struct client *c, enum open_verdict why, const char *status, const char *text);

/* client_open.c: a reply in one of the states before READY. */
void client_opening(struct client *c, const struct words *words);
/* The handshake begins; behind: bytes of plaintext that the peer sent too early. */
void client_secure(struct client *c, size_t behind);
/* It is done. */
void client_secured(struct client *c);
/* The session stands. */
void client_ready(struct client *c);

/* client_auth.c: log in; client_ready() or client_end() follows. */
void client_auth(struct client *c);
void client_auth_reply(struct client *c, const struct words *words);
void client_auth_forget(struct client *c);

/* client.c: tells who watches. */
void client_step(struct client *c, enum client_step step, const struct words *words);

/* client_try.c: MAIL and RCPT without a message; client_ready() or client_end() follows. */
void client_try(struct client *c);
void client_try_reply(struct client *c, const struct words *words);
