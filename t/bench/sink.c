/* SPDX-License-Identifier: ISC */
/*
 * sink - a next hop for load: takes mail, and appends "ID BYTES" (the X-Id header, the length as it
 * stood on the wire) to a file before it says 250. Knobs: -d ms before the reply to the final dot,
 * -r and -b so many of 1000 messages refused with 451 or 550 there, -x so many of 1000 connections
 * closed at the final dot. -A listens on every address of the loopback interface, not 127.0.0.1
 * alone: many next hops in one. -B offers CHUNKING. -C and -K make it speak TLS from the first
 * byte. On SIGTERM, or after -M messages, it prints the sum and leaves.
 *
 * One thread, one epoll set. Commands are taken out of the read buffer line by line; in a body only
 * the end mark is looked for, and the head is kept for its id. A delayed reply stops the session's
 * reading until its time has come, as a slow server's would.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "wire.h"

enum { BUFFER = 256 * 1024, HEAD = 4096 };

struct session {
	struct wire wire;
	bool body, mail, rcpt, dead;
	bool chunked, last; /* the body is a BDAT chunk of `left` bytes more */
	uint64_t left;
	uint64_t due; /* a reply held back until then; 0: none */
	uint64_t bytes;
	size_t used, head_used, out_used;
	char in[BUFFER], head[HEAD + 1], out[16384];
	struct session *next_held;
};

static struct {
	int port, delay, temp, perm, cut;
	bool all, chunking;
	uint64_t most;
	const char *chain, *key;
	FILE *book;
} opt;

static uint64_t messages, refused, connections;
static struct session *held; /* sessions whose reply waits */
static volatile sig_atomic_t stop;
static int ep;

