/* SPDX-License-Identifier: ISC */
/*
 * Questions that are still to be sent stand in one buffer; a question knows its own packet too, so
 * that it can move. The list of questions is searched by ID: few answers are too long for UDP.
 */
#include "dnscache/stream.h"

#include <errno.h>
#include <event2/event.h>
#include <event2/event_struct.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/hash.h"
#include "lib/loop.h"

#define OUT_MAX (64 * 1024) /* octets that wait to be sent; a question beyond is refused */

struct stream {
	struct stream *prev, *next;
	struct sockaddr_storage to;
	int fd;
	struct event readable, writable, idle;
	bool proved; /* an answer came over it */
	struct stream_wait *waits;
	size_t in_len; /* octets in `in` */
	size_t out_len;
	uint8_t in[2 + QUERY_TCP_MAX];
	uint8_t out[OUT_MAX];
};

static struct stream *streams;
static unsigned made;

/* addr_len - of a socket address */
static socklen_t addr_len(const struct sockaddr_storage *to)
{
	return to->ss_family == AF_INET6 ? sizeof(struct sockaddr_in6) : sizeof(struct sockaddr_in);
}

/* stream_free - close it; nobody waits any more, and it is in no list */
static void stream_free(struct stream *s)
{
	event_del(&s->readable);
	event_del(&s->writable);
	event_del(&s->idle);
	close(s->fd);
	free(s);
}

/* wait_end - hand an answer on, or that there will be none */
static void wait_end(struct stream_wait *w, const uint8_t *packet, size_t len)
{
	DL_DELETE(w->stream->waits, w);
	w->stream = NULL;
	w->heard(w, packet, len);
}

/* rest - a connection without questions is kept for a while */
static void rest(struct stream *s)
{
	const struct timeval tv = {
	    STREAM_IDLE_MS / 1000, (suseconds_t)(STREAM_IDLE_MS % 1000) * 1000};

	if (s->waits == NULL)
		event_add(&s->idle, &tv);
}

/* on_idle - nobody came */
static void on_idle(evutil_socket_t fd, short what, void *arg)
{
	struct stream *s = arg;

	(void)fd;
	(void)what;
	if (s->waits != NULL)
		return;
	DL_DELETE(streams, s);
	stream_free(s);
}

static struct stream *stream_new(const struct sockaddr_storage *to);
static int join(struct stream *s, struct stream_wait *w);

/* broken - the connection is over: its questions go to a new one, or nowhere */
static void broken(struct stream *s)
{
	struct stream *next = NULL;

	DL_DELETE(streams, s); /* who is told may ask again at once */
	if (s->proved && s->waits != NULL)
		next = stream_new(&s->to);
	while (s->waits != NULL) {
		struct stream_wait *w = s->waits;

		if (next != NULL && !w->moved) {
			DL_DELETE(s->waits, w);
			w->moved = true;
			if (join(next, w) == 0)
				continue;
			DL_PREPEND(s->waits, w);
			w->stream = s;
		}
		wait_end(w, NULL, 0);
	}
	if (next != NULL)
		rest(next);
	stream_free(s);
}

/* find - the question that an ID belongs to */
static struct stream_wait *find(struct stream *s, uint16_t id)
{
	struct stream_wait *w;

	DL_FOREACH (s->waits, w)
		if (w->id == id)
			return w;
	return NULL;
}

/* take - the packets that are whole; false when the stream makes no sense any more */
static bool take(struct stream *s)
{
	static uint8_t packet[QUERY_TCP_MAX];

	while (s->in_len >= 2) {
		size_t len = (size_t)s->in[0] << 8 | s->in[1];
		struct stream_wait *w;

		if (len < 12 || len > QUERY_TCP_MAX)
			return false;
		if (s->in_len < 2 + len)
			break;
		memcpy(packet, s->in + 2, len);
		s->in_len -= 2 + len;
		memmove(s->in, s->in + 2 + len, s->in_len);
		w = find(s, (uint16_t)(packet[0] << 8 | packet[1]));
		s->proved = true;
		/* An answer that nobody waits for any more is none of a stranger's: ignore it. */
		if (w != NULL)
			wait_end(w, packet, len);
	}
	return true;
}

