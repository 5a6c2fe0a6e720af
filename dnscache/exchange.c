/* SPDX-License-Identifier: ISC */
/*
 * A socket for each question costs six system calls, about as much as the work of the answer; it
 * buys 15 bits of source port that a pool of sockets would give away. Answers are parsed into one
 * static struct: it is large, and there is one loop.
 */
#include "dnscache/exchange.h"

#include <errno.h>
#include <event2/event.h>
#include <event2/event_struct.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include "lib/loop.h"

#define READS_TURN 8 /* packets taken from one socket in a turn */

enum exchange_state { STATE_UDP, STATE_TCP_SEND, STATE_TCP_LENGTH, STATE_TCP_BODY, STATE_OVER };

struct exchange {
	enum exchange_state state;
	int fd;
	struct event event;
	struct query_question question;
	uint16_t id;
	bool edns;
	unsigned strays;
	exchange_done *done;
	void *arg;
	/* TCP: what is still to be sent, or what has been received, of `len` octets */
	uint8_t *buf;
	size_t at, len;
};

static struct query_answer parsed;

/* random16 - a number that nobody can guess */
static int random16(uint16_t *out)
{
	static uint16_t pool[128];
	static size_t left;

	if (left == 0) {
		if (getrandom(pool, sizeof(pool), 0) != (ssize_t)sizeof(pool))
			return -EAGAIN;
		left = sizeof(pool) / sizeof(pool[0]);
	}
	*out = pool[--left];
	return 0;
}

/* finish - tell the caller; x may be freed after this */
static void finish(struct exchange *x, const struct query_answer *answer)
{
	x->state = STATE_OVER;
	event_del(&x->event);
	x->done(x, answer, x->arg);
}

/* judge - parse what came; false when it wasn't ours. x may be freed after true */
static bool judge(struct exchange *x, bool tcp, const uint8_t *packet, size_t len)
{
	query_parse(&x->question, x->id, x->edns, tcp, packet, len, &parsed);
	if (parsed.status == QUERY_NOT_MINE)
		return false;
	finish(x, &parsed);
	return true;
}

/* udp_read - take packets until one is the answer */
static void udp_read(struct exchange *x)
{
	static uint8_t packet[QUERY_TCP_MAX];

	for (int i = 0; i < READS_TURN; i++) {
		ssize_t n = recv(x->fd, packet, sizeof(packet), 0);

		if (n < 0 && (errno == EAGAIN || errno == EINTR))
			return;
		if (n < 0 || x->strays >= EXCHANGE_STRAY_MAX) {
			finish(x, NULL);
			return;
		}
		if (judge(x, false, packet, (size_t)n))
			return;
		x->strays++;
	}
}

/* await - wait for the socket to become readable or writable */
static int await(struct exchange *x, short what, event_callback_fn fn)
{
	event_assign(&x->event, loop_base(), x->fd, (short)(what | EV_PERSIST), fn, x);
	return event_add(&x->event, NULL) == 0 ? 0 : -ENOMEM;
}

/* tcp_take - read up to x->len octets; 1 when they are there, 0 for not yet, or -E... */
static int tcp_take(struct exchange *x)
{
	while (x->at < x->len) {
		ssize_t n = recv(x->fd, x->buf + x->at, x->len - x->at, 0);

		if (n < 0 && (errno == EAGAIN || errno == EINTR))
			return 0;
		if (n <= 0)
			return n < 0 ? -errno : -ECONNRESET;
		x->at += (size_t)n;
	}
	return 1;
}

/* tcp_readable - first the answer's length, then the answer (RFC 7766 §8) */
static void tcp_readable(evutil_socket_t fd, short what, void *arg)
{
	struct exchange *x = arg;
	int ret = tcp_take(x);

	(void)fd;
	(void)what;
	if (ret == 1 && x->state == STATE_TCP_LENGTH) {
		x->len = (size_t)x->buf[0] << 8 | x->buf[1];
		x->at = 0;
		x->state = STATE_TCP_BODY;
		ret = x->len > QUERY_TCP_MAX ? -EMSGSIZE : tcp_take(x);
	}
	if (ret < 0)
		finish(x, NULL);
	else if (ret == 1 && !judge(x, true, x->buf, x->len))
		finish(x, NULL);
}

/* tcp_writable - the connection stands: send the question */
static void tcp_writable(evutil_socket_t fd, short what, void *arg)
{
	struct exchange *x = arg;
	ssize_t n = send(fd, x->buf + x->at, x->len - x->at, MSG_NOSIGNAL);

	(void)what;
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n < 0) {
		finish(x, NULL);
		return;
	}
	x->at += (size_t)n;
	if (x->at < x->len)
		return;
	event_del(&x->event);
	x->state = STATE_TCP_LENGTH;
	x->at = 0;
	x->len = 2;
	if (await(x, EV_READ, tcp_readable) != 0)
		finish(x, NULL);
}

/* udp_readable - something came, or an ICMP error */
static void udp_readable(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	udp_read(arg);
}

/* start_udp - send the question at once */
static int start_udp(struct exchange *x)
{
	uint8_t packet[QUERY_PACKET_MAX];
	int len = query_build(&x->question, x->id, x->edns, packet);

	if (len < 0)
		return len;
	if (send(x->fd, packet, (size_t)len, MSG_NOSIGNAL) != len)
		return -errno;
	x->state = STATE_UDP;
	return await(x, EV_READ, udp_readable);
}

/* start_tcp - keep the question, counted, until the connection stands */
static int start_tcp(struct exchange *x)
{
	int len;

	x->buf = malloc(QUERY_TCP_MAX);
	if (x->buf == NULL)
		return -ENOMEM;
	len = query_build(&x->question, x->id, x->edns, x->buf + 2);
	if (len < 0)
		return len;
	x->buf[0] = (uint8_t)(len >> 8);
	x->buf[1] = (uint8_t)len;
	x->len = 2 + (size_t)len;
	x->state = STATE_TCP_SEND;
	return await(x, EV_WRITE, tcp_writable);
}

/* start - socket, connection, question */
static int start(struct exchange *x, const struct sockaddr_storage *to, bool tcp)
{
	socklen_t len =
	    to->ss_family == AF_INET6 ? sizeof(struct sockaddr_in6) : sizeof(struct sockaddr_in);
	int ret = random16(&x->id);

	if (ret != 0)
		return ret;
	x->fd = socket(
	    to->ss_family, (tcp ? SOCK_STREAM : SOCK_DGRAM) | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (x->fd < 0)
		return -errno;
	if (connect(x->fd, (const struct sockaddr *)to, len) != 0 && errno != EINPROGRESS)
		return -errno;
	return tcp ? start_tcp(x) : start_udp(x);
}

/* exchange_start - put a question to a server */
struct exchange *exchange_start(const struct query_question *q, const struct sockaddr_storage *to,
    bool tcp, bool edns, exchange_done *done, void *arg)
{
	struct exchange *x = calloc(1, sizeof(*x));
	int ret;

	if (x == NULL)
		return NULL;
	x->fd = -1;
	x->state = STATE_OVER;
	x->question = *q;
	x->edns = edns;
	x->done = done;
	x->arg = arg;
	ret = start(x, to, tcp);
	if (ret != 0) {
		exchange_free(x);
		errno = -ret;
		return NULL;
	}
	return x;
}

/* exchange_free - end an exchange */
void exchange_free(struct exchange *x)
{
	if (x == NULL)
		return;
	if (x->state != STATE_OVER)
		event_del(&x->event);
	if (x->fd >= 0)
		close(x->fd);
	free(x->buf);
	free(x);
}