static uint64_t now_ms(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

static void on_signal(int sig)
{
	(void)sig;
	stop = 1;
}

static void say(struct session *s, const char *text)
{
	size_t n = strlen(text);
	if (s->out_used + n > sizeof(s->out)) {
		s->dead = true; /* asks more than it reads */
		return;
	}
	memcpy(s->out + s->out_used, text, n);
	s->out_used += n;
}

/* flush - books first, then the replies that rest on them */
static void flush(struct session *s)
{
	if (!s->out_used && !wire_pending(&s->wire))
		return;
	if (opt.book)
		fflush(opt.book);
	ssize_t n = s->out_used ? wire_send(&s->wire, s->out, s->out_used) : 0;
	if ((n < 0 && errno != EAGAIN) || wire_flush(&s->wire) < 0)
		s->dead = true;
	if (n > 0) {
		s->out_used -= (size_t)n;
		memmove(s->out, s->out + n, s->out_used);
	}
	struct epoll_event ev = {
	    .events = EPOLLIN | (s->out_used || wire_pending(&s->wire) ? EPOLLOUT : 0),
	    .data.ptr = s};
	epoll_ctl(ep, EPOLL_CTL_MOD, s->wire.fd, &ev);
}

static bool one_of(int in_thousand)
{
	return in_thousand && random() % 1000 < in_thousand;
}

static void taken(struct session *s)
{
	s->head[s->head_used] = 0;
	char *id = strstr(s->head, "\r\nX-Id: ");
	s->body = s->mail = s->rcpt = false;
	if (one_of(opt.cut)) {
		s->dead = true;
		return;
	}
	if (one_of(opt.temp) || one_of(opt.perm)) {
		refused++;
		say(s, opt.temp ? "451 4.3.0 not now\r\n" : "550 5.7.1 not this one\r\n");
		return;
	}
	if (++messages == opt.most)
		stop = 1;
	if (opt.book)
		fprintf(opt.book, "%.*s %llu\n", id ? (int)strcspn(id + 8, "\r") : 1,
		    id ? id + 8 : "?", (unsigned long long)s->bytes);
	say(s, "250 2.0.0 taken\r\n");
}

static void command(struct session *s, const char *line)
{
	if (!strncasecmp(line, "EHLO", 4)) {
		say(s, "250-sink.example.test\r\n250-PIPELINING\r\n250-8BITMIME\r\n");
		say(s, opt.chunking ? "250-CHUNKING\r\n250 ENHANCEDSTATUSCODES\r\n"
				    : "250 ENHANCEDSTATUSCODES\r\n");
	} else if (!strncasecmp(line, "MAIL", 4)) {
		say(s, s->mail ? "503 5.5.1 nested MAIL\r\n" : "250 2.1.0 ok\r\n");
		s->mail = true;
	} else if (!strncasecmp(line, "RCPT", 4)) {
		say(s, s->mail ? "250 2.1.5 ok\r\n" : "503 5.5.1 MAIL first\r\n");
		s->rcpt = s->mail;
	} else if (!strncasecmp(line, "DATA", 4)) {
		say(s, s->rcpt ? "354 go on\r\n" : "554 5.5.1 no recipients\r\n");
		s->body = s->rcpt;
		s->bytes = s->head_used = 0;
	} else if (!strncasecmp(line, "BDAT ", 5)) {
		s->left = strtoull(line + 5, NULL, 10);
		s->last = strcasestr(line, " LAST");
		s->body = s->chunked = true;
		s->bytes = s->head_used = 0;
	} else if (!strncasecmp(line, "QUIT", 4)) {
		say(s, "221 2.0.0 bye\r\n");
		flush(s);
		s->dead = true;
	} else {
		if (!strncasecmp(line, "RSET", 4))
			s->mail = s->rcpt = false;
		say(s, "250 2.0.0 ok\r\n");
	}
}

/* keep_head - the start of what is eaten, for the id in it */
static void keep_head(struct session *s, const char *data, size_t n)
{
	size_t keep = n < HEAD - s->head_used ? n : HEAD - s->head_used;
	memcpy(s->head + s->head_used, data, keep);
	s->head_used += keep;
	s->bytes += n;
}

/* chunk - eats what has come of one; true when that was all of it */
static bool chunk(struct session *s, size_t *at)
{
	size_t n = s->used - *at < s->left ? s->used - *at : (size_t)s->left;
	keep_head(s, s->in + *at, n);
	*at += n;
	s->left -= n;
	return !s->left;
}

/* chunk_end - the last one is the message's end, of others and of those for nobody little is said
 */
static bool chunk_end(struct session *s)
{
	s->chunked = false;
	if (s->rcpt && s->last)
		return true;
	s->body = false;
	say(s, s->rcpt ? "250 2.0.0 more\r\n" : "503 5.5.1 no recipients\r\n");
	return false;
}

/* body - eats up to the end mark; true when it was there. The mark may stand right at the start. */
static bool body(struct session *s, size_t *at)
{
	char *data = s->in + *at;
	size_t n = s->used - *at;
	char *mark = NULL;
	size_t eat, end = 0;

	if (!s->bytes && n >= 3 && !memcmp(data, ".\r\n", 3)) {
		mark = data;
		end = 3;
	} else if ((mark = memmem(data, n, "\r\n.\r\n", 5))) {
		end = (size_t)(mark - data) + 5;
	}
	eat = mark ? end : n > 4 ? n - 4 : 0;
	keep_head(s, data, eat);
	*at += eat;
	return mark;
}

/* work - takes what is in the buffer, up to a reply that is held back */
static void work(struct session *s)
{
	size_t at = 0;
	while (!s->dead && !s->due) {
		if (s->body) {
			if (!(s->chunked ? chunk(s, &at) : body(s, &at)))
				break;
			if (s->chunked && !chunk_end(s))
				continue;
			if (opt.delay) {
				s->due = now_ms() + (uint64_t)opt.delay;
				s->next_held = held;
				held = s;
			} else {
				taken(s);
			}
			continue;
		}
		char *end = memmem(s->in + at, s->used - at, "\r\n", 2);
		if (!end)
			break;
		*end = 0;
		command(s, s->in + at);
		at = (size_t)(end + 2 - s->in);
	}
	s->used -= at;
	memmove(s->in, s->in + at, s->used);
	flush(s);
}

/* take - what has come, until nothing is left that no event would tell of */
static void take(struct session *s)
{
	do {
		ssize_t n = wire_recv(&s->wire, s->in + s->used, sizeof(s->in) - s->used);
		if (n < 0 && errno == EAGAIN)
			break;
		if (n <= 0) {
			s->dead = true;
			return;
		}
		s->used += (size_t)n;
		if (!s->due)
			work(s);
	} while (!s->dead && wire_ready(&s->wire) && s->used < sizeof(s->in));
	flush(s); /* a handshake may have something to say too */
}

static void on_event(struct session *s, uint32_t events)
{
	if (events & EPOLLOUT)
		flush(s);
	if ((events & (EPOLLIN | EPOLLHUP | EPOLLERR)) && s->used < sizeof(s->in))
		take(s);
}

static void end(struct session *s)
{
	wire_close(&s->wire);
	free(s);
}

static void release_held(uint64_t t)
{
	for (struct session **p = &held, *s; (s = *p);) {
		if (!s->dead && s->due > t) {
			p = &s->next_held;
			continue;
		}
		*p = s->next_held;
		s->due = 0;
		if (!s->dead) {
			taken(s);
			work(s);
		}
		if (!s->dead && wire_ready(&s->wire))
			take(s);
		if (s->dead)
			end(s);
	}
}

static bool on_accept(int listener)
{
	int one = 1, fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK);
	struct session *s = fd < 0 ? NULL : malloc(sizeof(*s));
	if (!s)
		return false;
	if (wire_server(&s->wire, fd, opt.chain) < 0) {
		end(s);
		return true;
	}
	s->body = s->chunked = s->mail = s->rcpt = s->dead = false;
	s->due = s->bytes = 0;
	s->used = s->head_used = s->out_used = 0;
	connections++;
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	struct epoll_event ev = {.events = EPOLLIN, .data.ptr = s};
	epoll_ctl(ep, EPOLL_CTL_ADD, fd, &ev);
	say(s, "220 sink.example.test ESMTP\r\n");
	flush(s);
	return true;
}

