/* SPDX-License-Identifier: ISC */
/*
 * load - an SMTP source that keeps books: every message has an id of its own (header X-Id), used
 * once, and its fate is written down: "ok ID" (250 after the final dot), "temp ID CODE", "perm ID
 * CODE", or "lost ID" (the connection went away first). When the server goes away its sessions come
 * back. Ends when -m messages are ok, after -a attempts, or after -T seconds; prints one line of
 * sums. -S speaks TLS from the first byte, and resumes sessions. With `gap_ms` it says the longest
 * time in which no session got a 250.
 *
 * One thread, one epoll set; each session is a small machine: a group of commands goes out in one
 * write, the replies are counted in, the next group follows.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "wire.h"

enum stage { OFF, GREETING, HELLO, ENVELOPE, BODY, RESETTING, IDLE };

struct session {
	struct wire wire; /* fd -1: no connection */
	enum stage stage;
	unsigned expect;  /* replies still to come in this stage */
	int refused;      /* first code of this transaction that was none of 2xx, 3xx */
	bool data_open;   /* 354 came: a body must follow */
	unsigned done;    /* messages on this connection */
	uint64_t id, due; /* due: when to try again, ms */
	char in[2048];
	size_t used;
	const char *out; /* what of a write did not fit */
	size_t left;
	char *text;
};

static struct {
	struct sockaddr_in to;
	unsigned sessions, per_connection;
	bool tls;
	uint64_t ok_wanted, attempts, size, seconds, rate;
	const char *prefix, *sender, *recipient;
	FILE *book;
} opt = {.sessions = 20,
    .ok_wanted = 1000,
    .size = 4096,
    .seconds = 600,
    .prefix = "m",
    .sender = "load@client.example.test",
    .recipient = "b@other.test",
    .attempts = UINT64_MAX};

static uint64_t ids, ok, temp, perm, lost, last_ok, gap, started;
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

static void book(const char *word, const struct session *s, int code)
{
	if (opt.book && code)
		fprintf(opt.book, "%s %s-%08llu %d\n", word, opt.prefix, (unsigned long long)s->id,
		    code);
	else if (opt.book)
		fprintf(opt.book, "%s %s-%08llu\n", word, opt.prefix, (unsigned long long)s->id);
}

/* watch - what the session waits for */
static void watch(struct session *s, uint32_t events)
{
	struct epoll_event ev = {.events = events, .data.ptr = s};
	epoll_ctl(ep, EPOLL_CTL_MOD, s->wire.fd, &ev);
}

/* drop - the connection is gone; a transaction under way is lost, the session comes back later */
static void drop(struct session *s, unsigned wait_ms)
{
	if (s->stage == ENVELOPE || s->stage == BODY) {
		lost++;
		book("lost", s, 0);
	}
	wire_close(&s->wire);
	s->stage = OFF;
	s->left = 0;
	s->due = now_ms() + wait_ms;
}

static bool push(struct session *s)
{
	while (s->left) {
		ssize_t n = wire_send(&s->wire, s->out, s->left);
		if (n < 0 && errno == EAGAIN) {
			watch(s, EPOLLIN | EPOLLOUT);
			return true;
		}
		if (n < 0)
			return false;
		s->out += n;
		s->left -= (size_t)n;
	}
	if (wire_flush(&s->wire) < 0)
		return false;
	if (wire_pending(&s->wire))
		watch(s, EPOLLIN | EPOLLOUT);
	return true;
}

/* say - starts a stage: its commands go out, its replies are expected */
__attribute__((format(printf, 4, 5))) static void say(
    struct session *s, enum stage stage, unsigned replies, const char *fmt, ...)
{
	va_list ap;
	va_start(ap, fmt);
	s->left = (size_t)vsnprintf(s->text, 1024, fmt, ap);
	va_end(ap);
	s->out = s->text;
	s->stage = stage;
	s->expect = replies;
	if (!push(s))
		drop(s, 20);
}

static void begin(struct session *s)
{
	/* idle, until the loop finds that one under way was not taken */
	s->stage = IDLE;
	if (ids - temp - perm - lost >= opt.ok_wanted || ids >= opt.attempts || stop)
		return;
	if (opt.rate && ids * 1000 >= opt.rate * (now_ms() - started))
		return;
	if (opt.per_connection && s->done >= opt.per_connection) {
		(void)!wire_send(&s->wire, "QUIT\r\n", 6);
		s->stage = OFF;
		drop(s, 0);
		return;
	}
	s->id = ids++;
	s->refused = 0;
	s->data_open = false;
	s->done++;
	say(s, ENVELOPE, 3, "MAIL FROM:<%s>\r\nRCPT TO:<%s>\r\nDATA\r\n", opt.sender,
	    opt.recipient);
}

