/* SPDX-License-Identifier: ISC */
/*
 * One read and at most one write event per connection. The read event stays armed for the whole
 * life (no epoll_ctl per turn); a pause only disarms it when the peer really sends meanwhile.
 * Output gathers in an evbuffer that one loop task writes at the end of the turn with one
 * sendmsg(); the write event exists only while the peer holds output back. Moving the deadline
 * is a store: its timer looks, when it fires, whether there is still time left.
 *
 * Reads go through one buffer of the process and are copied: evbuffer_read() would ask the kernel
 * with FIONREAD first and allocate for the largest case. A connection that brings much at a time is
 * read into place.
 */
#include "lib/conn.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <sys/uio.h>
#include <unistd.h>

#include "lib/clock.h"
#include "lib/loop.h"

#define CONN_IOV_MAX   64
#define CONN_BULK_READ (CONN_READ_MAX - 64) /* with libevent's header a power of two */

enum conn_state {
	CONN_CONNECTING, /* connect() is under way */
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
	void *arg;
	struct evbuffer *in, *out;
	struct event *read_event, *write_event, *timer;
	struct loop_task task;
};

static unsigned open_sockets;

static void conn_enter(struct conn *conn, enum conn_state next);

/* tell - report an event to the owner, unless nobody listens any more */
static void tell(struct conn *conn, enum conn_event event)
{
	if (conn->state == CONN_OPEN || conn->state == CONN_CONNECTING ||
	    conn->state == CONN_BROKEN)
		conn->callback(conn, event, conn->arg);
}

/* fail - the connection is broken: one report, no more events */
static void fail(struct conn *conn, int error)
{
	conn->error = error;
	if (conn->state == CONN_FINISHING || conn->state == CONN_LINGERING) {
		conn_free(conn);
		return;
	}
	if (conn->state == CONN_BROKEN || conn->state == CONN_DEAD)
		return;
	conn_enter(conn, CONN_BROKEN);
	tell(conn, CONN_ERROR);
}

/* stop_reading - the read event must not fire until there is a use for it */
static void stop_reading(struct conn *conn)
{
	if (conn->reading)
		event_del(conn->read_event);
	conn->reading = false;
}

/* start_reading - arm the read event where input is wanted */
static void start_reading(struct conn *conn)
{
	if (conn->reading || conn->eof || conn->paused)
		return;
	if (event_add(conn->read_event, NULL) < 0)
		fail(conn, ENOMEM);
	else
		conn->reading = true;
}

/* conn_enter - the one place where the state changes */
static void conn_enter(struct conn *conn, enum conn_state next)
{
	conn->state = next;
	switch (next) {
	case CONN_CONNECTING:
		break;
	case CONN_OPEN:
		event_del(conn->write_event);
		start_reading(conn);
		break;
	case CONN_BROKEN:
		stop_reading(conn);
		event_del(conn->write_event);
		break;
	case CONN_FINISHING:
	case CONN_LINGERING:
		conn->paused = false;
		evbuffer_drain(conn->in, evbuffer_get_length(conn->in));
		start_reading(conn);
		break;
	case CONN_DEAD:
		stop_reading(conn);
		event_del(conn->write_event);
		event_del(conn->timer);
		close(conn->fd);
		conn->fd = -1;
		open_sockets--;
		loop_defer(&conn->task);
		break;
	}
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
	} else if (was_held) {
		tell(conn, CONN_DRAINED);
	}
}

/* send_some - one system call's worth of output; returns bytes sent or -errno */
static ssize_t send_some(struct conn *conn)
{
	struct evbuffer_iovec vec[CONN_IOV_MAX];
	int n = evbuffer_peek(conn->out, -1, NULL, vec, CONN_IOV_MAX);
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

/* flush - write until all is sent or the kernel takes no more; 0 or -E... for fail() */
static int flush(struct conn *conn)
{
	while (evbuffer_get_length(conn->out)) {
		ssize_t sent = send_some(conn);
		if (sent == -EAGAIN) {
			if (!conn->held_back && event_add(conn->write_event, NULL) < 0)
				return -ENOMEM;
			conn->held_back = true;
			return 0;
		}
		if (sent < 0)
			return (int)sent;
		evbuffer_drain(conn->out, (size_t)sent);
	}
	sent_all(conn);
	return 0;
}

/* flush_or_fail - flush where nothing of the owner's is on the stack */
static void flush_or_fail(struct conn *conn)
{
	int rc = conn->error ? -conn->error : flush(conn);
	if (rc < 0)
		fail(conn, -rc);
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
		free(conn);
		return;
	case CONN_OPEN:
	case CONN_FINISHING:
		if (!conn->held_back)
			flush_or_fail(conn);
		return;
	case CONN_CONNECTING: /* connect() was decided at once, see conn_connect() */
		if (conn->error) {
			fail(conn, conn->error);
		} else if (!event_pending(conn->write_event, EV_WRITE, NULL)) {
			conn_enter(conn, CONN_OPEN);
			loop_defer(&conn->task);
			tell(conn, CONN_CONNECTED);
		}
		return;
	case CONN_BROKEN:
	case CONN_LINGERING:
		return;
	}
}

