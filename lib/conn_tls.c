/* SPDX-License-Identifier: ISC */
/*
 * TLS between a connection's buffers and its socket. `wire` holds what goes to the socket as it is:
 * plaintext from before the handshake, the handshake, records. A step of a handshake may cost a
 * millisecond of arithmetic, so only some are made in a turn; the others' sockets stay readable and
 * are looked at again in the next one, behind those who only want to be served.
 */
#include <errno.h>
#include <string.h>

#include "lib/conn_state.h"
#include "lib/tls.h"

static unsigned shakes; /* steps of handshakes in this turn */

/* on_turn_end - the next turn has its own */
static void on_turn_end(struct loop_task *task)
{
	(void)task;
	shakes = 0;
}

/* may_shake - whether this turn has time for one more step */
static bool may_shake(void)
{
	static struct loop_task task = {.run = on_turn_end};
	loop_defer(&task);
	return shakes++ < CONN_SHAKES_TURN;
}

/* conn_start_tls - what was said before leaves before, what came before is forgotten */
int conn_start_tls(struct conn *conn, struct tls *tls)
{
	conn->wire = tls ? evbuffer_new() : NULL;
	if (!conn->wire) {
		tls_free(tls);
		return -ENOMEM;
	}
	evbuffer_drain(conn->in, evbuffer_get_length(conn->in));
	evbuffer_add_buffer(conn->wire, conn->out);
	conn->tls = tls;
	conn_enter(conn, CONN_SECURING);
	unsigned steps = tls_take(tls, NULL, 0, NULL, conn->wire);
	if (steps & TLS_BROKEN)
		conn->error = EPROTO;
	loop_defer(&conn->task);
	return 0;
}

/* conn_tls - the secured one */
const struct tls *conn_tls(const struct conn *conn)
{
	return conn->state == CONN_SECURING ? NULL : conn->tls;
}

/* conn_error_text - TLS knows better than errno */
const char *conn_error_text(const struct conn *conn)
{
	if (conn->error == EPROTO && conn->tls && *tls_error(conn->tls))
		return tls_error(conn->tls);
	return strerror(conn->error);
}

/* break_off - the alert says why, if it can still be said */
static void break_off(struct conn *conn)
{
	size_t n = evbuffer_get_length(conn->wire);
	const void *alert = n ? evbuffer_pullup(conn->wire, -1) : NULL;
	if (alert && !conn->held_back && send(conn->fd, alert, n, MSG_NOSIGNAL | MSG_DONTWAIT) > 0)
		evbuffer_drain(conn->wire, n);
	conn_fail(conn, EPROTO);
}

/* secured - the owner may do anything in that, ending the connection included */
static void secured(struct conn *conn)
{
	conn_enter(conn, CONN_OPEN);
	loop_defer(&conn->task); /* what was written meanwhile */
	conn_tell(conn, CONN_SECURED);
}

/* conn_tls_readable - one read, all it means */
void conn_tls_readable(struct conn *conn)
{
	static char buf[CONN_READ_MAX];
	if (conn->state == CONN_SECURING && !may_shake())
		return;
	ssize_t n = conn_receive(conn, buf, conn_read_max());
	if (n == -EAGAIN)
		return;
	if (n <= 0) {
		if (n < 0)
			conn_fail(conn, (int)-n);
		else
			conn_ended(conn);
		return;
	}
	if (conn_drops(conn))
		return;
	size_t before = evbuffer_get_length(conn->in);
	unsigned steps = tls_take(conn->tls, buf, (size_t)n, conn->in, conn->wire);
	if (evbuffer_get_length(conn->wire))
		loop_defer(&conn->task);
	if (steps & TLS_SECURED)
		secured(conn);
	if (evbuffer_get_length(conn->in) > before && conn->state == CONN_OPEN)
		conn_tell(conn, CONN_INPUT);
	if (conn->state == CONN_DEAD)
		return;
	if (steps & TLS_BROKEN)
		break_off(conn);
	else if (steps & TLS_ENDED)
		conn_ended(conn);
}

/* conn_tls_rest - content that the kernel still holds; a broken record ends it */
int conn_tls_rest(struct conn *conn)
{
	static char buf[CONN_READ_MAX];
	size_t before = evbuffer_get_length(conn->in), all = 0;
	while (all < CONN_REST_MAX) {
		ssize_t n = conn_receive(conn, buf, sizeof(buf));
		if (n < 0 && n != -EAGAIN && !all)
			return (int)n;
		if (n <= 0 || tls_take(conn->tls, buf, (size_t)n, conn->in, conn->wire))
			break;
		all += (size_t)n;
	}
	return (int)(evbuffer_get_length(conn->in) - before);
}

/* conn_tls_seal - records, and the good-bye behind the last one */
int conn_tls_seal(struct conn *conn)
{
	if (conn->state == CONN_SECURING)
		return 0;
	int rc = tls_seal(conn->tls, conn->out, conn->wire, CONN_SEALED_MAX);
	if (rc == 0 && conn->state == CONN_FINISHING && !evbuffer_get_length(conn->out))
		tls_close(conn->tls, conn->wire);
	return rc;
}