static void body(struct session *s)
{
	int head = snprintf(s->text, 1024,
	    "From: <%s>\r\nTo: <%s>\r\nSubject: load\r\nX-Id: %s-%08llu\r\nDate: Fri, 21 Nov 2025 "
	    "10:00:00 +0000\r\n"
	    "Message-ID: <%s.%llu.%d@client.example.test>\r\n\r\n",
	    opt.sender, opt.recipient, opt.prefix, (unsigned long long)s->id, opt.prefix,
	    (unsigned long long)s->id, (int)getpid());
	size_t at = (size_t)head;
	while (at + 2 < opt.size) {
		size_t n = opt.size - at < 72 ? opt.size - at : 72;
		memset(s->text + at, 'x', n);
		s->text[at + n - 2] = '\r';
		s->text[at + n - 1] = '\n';
		at += n;
	}
	memcpy(s->text + at, ".\r\n", 3);
	s->out = s->text;
	s->left = at + 3;
	s->stage = BODY;
	s->expect = 1;
	if (!push(s))
		drop(s, 20);
}

static void finish(struct session *s, int code)
{
	if (code / 100 == 2) {
		uint64_t t = now_ms();
		gap = t - last_ok > gap ? t - last_ok : gap;
		last_ok = t;
		ok++;
		book("ok", s, 0);
	} else if (code / 100 == 4) {
		temp++;
		book("temp", s, code);
	} else {
		perm++;
		book("perm", s, code);
	}
	s->stage = RESETTING;
}

/* on_reply - one whole reply */
static void on_reply(struct session *s, int code)
{
	bool bad = code / 100 != 2 && code / 100 != 3;

	s->expect -= s->expect > 0;
	if (s->stage == ENVELOPE) {
		s->refused = bad && !s->refused ? code : s->refused;
		s->data_open = code == 354;
	}
	if (bad && s->stage != ENVELOPE && s->stage != BODY) {
		drop(s, 50);
		return;
	}
	if (code == 421) {
		if (s->stage == ENVELOPE || s->stage == BODY)
			finish(s, code);
		drop(s, 50);
		return;
	}
	if (s->expect)
		return;
	if (s->stage == GREETING) {
		say(s, HELLO, 1, "EHLO client.example.test\r\n");
	} else if (s->stage == ENVELOPE && s->data_open) {
		body(s);
	} else if (s->stage == ENVELOPE) {
		finish(s, s->refused);
		say(s, RESETTING, 1, "RSET\r\n");
	} else if (s->stage == BODY) {
		finish(s, code);
		begin(s);
	} else {
		begin(s);
	}
}

static void on_read(struct session *s)
{
	ssize_t n = wire_recv(&s->wire, s->in + s->used, sizeof(s->in) - s->used);
	if (n < 0 && errno == EAGAIN)
		return;
	if (n <= 0) {
		drop(s, 20);
		return;
	}
	s->used += (size_t)n;
	char *line = s->in, *end;
	while (s->wire.fd >= 0 && (end = memchr(line, '\n', s->used - (size_t)(line - s->in)))) {
		if (end - line >= 4 && line[3] != '-')
			on_reply(s, atoi(line));
		line = end + 1;
	}
	s->used -= (size_t)(line - s->in);
	memmove(s->in, line, s->used);
	if (s->wire.fd >= 0 && wire_pending(&s->wire)) /* of a handshake */
		watch(s, EPOLLIN | EPOLLOUT);
	if (s->wire.fd >= 0 && wire_ready(&s->wire) && s->used < sizeof(s->in))
		on_read(s);
}

static void dial(struct session *s)
{
	int one = 1;
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
	s->used = s->left = 0;
	s->done = 0;
	s->stage = GREETING;
	s->expect = 1;
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	struct epoll_event ev = {.events = EPOLLIN | (opt.tls ? EPOLLOUT : 0), .data.ptr = s};
	epoll_ctl(ep, EPOLL_CTL_ADD, fd, &ev);
	bool begun = wire_client(&s->wire, fd, opt.tls) == 0;
	if (!begun ||
	    (connect(fd, (struct sockaddr *)&opt.to, sizeof(opt.to)) < 0 && errno != EINPROGRESS)) {
		s->stage = OFF;
		drop(s, 20);
	}
}