static void loop(int listener)
{
	struct epoll_event ev[256];
	while (!stop) {
		int n = epoll_wait(ep, ev, 256, held ? 1 : 1000);
		for (int i = 0; i < n; i++) {
			struct session *s = ev[i].data.ptr;
			if (!s) {
				while (on_accept(listener))
					;
				continue;
			}
			on_event(s, ev[i].events);
			if (s->dead && !s->due) {
				end(s);
			}
		}
		if (held)
			release_held(now_ms());
	}
}

int main(int argc, char **argv)
{
	for (int c; (c = getopt(argc, argv, "p:o:d:r:b:x:ABM:C:K:")) != -1;) {
		switch (c) {
		case 'p':
			opt.port = atoi(optarg);
			break;
		case 'o':
			opt.book = fopen(optarg, "a");
			break;
		case 'd':
			opt.delay = atoi(optarg);
			break;
		case 'r':
			opt.temp = atoi(optarg);
			break;
		case 'b':
			opt.perm = atoi(optarg);
			break;
		case 'x':
			opt.cut = atoi(optarg);
			break;
		case 'A':
			opt.all = true;
			break;
		case 'B':
			opt.chunking = true;
			break;
		case 'M':
			opt.most = strtoull(optarg, NULL, 10);
			break;
		case 'C':
			opt.chain = optarg;
			break;
		case 'K':
			opt.key = optarg;
			break;
		default:
			fprintf(stderr,
			    "sink -p PORT [-A] [-B] [-o book] [-d ms] [-r n/1000] [-b n/1000] "
			    "[-x n/1000] [-M messages] [-C certificate -K key]\n");
			return 2;
		}
	}
	if (opt.chain && (!opt.key || wire_certificate(opt.chain, opt.key) < 0))
		return 2;
	struct rlimit files = {65536, 65536};
	setrlimit(RLIMIT_NOFILE, &files);
	signal(SIGTERM, on_signal);
	signal(SIGINT, on_signal);
	int one = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
	struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((uint16_t)opt.port)};
	to.sin_addr.s_addr = htonl(opt.all ? INADDR_ANY : INADDR_LOOPBACK);
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (opt.all && setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, "lo", 3)) {
		perror("sink: the loopback interface alone");
		return 1;
	}
	if (bind(fd, (struct sockaddr *)&to, sizeof(to)) || listen(fd, 4096)) {
		perror("sink");
		return 1;
	}
	ep = epoll_create1(0);
	struct epoll_event ev = {.events = EPOLLIN, .data.ptr = NULL};
	epoll_ctl(ep, EPOLL_CTL_ADD, fd, &ev);
	loop(fd);
	printf("messages=%llu refused=%llu connections=%llu\n", (unsigned long long)messages,
	    (unsigned long long)refused, (unsigned long long)connections);
	return opt.book && fclose(opt.book) ? 1 : 0;
}
