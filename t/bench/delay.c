/* SPDX-License-Identifier: ISC */
/*
 * delay - a long way to a next hop: takes connections on one port of the loopback interface, makes
 * one each to another, and hands every byte on in its order, -d ms (50) after it came, in either
 * direction. The end of a side travels like its bytes. It is no limit of bandwidth: up to 4 MiB are
 * under way in a direction before it stops reading.
 *
 * One thread, poll(). What comes in one read is one piece with its time; pieces are a queue.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { PAIRS = 256, PIECE = 65536, UNDERWAY = 4 << 20 };

struct piece {
	struct piece *next;
	uint64_t due; /* us */
	size_t len, done;
	char data[];
};

/* One direction: from sock[side] to the other one. */
struct way {
	struct piece *head, **tail;
	size_t underway;
	bool ended; /* its reading side */
};

struct pair {
	int sock[2]; /* who came to us, whom we went to; -1: free */
	struct way way[2];
};

static struct pair pairs[PAIRS];
static struct sockaddr_in target;
static uint64_t delay_us = 50000;
static volatile sig_atomic_t stop;

/* now_us - monotonic */
static uint64_t now_us(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

static void on_signal(int sig)
{
	(void)sig;
	stop = 1;
}

/* end - both sides, and what was under way */
static void end(struct pair *p)
{
	for (int side = 0; side < 2; side++) {
		close(p->sock[side]);
		p->sock[side] = -1;
		for (struct piece *piece = p->way[side].head, *next; piece; piece = next) {
			next = piece->next;
			free(piece);
		}
	}
}

/* begin - the other half of a connection that came; without room for it, or a target, its end */
static void begin(int fd)
{
	int one = 1, to = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct pair *p = pairs;
	while (p < pairs + PAIRS && p->sock[0] >= 0)
		p++;
	if (to < 0 || p == pairs + PAIRS ||
	    connect(to, (struct sockaddr *)&target, sizeof(target)) < 0) {
		close(fd);
		if (to >= 0)
			close(to);
		return;
	}
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	setsockopt(to, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	*p = (struct pair){.sock = {fd, to}};
	p->way[0].tail = &p->way[0].head;
	p->way[1].tail = &p->way[1].head;
}

/* take - one piece; an empty one is the end of that side. False: the connection is broken. */
static bool take(struct pair *p, int side)
{
	struct way *w = &p->way[side];
	struct piece *piece = malloc(sizeof(*piece) + PIECE);
	if (!piece)
		return false;
	ssize_t n = recv(p->sock[side], piece->data, PIECE, MSG_DONTWAIT);
	if (n < 0) {
		free(piece);
		return errno == EAGAIN || errno == EINTR;
	}
	*piece = (struct piece){.due = now_us() + delay_us, .len = (size_t)n};
	*w->tail = piece;
	w->tail = &piece->next;
	w->underway += (size_t)n;
	w->ended = n == 0;
	return true;
}

/* pass - what is due; false: the connection is over */
static bool pass(struct pair *p, int side, uint64_t now)
{
	struct way *w = &p->way[side];
	int to = p->sock[!side];
	for (struct piece *piece; (piece = w->head) && piece->due <= now;) {
		if (!piece->len)
			shutdown(to, SHUT_WR);
		while (piece->done < piece->len) {
			ssize_t n = send(to, piece->data + piece->done, piece->len - piece->done,
			    MSG_DONTWAIT | MSG_NOSIGNAL);
			if (n < 0)
				return errno == EAGAIN || errno == EINTR;
			piece->done += (size_t)n;
		}
		w->underway -= piece->len;
		w->head = piece->next;
		if (!w->head)
			w->tail = &w->head;
		free(piece);
	}
	return !(p->way[0].ended && p->way[1].ended && !p->way[0].head && !p->way[1].head);
}

/* work - all that is due everywhere; the time in ms until more is */
static int work(void)
{
	uint64_t now = now_us(), first = now + 1000000;
	for (struct pair *p = pairs; p < pairs + PAIRS; p++) {
		for (int side = 0; p->sock[0] >= 0 && side < 2; side++) {
			if (!pass(p, side, now))
				end(p);
			else if (p->way[side].head && p->way[side].head->due < first)
				first = p->way[side].head->due;
		}
	}
	return first <= now ? 1 : (int)((first - now + 999) / 1000);
}

/* loop - until a signal */
static void loop(int listener)
{
	struct pollfd fds[1 + 2 * PAIRS];
	struct {
		struct pair *pair;
		int side;
	} who[1 + 2 * PAIRS];
	while (!stop) {
		int wait = work();
		nfds_t n = 1;
		fds[0] = (struct pollfd){.fd = listener, .events = POLLIN};
		for (struct pair *p = pairs; p < pairs + PAIRS; p++) {
			for (int side = 0; p->sock[0] >= 0 && side < 2; side++) {
				if (p->way[side].ended || p->way[side].underway >= UNDERWAY)
					continue;
				who[n].pair = p;
				who[n].side = side;
				fds[n++] = (struct pollfd){.fd = p->sock[side], .events = POLLIN};
			}
		}
		if (poll(fds, n, wait) <= 0)
			continue;
		for (nfds_t i = 1; i < n; i++)
			if (fds[i].revents && who[i].pair->sock[0] >= 0 &&
			    !take(who[i].pair, who[i].side))
				end(who[i].pair);
		if (fds[0].revents) {
			int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
			if (fd >= 0)
				begin(fd);
		}
	}
}

int main(int argc, char **argv)
{
	int one = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	target = at;
	for (int c; (c = getopt(argc, argv, "p:t:d:")) != -1;) {
		if (c == 'p') {
			at.sin_port = htons((uint16_t)atoi(optarg));
		} else if (c == 't') {
			target.sin_port = htons((uint16_t)atoi(optarg));
		} else if (c == 'd') {
			delay_us = strtoull(optarg, NULL, 10) * 1000;
		} else {
			fprintf(stderr, "delay -p PORT -t TARGET-PORT [-d ms each way]\n");
			return 2;
		}
	}
	for (struct pair *p = pairs; p < pairs + PAIRS; p++)
		p->sock[0] = p->sock[1] = -1;
	signal(SIGTERM, on_signal);
	signal(SIGINT, on_signal);
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (bind(fd, (struct sockaddr *)&at, sizeof(at)) || listen(fd, 64)) {
		perror("delay");
		return 1;
	}
	loop(fd);
	return 0;
}