static void loop(struct session *all, uint64_t end)
{
	struct epoll_event ev[256];
	for (;;) {
		uint64_t t = now_ms();
		bool busy = false, over = ok >= opt.ok_wanted || ids >= opt.attempts || stop;
		for (unsigned i = 0; i < opt.sessions; i++) {
			struct session *s = &all[i];
			if (s->wire.fd < 0 && !over && s->due <= t)
				dial(s);
			if (s->stage == IDLE)
				begin(s);
			busy |= s->stage == ENVELOPE || s->stage == BODY;
		}
		if ((over && !busy) || t >= end)
			return;
		int n = epoll_wait(ep, ev, 256, opt.rate ? 1 : 10);
		for (int i = 0; i < n; i++) {
			struct session *s = ev[i].data.ptr;
			if (s->wire.fd >= 0 && (ev[i].events & EPOLLOUT)) {
				watch(s, EPOLLIN);
				if (!push(s))
					drop(s, 20);
			}
			if (s->wire.fd >= 0 && (ev[i].events & (EPOLLIN | EPOLLHUP | EPOLLERR)))
				on_read(s);
		}
	}
}

static int usage(void)
{
	fprintf(stderr,
	    "load -p PORT [-s sessions] [-m ok] [-a attempts] [-l bytes] [-f from] [-t to]\n"
	    "     [-i id-prefix] [-k messages a connection] [-o book] [-r messages a second] [-T "
	    "seconds] [-S]\n");
	return 2;
}

static int options(int argc, char **argv)
{
	opt.to.sin_family = AF_INET;
	opt.to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	for (int c; (c = getopt(argc, argv, "p:s:m:a:l:f:t:i:k:o:r:T:S")) != -1;) {
		switch (c) {
		case 'p':
			opt.to.sin_port = htons((uint16_t)atoi(optarg));
			break;
		case 's':
			opt.sessions = (unsigned)atoi(optarg);
			break;
		case 'm':
			opt.ok_wanted = strtoull(optarg, NULL, 10);
			break;
		case 'a':
			opt.attempts = strtoull(optarg, NULL, 10);
			break;
		case 'l':
			opt.size = strtoull(optarg, NULL, 10);
			break;
		case 'f':
			opt.sender = optarg;
			break;
		case 't':
			opt.recipient = optarg;
			break;
		case 'i':
			opt.prefix = optarg;
			break;
		case 'k':
			opt.per_connection = (unsigned)atoi(optarg);
			break;
		case 'r':
			opt.rate = strtoull(optarg, NULL, 10);
			break;
		case 'S':
			opt.tls = true;
			break;
		case 'T':
			opt.seconds = strtoull(optarg, NULL, 10);
			break;
		case 'o':
			if (!(opt.book = fopen(optarg, "w")))
				return -1;
			break;
		default:
			return -1;
		}
	}
	return opt.to.sin_port ? 0 : -1;
}

int main(int argc, char **argv)
{
	if (options(argc, argv))
		return usage();
	struct rlimit files = {65536, 65536};
	setrlimit(RLIMIT_NOFILE, &files);
	signal(SIGTERM, on_signal);
	signal(SIGINT, on_signal);
	ep = epoll_create1(0);
	struct session *all = calloc(opt.sessions, sizeof(*all));
	for (unsigned i = 0; all && i < opt.sessions; i++) {
		all[i].wire.fd = -1;
		all[i].text = malloc(opt.size + 2048);
		if (!all[i].text)
			return 1;
	}
	started = last_ok = now_ms();
	if (all)
		loop(all, started + opt.seconds * 1000);
	double took = (double)(now_ms() - started) / 1000;
	printf("ok=%llu temp=%llu perm=%llu lost=%llu attempts=%llu seconds=%.3f rate=%.0f "
	       "gap_ms=%llu\n",
	    (unsigned long long)ok, (unsigned long long)temp, (unsigned long long)perm,
	    (unsigned long long)lost, (unsigned long long)ids, took,
	    took > 0 ? (double)ok / took : 0, (unsigned long long)gap);
	if (opt.book && fclose(opt.book))
		return 1;
	return ok >= opt.ok_wanted || opt.attempts != UINT64_MAX ? 0 : 1;
}
