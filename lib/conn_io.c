/* SPDX-License-Identifier: ISC */
/*
 * The read event stays armed for the whole life (no epoll_ctl per turn); a pause only disarms it
 * when the peer really sends meanwhile. Output leaves with one sendmsg() at the end of the turn;
 * the write event exists only while the peer holds output back.
 *
 * Reads go through one buffer of the process and are copied: evbuffer_read() would ask the kernel
 * with FIONREAD first and allocate for the largest case. A connection that brings much at a time is
 * read into place.
 */
#include <errno.h>
#include <sys/uio.h>

#include "lib/conn_state.h"
#include "lib/events.h"

#define CONN_IOV_MAX   64
#define CONN_BULK_READ (CONN_READ_MAX - 64) /* with libevent's header a power of two */

static size_t read_max = CONN_READ_MAX;

/* conn_thrift - less at a time, and nothing read into large buffers */
void conn_thrift(bool on)
{
	read_max = on ? CONN_READ_THRIFT : CONN_READ_MAX;
}

/* conn_read_max - how much one read may bring */
size_t conn_read_max(void)
{
	return read_max;
}

/* conn_stop_reading - the read event must not fire until there is a use for it */
void conn_stop_reading(struct conn *conn)
{
	if (conn->reading)
		event_del(conn->read_event);
	conn->reading = false;
}

/* conn_start_reading - arm the read event where input is wanted */
void conn_start_reading(struct conn *conn)
{
	if (conn->reading || conn->eof || conn->paused)
		return;
	if (event_add(conn->read_event, NULL) < 0)
		conn_fail(conn, ENOMEM);
	else
		conn->reading = true;
}

/* sent_all - nothing waits any more: report it, or go on with ending the connection */
static void sent_all(struct conn *conn)
{
	bool was_held = conn->held_back;
	if (was_held)
		event_del(conn->write_event);
	conn->held_back = false;
	if (conn->state == CONN_FINISHING) {
		if (!conn->linger_ms || conn->eof || shutdown(conn->fd, SHUT_WR) < 0) {
			conn_free(conn);
			return;
		}
		conn_deadline(conn, conn->linger_ms);
		conn_enter(conn, CONN_LINGERING);
	} else if (was_held && conn->state == CONN_OPEN) {
		conn_tell(conn, CONN_DRAINED);
	}
}

/* send_some - one system call's worth of output; returns bytes sent or -errno */
static ssize_t send_some(struct conn *conn, struct evbuffer *from)
{
	struct evbuffer_iovec vec[CONN_IOV_MAX];
	int n = evbuffer_peek(from, -1, NULL, vec, CONN_IOV_MAX);
	if (n > CONN_IOV_MAX)
		n = CONN_IOV_MAX;
	/* evbuffer_iovec is struct iovec where there is one, libevent's manual says. */
	struct msghdr msg = {.msg_iov = (struct iovec *)vec, .msg_iovlen = (size_t)n};
	ssize_t sent;
	do {
		sent = n == 1 ? send(conn->fd, vec[0].iov_base, vec[0].iov_len,
				    MSG_NOSIGNAL | MSG_DONTWAIT)
			      : sendmsg(conn->fd, &msg, MSG_NOSIGNAL | MSG_DONTWAIT);
	} while (sent < 0 && errno == EINTR);
	return sent < 0 ? -errno : sent;
}

/* flush - write until all is sent or the kernel takes no more; 0 or -E... for conn_fail() */
static int flush(struct conn *conn)
{
	struct evbuffer *from = conn->tls ? conn->wire : conn->out;
	for (;;) {
		int rc = conn->tls ? conn_tls_seal(conn) : 0;
		if (rc < 0)
			return rc;
		if (!evbuffer_get_length(from))
			break;
		ssize_t sent = send_some(conn, from);
		if (sent == -EAGAIN) {
			if (!conn->held_back && event_add(conn->write_event, NULL) < 0)
				return -ENOMEM;
			conn->held_back = true;
			return 0;
		}
		if (sent < 0)
			return (int)sent;
		evbuffer_drain(from, (size_t)sent);
	}
	sent_all(conn);
	return 0;
}

/* conn_flush_or_fail - flush where nothing of the owner's is on the stack */
void conn_flush_or_fail(struct conn *conn)
{
	int rc = conn->error ? -conn->error : flush(conn);
	if (rc < 0)
		conn_fail(conn, -rc);
}

/* conn_receive - one recv(); returns bytes, 0 at the end, -errno */
ssize_t conn_receive(const struct conn *conn, void *buf, size_t size)
{
	ssize_t n;
	do {
		n = recv(conn->fd, buf, size, MSG_DONTWAIT);
	} while (n < 0 && errno == EINTR);
	return n < 0 ? -errno : n;
}

