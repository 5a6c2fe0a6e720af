/* SPDX-License-Identifier: ISC */
/*
 * A connection's life: made, connected, finished, closed, freed at the end of the turn by the one
 * loop task that also writes. Its bytes are in lib/conn_io.c. Moving the deadline is a store: the
 * timer looks, when it fires, whether there is still time left.
 */
#include "lib/conn.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <sys/uio.h>
#include <unistd.h>

#include "lib/clock.h"
#include "lib/conn_state.h"
#include "lib/tls.h"

static unsigned open_sockets;

/* conn_tell - report an event to the owner, unless nobody listens any more */
void conn_tell(struct conn *conn, enum conn_event event)
{
	if (conn->state == CONN_OPEN || conn->state == CONN_CONNECTING ||
	    conn->state == CONN_SECURING || conn->state == CONN_BROKEN)
		conn->callback(conn, event, conn->arg);
}

/* conn_fail - the connection is broken: one report, no more events */
void conn_fail(struct conn *conn, int error)
{
	conn->error = error;
	if (conn->state == CONN_FINISHING || conn->state == CONN_LINGERING) {
		conn_free(conn);
		return;
	}
	if (conn->state == CONN_BROKEN || conn->state == CONN_DEAD)
		return;
	conn_enter(conn, CONN_BROKEN);
	conn_tell(conn, CONN_ERROR);
}

/* conn_enter - the one place where the state changes */
void conn_enter(struct conn *conn, enum conn_state next)
{
	conn->state = next;
	switch (next) {
	case CONN_CONNECTING:
		break;
	case CONN_SECURING:
		conn->paused = false;
		conn_start_reading(conn);
		break;
	case CONN_OPEN:
		if (!conn->held_back)
			event_del(conn->write_event);
		conn_start_reading(conn);
		break;
	case CONN_BROKEN:
		conn_stop_reading(conn);
		event_del(conn->write_event);
		break;
	case CONN_FINISHING:
	case CONN_LINGERING:
		conn->paused = false;
		evbuffer_drain(conn->in, evbuffer_get_length(conn->in));
		conn_start_reading(conn);
		break;
	case CONN_DEAD:
		conn_stop_reading(conn);
		event_del(conn->write_event);
		event_del(conn->timer);
		close(conn->fd);
		conn->fd = -1;
		open_sockets--;
		loop_defer(&conn->task);
		break;
	}
}

/* end_of_turn - the task: write what gathered, or free what was closed */
static void end_of_turn(struct loop_task *task)
{
	struct conn *conn = (struct conn *)((char *)task - offsetof(struct conn, task));
	switch (conn->state) {
	case CONN_DEAD:
		event_free(conn->read_event);
		event_free(conn->write_event);
		event_free(conn->timer);
		evbuffer_free(conn->in);
		evbuffer_free(conn->out);
		if (conn->wire)
			evbuffer_free(conn->wire);
		tls_free(conn->tls);
		free(conn);
		return;
	case CONN_SECURING:
	case CONN_OPEN:
	case CONN_FINISHING:
		if (!conn->held_back)
			conn_flush_or_fail(conn);
		return;
	case CONN_CONNECTING: /* connect() was decided at once, see conn_connect() */
		if (conn->error) {
			conn_fail(conn, conn->error);
		} else if (!event_pending(conn->write_event, EV_WRITE, NULL)) {
			conn_enter(conn, CONN_OPEN);
			loop_defer(&conn->task);
			conn_tell(conn, CONN_CONNECTED);
		}
		return;
	case CONN_BROKEN:
	case CONN_LINGERING:
		return;
	}
}

/* on_writable - connect() was decided, or the peer takes output again */
static void on_writable(evutil_socket_t fd, short what, void *arg)
{
	(void)what;
	struct conn *conn = arg;
	if (conn->state != CONN_CONNECTING) {
		conn_flush_or_fail(conn);
		return;
	}
	int error = 0;
	socklen_t len = sizeof(error);
	if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len) < 0)
		error = errno;
	if (error) {
		conn_fail(conn, error);
		return;
	}
	conn_enter(conn, CONN_OPEN);
	loop_defer(&conn->task);
	conn_tell(conn, CONN_CONNECTED);
}

/* arm_timer - let the timer fire when the deadline comes */
static void arm_timer(struct conn *conn, int64_t ms)
{
	struct timeval tv = {.tv_sec = ms / 1000, .tv_usec = (ms % 1000) * 1000};
	conn->timer_at = conn->deadline;
	if (event_add(conn->timer, &tv) < 0)
		conn_fail(conn, ENOMEM);
}