/* receive - one recv(); returns bytes, 0 at the end, -errno */
static ssize_t receive(const struct conn *conn, void *buf, size_t size)
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
	ssize_t n = receive(conn, space.iov_base, space.iov_len);
	space.iov_len = n > 0 ? (size_t)n : 0;
	if (evbuffer_commit_space(conn->in, &space, 1) < 0)
		return -ENOMEM;
	return n;
}

/* read_some - one read into the input buffer (or nowhere); returns bytes, 0 at the end, -errno */
static ssize_t read_some(struct conn *conn)
{
	static char buf[CONN_READ_MAX];
	bool dropped = conn->state == CONN_LINGERING || conn->state == CONN_FINISHING;
	ssize_t n = conn->bulk && !dropped ? read_bulk(conn) : receive(conn, buf, sizeof(buf));
	if (n > 0 && !dropped && !conn->bulk && evbuffer_add(conn->in, buf, (size_t)n) < 0)
		return -ENOMEM;
	/* Who sent much will send more. */
	conn->bulk = n > (ssize_t)CONN_BULK_READ / 2;
	return n;
}

/* on_readable - the socket has input, or the peer is gone */
static void on_readable(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	struct conn *conn = arg;
	if (conn->paused) {
		stop_reading(conn);
		return;
	}
	ssize_t n = read_some(conn);
	if (n == -EAGAIN)
		return;
	if (n < 0) {
		fail(conn, (int)-n);
		return;
	}
	if (n > 0) {
		tell(conn, CONN_INPUT);
		return;
	}
	conn->eof = true;
	stop_reading(conn);
	if (conn->state == CONN_LINGERING)
		conn_free(conn);
	else
		tell(conn, CONN_EOF);
}

/* on_writable - connect() was decided, or the peer takes output again */
static void on_writable(evutil_socket_t fd, short what, void *arg)
{
	(void)what;
	struct conn *conn = arg;
	if (conn->state != CONN_CONNECTING) {
		flush_or_fail(conn);
		return;
	}
	int error = 0;
	socklen_t len = sizeof(error);
	if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len) < 0)
		error = errno;
	if (error) {
		fail(conn, error);
		return;
	}
	conn_enter(conn, CONN_OPEN);
	loop_defer(&conn->task);
	tell(conn, CONN_CONNECTED);
}

/* arm_timer - let the timer fire when the deadline comes */
static void arm_timer(struct conn *conn, int64_t ms)
{
	struct timeval tv = {.tv_sec = ms / 1000, .tv_usec = (ms % 1000) * 1000};
	conn->timer_at = conn->deadline;
	if (event_add(conn->timer, &tv) < 0)
		fail(conn, ENOMEM);
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
		tell(conn, CONN_TIMEOUT);
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
	conn->read_event = event_new(loop_base(), fd, EV_READ | EV_PERSIST, on_readable, conn);
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

/* conn_input - what was read */
struct evbuffer *conn_input(struct conn *conn)
{
	return conn->in;
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
		start_reading(conn);
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

/* conn_unsent - bytes not with the kernel */
size_t conn_unsent(const struct conn *conn)
{
	return evbuffer_get_length(conn->out);
}

/* conn_read_rest - what the kernel still holds */
int conn_read_rest(struct conn *conn)
{
	size_t all = 0;
	if (conn->fd < 0 || conn->eof)
		return 0;
	for (;;) {
		ssize_t n = read_some(conn);
		if (n < 0 && n != -EAGAIN && !all)
			return (int)n;
		if (n <= 0 || all >= CONN_REST_MAX)
			return (int)all;
		all += (size_t)n;
	}
}
