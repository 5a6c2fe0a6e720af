/* SPDX-License-Identifier: ISC */
/*
 * TLS for lib/conn: contexts, and one struct tls a connection, which lib/conn.h owns once it was
 * given to conn_start_tls(). Nothing here knows a socket: bytes from the peer go in, bytes for the
 * peer are appended to an evbuffer. TLS 1.2 and 1.3, forward secrecy and AEAD only, no
 * renegotiation, no compression, no early data; a client that doesn't verify takes what it gets,
 * for the other choice is no encryption at all.
 *
 * lib/tls.c is the connection, tls_server.c and tls_client.c the contexts, tls_ticket.c the keys of
 * tickets, tls_pem.c and tls_check.c certificates as files. All of it works in an empty chroot once
 * tls_init() was called before.
 */
#pragma once

#include <event2/buffer.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define TLS_NAME_SIZE      256
#define TLS_RECORD         16384 /* content bytes of one record, RFC 8446 §5.1 */
#define TLS_TEXT_SIZE      96    /* of tls_text() */
#define TLS_ERROR_SIZE     160
#define TLS_PRINT_SIZE     65  /* SHA-256 in hex with its NUL */
#define TLS_SECURITY_LEVEL 2   /* of our own certificates: no RSA below 2048 bits, no SHA-1 */
#define TLS_TICKET_HOURS   4   /* a ticket's life; its key is used for so long and kept as long */
#define TLS_SESSIONS_MAX   256 /* sessions that a client context remembers */

struct tls;

/* Reads OpenSSL's configuration: to be called before the chroot. Again is harmless. */
void tls_init(void);

/* -- servers: several certificates, the first is for clients that name none of ours (SNI) */

struct tls_server;

struct tls_pem_pair {
	const unsigned char *chain, *key; /* PEM, a NUL behind each */
	size_t chain_len, key_len;
};

struct tls_server_setup {
	const struct tls_pem_pair *pairs;
	size_t npairs;
	/*
	 * 32 bytes that all workers have in common: the keys of their tickets are derived from it
	 * and the time, so a session that one made is resumed by any other.
	 */
	const unsigned char *secret;
	bool ask_certificate; /* a client may show one; any will do, tls_fingerprint() tells it */
};

/* NULL and why in words. What setup points to isn't needed afterwards. */
struct tls_server *tls_server_new(const struct tls_server_setup *setup, char *why, size_t size);
/* Not before its last connection is gone. */
void tls_server_free(struct tls_server *server);

/* A connection of a client; NULL when out of memory. */
struct tls *tls_accept(struct tls_server *server);

/* -- clients */

struct tls_client;

struct tls_client_setup {
	/* CA certificates, read when the first connection wants to verify; NULL: none. */
	const unsigned char *ca;
	size_t ca_len;
	const struct tls_pem_pair *pair; /* for servers that ask; NULL: none */
};

/* NULL and why in words. */
struct tls_client *tls_client_new(const struct tls_client_setup *setup, char *why, size_t size);
/* Its connections go on without it. */
void tls_client_free(struct tls_client *client);

struct tls_connect {
	const char *name; /* the server's: asked for (SNI), verified; may be a numeric address */
	uint16_t port;    /* sessions are remembered by name and port */
	bool verify;      /* chain and name, or the handshake fails */
	bool show;        /* our certificate, if it asks */
};

/*
 * A connection to a server; resumes the last session with it where there is one that was verified
 * as this one wants it. NULL when out of memory.
 */
struct tls *tls_connect(struct tls_client *client, const struct tls_connect *to);

/* -- a connection, once the handshake is done */

/* Not after conn_start_tls(): then it is the connection's. NULL is allowed. */
void tls_free(struct tls *tls);

/* "TLSv1.3/TLS_AES_256_GCM_SHA384", for a client with "/verified" or "/unverified" behind, and
 * "/resumed" for either: for logs. */
void tls_text(const struct tls *tls, char out[TLS_TEXT_SIZE]);
/* "TLSv1.3", and the suite's IANA name (for Received, RFC 8314 §4.3). */
const char *tls_protocol(const struct tls *tls);
const char *tls_cipher(const struct tls *tls);
bool tls_resumed(const struct tls *tls);
/* SHA-256 of the peer's certificate in hex; false: it showed none. */
bool tls_fingerprint(const struct tls *tls, char out[TLS_PRINT_SIZE]);
/* What went wrong, in words; "" before. */
const char *tls_error(const struct tls *tls);

/* -- for lib/conn only */

/* What came of some bytes: none or several of these, in this order. */
enum tls_step {
	TLS_SECURED = 1, /* the handshake is done */
	TLS_ENDED = 2,   /* the peer said that it sends no more */
	TLS_BROKEN = 4   /* tls_error() says how; an alert may be in `wire` */
};

/*
 * Takes bytes that came, all of them (none: a client's first flight); what they hold is appended to
 * `in` (NULL: dropped), what is to be answered to `wire`.
 */
unsigned tls_take(
    struct tls *tls, const void *data, size_t len, struct evbuffer *in, struct evbuffer *wire);

/*
 * Moves content from `out` into records in `wire`, as few as possible, until wire holds `room`
 * bytes or more. 0, or -ENOMEM, -EPROTO.
 */
int tls_seal(struct tls *tls, struct evbuffer *out, struct evbuffer *wire, size_t room);

/* Says that we send no more (close_notify). Once; nothing may be sealed afterwards. */
void tls_close(struct tls *tls, struct evbuffer *wire);
