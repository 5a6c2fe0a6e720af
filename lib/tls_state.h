/* SPDX-License-Identifier: ISC */
/* What lib/tls*.c share; for nobody else. */
#pragma once

#include <openssl/ssl.h>

#include "lib/tls.h"

struct tls {
	SSL *ssl;
	bool server;
	bool done;     /* the handshake */
	bool closed;   /* we said that we end */
	bool verified; /* a client: chain and name were checked */
	/* the bytes being taken, and where answers go: only inside a call */
	const unsigned char *data;
	size_t len;
	struct evbuffer *wire;
	char error[TLS_ERROR_SIZE];
	struct tls_client *client;
	char key[TLS_NAME_SIZE + 16]; /* a client's: what its sessions are remembered by */
};

/* A connection of that context with nothing set; NULL when out of memory. */
struct tls *tls_new(SSL_CTX *ctx, bool server);

/* What both kinds of context have in common: versions, suites, groups, modes. False: can't be. */
bool tls_common(SSL_CTX *ctx);

/*
 * Keys of tickets: tickets is made from a secret of 32 bytes (NULL: out of memory), used by any
 * number of contexts, and freed after the last of them.
 */
struct tickets;
struct tickets *tls_tickets_new(const unsigned char *secret);
void tls_tickets_free(struct tickets *tickets);
void tls_tickets_use(SSL_CTX *ctx, struct tickets *tickets);
/* The clock of their rotation, ms since 1970; a test turns it. */
extern int64_t (*tls_tickets_clock)(void);

/*
 * Sessions with servers, TLS_SESSIONS_MAX at most, the one that was not used for longest goes
 * first. put takes the session over; get lends it (NULL: there is none that is still good).
 */
struct sessions;
struct sessions *tls_sessions_new(void);
void tls_sessions_free(struct sessions *s);
void tls_sessions_put(struct sessions *s, const char *key, SSL_SESSION *session);
SSL_SESSION *tls_sessions_get(struct sessions *s, const char *key);
void tls_sessions_drop(struct sessions *s, const char *key);

/* A client's handshake failed: what it may have resumed is not used again. */
void tls_client_failed(struct tls *tls);

/* The struct of an SSL, in OpenSSL's callbacks. */
struct tls *tls_of(const SSL *ssl);
