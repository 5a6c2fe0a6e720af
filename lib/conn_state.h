/* SPDX-License-Identifier: ISC */
/*
 * What lib/conn.c (a connection's life), lib/conn_io.c (its bytes) and lib/conn_tls.c (TLS between
 * these and the socket) share; for nobody else.
 */
#pragma once

#include <event2/event.h>

#include "lib/conn.h"
#include "lib/loop.h"

enum conn_state {
	CONN_CONNECTING, /* connect() is under way */
	CONN_SECURING,   /* a TLS handshake; output waits */
	CONN_OPEN,
	CONN_BROKEN, /* an error was reported; only conn_read_rest() and conn_free() make sense */
	CONN_FINISHING, /* conn_finish(): output leaves, nobody listens */
	CONN_LINGERING, /* all sent and our side shut; input is dropped until the peer closes */
	CONN_DEAD       /* closed; freed at the end of the turn */
};

struct conn {
	enum conn_state state;
	int fd;
	int error;
	bool paused, reading, held_back, eof;
	bool bulk; /* the last read brought much: read into place */
	unsigned linger_ms;
	int64_t deadline; /* clock_ms(), 0: none */
	int64_t timer_at; /* when the timer fires, 0: not set */
	conn_callback *callback;
	const struct conn_place *place; /* NULL: none */
	void *arg;
	struct evbuffer *in, *out;
	struct tls *tls;       /* NULL: none */
	struct evbuffer *wire; /* with tls: what goes to the socket as it is */
	struct event *read_event, *write_event, *timer;
	struct loop_task task;
};

/* conn.c: the one place where the state changes. */
void conn_enter(struct conn *conn, enum conn_state next);
/* The connection is broken: one report, no more events. The owner may free it in that. */
void conn_fail(struct conn *conn, int error);
/* Reports an event, unless nobody listens any more. */
void conn_tell(struct conn *conn, enum conn_event event);

/* conn_io.c: the read event, armed where input is wanted. */
void conn_start_reading(struct conn *conn);
void conn_stop_reading(struct conn *conn);
void conn_on_readable(evutil_socket_t fd, short what, void *arg);
/* How much one read may bring. */
size_t conn_read_max(void);
/* One recv(): bytes, 0 at the end, -errno. */
ssize_t conn_receive(const struct conn *conn, void *buf, size_t size);
/* The peer's side is at its end. */
void conn_ended(struct conn *conn);
/* Nobody wants what comes. */
bool conn_drops(const struct conn *conn);

/* conn_tls.c: the socket has input. */
void conn_tls_readable(struct conn *conn);
/* conn_read_rest() of a connection with TLS. */
int conn_tls_rest(struct conn *conn);
/* Seals what is in `out` as far as there is room; says good-bye where all was said. 0 or -E... */
int conn_tls_seal(struct conn *conn);

/* Writes what is queued where nothing of the owner's is on the stack; ends what is finishing. */
void conn_flush_or_fail(struct conn *conn);