/* read_bulk - straight into the input buffer's own memory */
static ssize_t read_bulk(struct conn *conn)
{
	struct evbuffer_iovec space;
	if (evbuffer_reserve_space(conn->in, CONN_BULK_READ, &space, 1) < 1)
		return -ENOMEM;
	ssize_t n = conn_receive(conn, space.iov_base, space.iov_len);
	space.iov_len = n > 0 ? (size_t)n : 0;
	if (evbuffer_commit_space(conn->in, &space, 1) < 0)
		return -ENOMEM;
	return n;
}

/* conn_drops - nobody wants what comes */
bool conn_drops(const struct conn *conn)
{
	return conn->state == CONN_LINGERING || conn->state == CONN_FINISHING;
}

/* read_placed - one read into the owner's memory; false: it has none now */
static bool read_placed(const struct conn *conn, ssize_t *n)
{
	char *at;
	if (!conn->place || read_max != CONN_READ_MAX || evbuffer_get_length(conn->in))
		return false;
	size_t room = conn->place->place(conn->arg, &at);
	if (!room)
		return false;
	*n = conn_receive(conn, at, room);
	int err = *n > 0 ? conn->place->placed(conn->arg, at, (size_t)*n) : 0;
	if (err)
		*n = err;
	return true;
}

/* read_some - one read into the input buffer (or nowhere); returns bytes, 0 at the end, -errno */
static ssize_t read_some(struct conn *conn)
{
	static char buf[CONN_READ_MAX];
	bool dropped = conn_drops(conn);
	ssize_t n;
	if (!dropped && read_placed(conn, &n))
		return n;
	bool bulk = conn->bulk && !dropped && read_max == sizeof(buf);
	n = bulk ? read_bulk(conn) : conn_receive(conn, buf, read_max);
	if (n > 0 && !dropped && !bulk && evbuffer_add(conn->in, buf, (size_t)n) < 0)
		return -ENOMEM;
	/* Who sent much will send more. */
	conn->bulk = n > (ssize_t)CONN_BULK_READ / 2;
	return n;
}

/* conn_ended - all that came was handed over before */
void conn_ended(struct conn *conn)
{
	conn->eof = true;
	conn_stop_reading(conn);
	if (conn->state == CONN_LINGERING)
		conn_free(conn);
	else
		conn_tell(conn, CONN_EOF);
}

/* conn_on_readable - the socket has input, or the peer is gone */
void conn_on_readable(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	struct conn *conn = arg;
	if (conn->paused) {
		conn_stop_reading(conn);
		return;
	}
	events_tick();
	if (conn->tls) {
		conn_tls_readable(conn);
		return;
	}
	ssize_t n = read_some(conn);
	if (n == -EAGAIN)
		return;
	if (n < 0) {
		conn_fail(conn, (int)-n);
		return;
	}
	if (n > 0) {
		conn_tell(conn, CONN_INPUT);
		return;
	}
	conn_ended(conn);
}

/* conn_input - what was read */
struct evbuffer *conn_input(struct conn *conn)
{
	return conn->in;
}

/* conn_set_place - for who keeps what comes */
void conn_set_place(struct conn *conn, const struct conn_place *place)
{
	conn->place = place;
}

/* conn_output - what will be written */
struct evbuffer *conn_output(struct conn *conn)
{
	return conn->out;
}

/* conn_written - ask for the write */
void conn_written(struct conn *conn)
{
	if (conn->state == CONN_OPEN)
		loop_defer(&conn->task);
}

/* conn_write - append and ask for the write */
int conn_write(struct conn *conn, const void *data, size_t len)
{
	if (evbuffer_add(conn->out, data, len) < 0)
		return -ENOMEM;
	conn_written(conn);
	return 0;
}

/* conn_flush - write now; an error is told at the end of the turn */
void conn_flush(struct conn *conn)
{
	if (conn->state != CONN_OPEN || conn->held_back)
		return;
	int rc = flush(conn);
	if (rc < 0) {
		/* The caller's handler is still running: it hears of it at the end of the turn. */
		conn->error = -rc;
		loop_defer(&conn->task);
	}
}

/* conn_pause - lazily: the event is disarmed when it fires */
void conn_pause(struct conn *conn)
{
	conn->paused = true;
}

/* conn_resume - arm the read event if it was disarmed */
void conn_resume(struct conn *conn)
{
	conn->paused = false;
	if (conn->state == CONN_OPEN)
		conn_start_reading(conn);
}

/* conn_unsent - bytes not with the kernel */
size_t conn_unsent(const struct conn *conn)
{
	return evbuffer_get_length(conn->out) + (conn->wire ? evbuffer_get_length(conn->wire) : 0);
}

/* conn_read_rest - what the kernel still holds */
int conn_read_rest(struct conn *conn)
{
	size_t all = 0;
	if (conn->fd < 0 || conn->eof)
		return 0;
	if (conn->tls)
		return conn_tls_rest(conn);
	for (;;) {
		ssize_t n = read_some(conn);
		if (n < 0 && n != -EAGAIN && !all)
			return (int)n;
		if (n <= 0 || all >= CONN_REST_MAX)
			return (int)all;
		all += (size_t)n;
	}
}
