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

#include "dnscache/stream.h"
#include "lib/loop.h"

#define READS_TURN     8    /* packets taken from one socket in a turn */
#define QUERY_UDP_READ 4096 /* octets; a server may send more than it was offered */

enum exchange_state { STATE_UDP, STATE_TCP, STATE_OVER };

struct exchange {
	enum exchange_state state;
	struct stream_wait *wait; /* of TCP */
	int fd;
	struct event event;
	struct query_question question;
	uint16_t id;
	unsigned form;
	unsigned strays;
	exchange_done *done;
	void *arg;
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
	if (x->state == STATE_UDP)
		event_del(&x->event);
	x->state = STATE_OVER;
	x->done(x, answer, x->arg);
}

/* judge - parse what came; false when it wasn't ours. x may be freed after true */
static bool judge(struct exchange *x, bool tcp, const uint8_t *packet, size_t len)
{
	query_parse(&x->question, x->id, (x->form & QUERY_EDNS) != 0, tcp, packet, len, &parsed);
	if (parsed.status == QUERY_NOT_MINE)
		return false;
	finish(x, &parsed);
	return true;
}

/* udp_read - take packets until one is the answer */
static void udp_read(struct exchange *x)
{
	static uint8_t packet[QUERY_UDP_READ];

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

/* tcp_heard - what came over the shared connection */
static void tcp_heard(struct stream_wait *wait, const uint8_t *packet, size_t len)
{
	struct exchange *x = wait->arg;

	/* Our ID with another question: the server has lost its way. */
	if (packet == NULL || !judge(x, true, packet, len))
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
	int len = query_build(&x->question, x->id, x->form, packet);

	if (len < 0)
		return len;
	if (send(x->fd, packet, (size_t)len, MSG_NOSIGNAL) != len)
		return -errno;
	event_assign(&x->event, loop_base(), x->fd, EV_READ | EV_PERSIST, udp_readable, x);
	if (event_add(&x->event, NULL) != 0)
		return -ENOMEM;
	x->state = STATE_UDP;
	return 0;
}

/* start_tcp - over the server's connection, under an ID that is free there */
static int start_tcp(struct exchange *x, const struct sockaddr_storage *to)
{
	uint8_t packet[QUERY_PACKET_MAX];
	int ret, len;

	x->wait = calloc(1, sizeof(*x->wait));
	if (x->wait == NULL)
		return -ENOMEM;
	x->wait->heard = tcp_heard;
	x->wait->arg = x;
	do {
		len = query_build(&x->question, x->id, x->form, packet);
		if (len < 0)
			return len;
		ret = stream_ask(to, x->wait, packet, (size_t)len);
	} while (ret == -EEXIST && (ret = random16(&x->id)) == 0);
	if (ret == 0)
		x->state = STATE_TCP;
	return ret;
}

/* start - socket, connection, question */
static int start(struct exchange *x, const struct sockaddr_storage *to, bool tcp)
{
	socklen_t len =
	    to->ss_family == AF_INET6 ? sizeof(struct sockaddr_in6) : sizeof(struct sockaddr_in);
	int ret = random16(&x->id);

	if (ret != 0)
		return ret;
	if (tcp)
		return start_tcp(x, to);
	x->fd = socket(to->ss_family, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (x->fd < 0)
		return -errno;
	if (connect(x->fd, (const struct sockaddr *)to, len) != 0)
		return -errno;
	return start_udp(x);
}

/* exchange_start - put a question to a server */
struct exchange *exchange_start(const struct query_question *q, const struct sockaddr_storage *to,
    bool tcp, unsigned form, exchange_done *done, void *arg)
{
	struct exchange *x = calloc(1, sizeof(*x));
	int ret;

	if (x == NULL)
		return NULL;
	x->fd = -1;
	x->state = STATE_OVER;
	x->question = *q;
	x->form = form;
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
	if (x->state == STATE_UDP)
		event_del(&x->event);
	else if (x->state == STATE_TCP)
		stream_cancel(x->wait);
	if (x->fd >= 0)
		close(x->fd);
	free(x->wait);
	free(x);
}
