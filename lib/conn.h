/* SPDX-License-Identifier: ISC */
/*
 * A stream connection on the loop: smtpd's clients and deliver's next hops. It owns the socket,
 * an input and an output evbuffer and one deadline. Not a bufferevent: reads are up to 64 KiB,
 * everything written in a turn leaves in one writev at its end, and EV_WRITE is asked for only
 * after EAGAIN (DESIGN §7). TLS lies between the buffers and the socket: who uses a connection
 * starts it and sees no difference afterwards.
 *
 * One callback says what happened; a handler may call any function of this module, conn_free()
 * included: the struct lives until the end of the turn.
 */
#pragma once

#include <event2/buffer.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

#define CONN_READ_MAX    (64u << 10)
#define CONN_READ_THRIFT (4u << 10)   /* under conn_thrift() */
#define CONN_REST_MAX    (256u << 10) /* bytes conn_read_rest() takes in */
#define CONN_FINISH_MS   30000        /* for output that is left when conn_finish() is called */
#define CONN_SHAKES_TURN 8 /* steps of TLS handshakes, some of which take 1 ms, in one turn */
#define CONN_SEALED_MAX  (256u << 10) /* encrypted bytes that wait for the kernel */

enum conn_event {
	CONN_CONNECTED, /* a connect() finished well */
	CONN_SECURED,   /* the handshake that conn_start_tls() began is done */
	CONN_INPUT,     /* more bytes in conn_input(); the handler drains what it can use */
	CONN_DRAINED,   /* output that was held back by the peer is all with the kernel */
	CONN_EOF,       /* the peer ended its side; everything it sent was handed over before */
	CONN_ERROR,     /* connect, read, write or TLS failed; conn_error() says how (errno) */
	CONN_TIMEOUT    /* the deadline passed */
};

struct conn;
struct tls;
typedef void conn_callback(struct conn *conn, enum conn_event event, void *arg);

/* Takes over a connected, non-blocking socket. NULL when out of memory (fd closed). */
struct conn *conn_new(int fd, conn_callback *callback, void *arg);

/*
 * Begins to connect; CONN_CONNECTED or CONN_ERROR follows. source may be NULL. Returns NULL with
 * errno set when not even the socket could be made (EMFILE, ENOMEM).
 */
struct conn *conn_connect(const struct sockaddr *to, socklen_t len, const struct sockaddr *source,
    socklen_t source_len, conn_callback *callback, void *arg);

/*
 * From here on everything is encrypted; CONN_SECURED follows, or CONN_EOF, CONN_ERROR (EPROTO), or
 * CONN_TIMEOUT by the deadline that holds already. What is in conn_output() leaves before, as it
 * is; what is in conn_input() came before and is dropped (RFC 3207 §6). What is written from now on
 * waits for the handshake. tls: from lib/tls.h, the connection's from now on, also on failure.
 * Returns 0 or -ENOMEM.
 */
int conn_start_tls(struct conn *conn, struct tls *tls);

/* What it was given, once CONN_SECURED was told; else NULL. */
const struct tls *conn_tls(const struct conn *conn);

/* Closes at once and frees at the end of the turn; unsent output is lost. NULL is allowed. */
void conn_free(struct conn *conn);

/*
 * Sends what is queued (for CONN_FINISH_MS at most), then closes; the callback hears no more.
 * linger_ms: how long what the peer still sends is read and dropped after our last byte, so that
 * a reset doesn't take our last reply from it; 0, the cheapest, for a peer that sends no more.
 */
void conn_finish(struct conn *conn, unsigned linger_ms);

/* What was read and not yet drained. */
struct evbuffer *conn_input(struct conn *conn);
/*
 * Memory of the owner's that the kernel puts what comes into, so that who keeps it copies nothing.
 * Asked before each read of a connection without TLS whose input buffer is empty.
 */
struct conn_place {
	/* Its size, and where it is; 0: into the input buffer, as ever. */
	size_t (*place)(void *arg, char **at);
	/*
	 * So much came there. What isn't kept goes into conn_input(); CONN_INPUT follows. -E...
	 * ends the connection as an error of reading does, else 0.
	 */
	int (*placed)(void *arg, const char *at, size_t n);
};
void conn_set_place(struct conn *conn, const struct conn_place *place);
/* Append here; it leaves at the end of the turn. */
struct evbuffer *conn_output(struct conn *conn);
/* Call after appending to conn_output(). */
void conn_written(struct conn *conn);
/* conn_output() and conn_written() in one. Returns 0 or -ENOMEM. */
int conn_write(struct conn *conn, const void *data, size_t len);
/* Writes what is queued now instead of at the turn's end. */
void conn_flush(struct conn *conn);

/*
 * Reads no more until conn_resume(): back-pressure. What is in the input buffer stays, and
 * resuming doesn't report it again. Costs no system call unless the peer sends meanwhile.
 */
void conn_pause(struct conn *conn);
void conn_resume(struct conn *conn);

/*
 * While memory is short: all connections of this process read at most CONN_READ_THRIFT bytes at a
 * time, instead of CONN_READ_MAX.
 */
void conn_thrift(bool on);

/* The one deadline: ms from now, 0 for none. Doesn't move by itself. Setting it is cheap. */
void conn_deadline(struct conn *conn, unsigned ms);

/* Sockets that connections of this process hold, those included that conn_finish() is ending. */
unsigned conn_open_sockets(void);

/* errno of the last CONN_ERROR, and the same in words (of TLS too); valid as long as conn. */
int conn_error(const struct conn *conn);
const char *conn_error_text(const struct conn *conn);
int conn_fd(const struct conn *conn);
/* Bytes accepted for sending that the kernel hasn't taken yet. */
size_t conn_unsent(const struct conn *conn);
/*
 * After a write error or reset: reads what the kernel still holds (a final reply may be there
 * although our write failed) into conn_input(). Returns bytes read, 0 at the end, or -E....
 */
int conn_read_rest(struct conn *conn);