/* on_timer - the deadline may have moved since the timer was set */
static void on_timer(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	struct conn *conn = arg;
	conn->timer_at = 0;
	if (!conn->deadline)
		return;
	int64_t left = conn->deadline - clock_ms();
	if (left > 0) {
		arm_timer(conn, left);
		return;
	}
	conn->deadline = 0;
	if (conn->state == CONN_FINISHING || conn->state == CONN_LINGERING)
		conn_free(conn);
	else
		conn_tell(conn, CONN_TIMEOUT);
}

/* conn_make - the struct with its buffers and events, in no state yet */
static struct conn *conn_make(int fd, conn_callback *callback, void *arg)
{
	struct conn *conn = calloc(1, sizeof(*conn));
	if (!conn)
		goto out;
	conn->fd = fd;
	conn->callback = callback;
	conn->arg = arg;
	conn->task.run = end_of_turn;
	conn->in = evbuffer_new();
	conn->out = evbuffer_new();
	conn->read_event = event_new(loop_base(), fd, EV_READ | EV_PERSIST, conn_on_readable, conn);
	conn->write_event = event_new(loop_base(), fd, EV_WRITE | EV_PERSIST, on_writable, conn);
	conn->timer = event_new(loop_base(), -1, 0, on_timer, conn);
	if (conn->in && conn->out && conn->read_event && conn->write_event && conn->timer) {
		open_sockets++;
		return conn;
	}
	if (conn->read_event)
		event_free(conn->read_event);
	if (conn->write_event)
		event_free(conn->write_event);
	if (conn->timer)
		event_free(conn->timer);
	if (conn->in)
		evbuffer_free(conn->in);
	if (conn->out)
		evbuffer_free(conn->out);
	free(conn);
out:
	close(fd);
	errno = ENOMEM;
	return NULL;
}

/* conn_new - an accepted or paired socket */
struct conn *conn_new(int fd, conn_callback *callback, void *arg)
{
	struct conn *conn = conn_make(fd, callback, arg);
	if (!conn)
		return NULL;
	conn->state = CONN_OPEN;
	if (event_add(conn->read_event, NULL) < 0) {
		conn_free(conn);
		return NULL;
	}
	conn->reading = true;
	return conn;
}

/* conn_connect - socket, bind, connect; the outcome is always told later */
struct conn *conn_connect(const struct sockaddr *to, socklen_t len, const struct sockaddr *source,
    socklen_t source_len, conn_callback *callback, void *arg)
{
	int fd = socket(to->sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return NULL;
	int error = 0, one = 1;
	if (to->sa_family != AF_UNIX &&
	    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one)) < 0)
		error = errno;
	if (!error && source && bind(fd, source, source_len) < 0)
		error = errno;
	if (!error && connect(fd, to, len) < 0)
		error = errno;
	struct conn *conn = conn_make(fd, callback, arg);
	if (!conn)
		return NULL;
	conn->state = CONN_CONNECTING;
	if (error == EINPROGRESS) {
		if (event_add(conn->write_event, NULL) < 0)
			conn->error = ENOMEM;
		else
			return conn;
	} else {
		conn->error = error;
	}
	/* Decided already; reported later all the same, so that the caller has its pointer first.
	 */
	loop_defer(&conn->task);
	return conn;
}

/* conn_free - closed now, freed at the end of the turn */
void conn_free(struct conn *conn)
{
	if (conn && conn->state != CONN_DEAD)
		conn_enter(conn, CONN_DEAD);
}

/* conn_finish - send the rest, then close */
void conn_finish(struct conn *conn, unsigned linger_ms)
{
	if (conn->state != CONN_OPEN) {
		conn_free(conn);
		return;
	}
	conn->linger_ms = linger_ms;
	conn_deadline(conn, CONN_FINISH_MS);
	conn_enter(conn, CONN_FINISHING);
	loop_defer(&conn->task);
}

/* conn_deadline - a store, unless the timer would fire too late */
void conn_deadline(struct conn *conn, unsigned ms)
{
	conn->deadline = ms ? (int64_t)loop_ms() + ms : 0;
	/* A timer that fires too early re-arms itself; one that fires too late must be moved. */
	if (ms && (!conn->timer_at || conn->deadline < conn->timer_at))
		arm_timer(conn, ms);
}

/* conn_open_sockets - for limits on descriptors */
unsigned conn_open_sockets(void)
{
	return open_sockets;
}

/* conn_error - errno of the last CONN_ERROR */
int conn_error(const struct conn *conn)
{
	return conn->error;
}

/* conn_fd - the socket */
int conn_fd(const struct conn *conn)
{
	return conn->fd;
}