/* on_readable - answers, or the end */
static void on_readable(evutil_socket_t fd, short what, void *arg)
{
	struct stream *s = arg;
	ssize_t n = recv(fd, s->in + s->in_len, sizeof(s->in) - s->in_len, 0);

	(void)what;
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n > 0)
		s->in_len += (size_t)n;
	if (n <= 0 || !take(s))
		broken(s);
	else
		rest(s);
}

/* on_writable - the connection stands, or has room again */
static void on_writable(evutil_socket_t fd, short what, void *arg)
{
	struct stream *s = arg;
	ssize_t n = send(fd, s->out, s->out_len, MSG_NOSIGNAL);

	(void)what;
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n < 0) {
		broken(s);
		return;
	}
	s->out_len -= (size_t)n;
	memmove(s->out, s->out + n, s->out_len);
	if (s->out_len == 0)
		event_del(&s->writable);
}

/* stream_new - a connection under way; NULL with errno */
static struct stream *stream_new(const struct sockaddr_storage *to)
{
	struct stream *s = malloc(sizeof(*s));
	int err;

	if (s == NULL)
		return NULL;
	memset(s, 0, offsetof(struct stream, in));
	s->to = *to;
	s->fd = socket(to->ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (s->fd < 0)
		goto out;
	if (connect(s->fd, (const struct sockaddr *)to, addr_len(to)) != 0 && errno != EINPROGRESS)
		goto out;
	event_assign(&s->readable, loop_base(), s->fd, EV_READ | EV_PERSIST, on_readable, s);
	event_assign(&s->writable, loop_base(), s->fd, EV_WRITE | EV_PERSIST, on_writable, s);
	evtimer_assign(&s->idle, loop_base(), on_idle, s);
	if (event_add(&s->readable, NULL) != 0) {
		errno = ENOMEM;
		goto out;
	}
	DL_APPEND(streams, s);
	made++;
	return s;
out:
	err = errno;
	if (s->fd >= 0)
		close(s->fd);
	free(s);
	errno = err;
	return NULL;
}

/* join - put a question on a connection */
static int join(struct stream *s, struct stream_wait *w)
{
	if (s->out_len + w->len > sizeof(s->out))
		return -ENOBUFS;
	if (s->out_len == 0 && event_add(&s->writable, NULL) != 0)
		return -ENOMEM;
	memcpy(s->out + s->out_len, w->packet, w->len);
	s->out_len += w->len;
	w->stream = s;
	DL_APPEND(s->waits, w);
	event_del(&s->idle);
	return 0;
}

/* stream_ask - over the connection there is, or a new one */
int stream_ask(
    const struct sockaddr_storage *to, struct stream_wait *wait, const uint8_t *packet, size_t len)
{
	struct stream *s;
	int ret;

	wait->stream = NULL;
	wait->moved = false;
	wait->id = (uint16_t)(packet[0] << 8 | packet[1]);
	wait->len = (uint16_t)(2 + len);
	wait->packet[0] = (uint8_t)(len >> 8);
	wait->packet[1] = (uint8_t)len;
	memcpy(wait->packet + 2, packet, len);
	DL_FOREACH (streams, s)
		if (memcmp(&s->to, to, addr_len(to)) == 0)
			break;
	if (s != NULL && find(s, wait->id) != NULL)
		return -EEXIST;
	if (s == NULL && (s = stream_new(to)) == NULL)
		return -errno;
	ret = join(s, wait);
	rest(s);
	return ret;
}

/* stream_cancel - an answer that still comes is ignored */
void stream_cancel(struct stream_wait *wait)
{
	struct stream *s = wait->stream;

	if (s == NULL)
		return;
	DL_DELETE(s->waits, wait);
	wait->stream = NULL;
	rest(s);
}

/* stream_made - connections so far */
unsigned stream_made(void)
{
	return made;
}

/* stream_close_idle - what nobody uses */
void stream_close_idle(void)
{
	struct stream *s, *next;

	DL_FOREACH_SAFE (streams, s, next)
		if (s->waits == NULL) {
			DL_DELETE(streams, s);
			stream_free(s);
		}
}
