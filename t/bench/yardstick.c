/* SPDX-License-Identifier: ISC */
/*
 * yardstick LISTEN NEXT [FILE [over]]: the relay against which Baton is measured (DESIGN §11): one
 * process, one loop, no checks, no queue that survives. It takes mail as fast as it can, appends
 * each turn's messages to FILE with one write and one sync, answers 250, and relays over kept
 * connections. LISTEN and NEXT are ports of 127.0.0.1; without FILE nothing is stored; with `over`
 * it writes over the file's first 64 MiB instead of growing a new one. Bodies over 1 MiB, lost
 * connections and refusals end the program: it is a measure, not a relay.
 */
#include <err.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#define IN_MAX    (1 << 20)
#define OVER_MAX  (64 << 20)
#define HOPS      20
#define BATCH_MAX 1024

enum kind { LISTEN, CLIENT, HOP };
enum state { IDLE, ENVELOPE, BODY };

struct msg {
	struct msg *next;
	size_t len;
	char data[];
};

struct peer {
	enum kind kind;
	enum state state; /* of a hop; BODY: also of a client behind DATA */
	int fd;
	struct msg *msg;   /* a hop's, on the wire */
	struct peer *next; /* a client whose message is in the batch */
	size_t len;
	char in[IN_MAX];
};

static int ep, file = -1;
static bool over;
static off_t file_at;
static struct msg *queue, **queue_end = &queue;
static struct peer *hops[HOPS], *batch;
static struct iovec batch_iov[BATCH_MAX];
static int batch_n;

/* put - everything, at once */
static void put(int fd, const char *data, size_t len)
{
	if (write(fd, data, len) != (ssize_t)len)
		err(1, "write");
}

/* say - a line or some */
static void say(int fd, const char *text)
{
	put(fd, text, strlen(text));
}

/* watch - a new peer on the loop */
static struct peer *watch(int fd, enum kind kind)
{
	struct peer *p = calloc(1, sizeof(*p));
	struct epoll_event ev = {.events = EPOLLIN, .data.ptr = p};
	int one = 1;
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	if (!p || epoll_ctl(ep, EPOLL_CTL_ADD, fd, &ev))
		err(1, "watch");
	p->fd = fd;
	p->kind = kind;
	return p;
}

/* hop_start - the next message of the queue to a hop that is free */
static void hop_start(struct peer *h)
{
	h->state = IDLE;
	if (!(h->msg = queue))
		return;
	if (!(queue = queue->next))
		queue_end = &queue;
	h->state = ENVELOPE;
	say(h->fd, "MAIL FROM:<a@example.org>\r\nRCPT TO:<b@example.org>\r\nDATA\r\n");
}

/* hop_input - replies; only the last line of what was asked matters */
static void hop_input(struct peer *h)
{
	h->in[h->len] = '\0';
	if (h->state == ENVELOPE && strstr(h->in, "\r\n354")) {
		put(h->fd, h->msg->data, h->msg->len);
		h->state = BODY;
		h->len = 0;
	} else if (h->state == BODY && h->in[h->len - 1] == '\n') {
		if (strncmp(h->in, "250", 3) != 0)
			errx(1, "refused: %s", h->in);
		free(h->msg);
		h->len = 0;
		hop_start(h);
	}
}

/* take - a whole message, final mark included: into the batch */
static void take(struct peer *c, size_t len)
{
	struct msg *m = malloc(sizeof(*m) + len);
	if (!m || batch_n == BATCH_MAX)
		errx(1, "memory");
	*m = (struct msg){.len = len};
	memcpy(m->data, c->in, len);
	*queue_end = m;
	queue_end = &m->next;
	batch_iov[batch_n++] = (struct iovec){m->data, len};
	c->next = batch;
	batch = c;
	c->state = IDLE;
	memmove(c->in, c->in + len, c->len -= len);
}

/* client_input - commands one by one, bodies by their final mark */
static void client_input(struct peer *c)
{
	while (c->len > 0) {
		bool body = c->state == BODY;
		char *end =
		    body ? memmem(c->in, c->len, "\r\n.\r\n", 5) : memchr(c->in, '\n', c->len);
		if (!end)
			return;
		if (body) {
			take(c, (size_t)(end - c->in) + 5);
			return;
		}
		c->state = strncmp(c->in, "DATA", 4) == 0 ? BODY : IDLE;
		say(c->fd, c->state == BODY ? "354 go on\r\n" : "250 ok\r\n");
		c->len -= (size_t)(end + 1 - c->in);
		memmove(c->in, end + 1, c->len);
	}
}

/* commit - one write, one sync, then the 250s and the deliveries */
static void commit(void)
{
	ssize_t len = 0;
	for (int i = 0; i < batch_n; i++)
		len += (ssize_t)batch_iov[i].iov_len;
	if (over && file_at + len > OVER_MAX)
		file_at = 0;
	if (file >= 0 && len &&
	    (pwritev(file, batch_iov, batch_n, file_at) != len || fdatasync(file)))
		err(1, "store");
	file_at += len;
	batch_n = 0;
	for (; batch; batch = batch->next)
		say(batch->fd, "250 stored\r\n");
	for (int i = 0; i < HOPS && queue; i++)
		if (hops[i]->state == IDLE)
			hop_start(hops[i]);
}

/* turn - what one peer has sent */
static void turn(struct peer *p)
{
	if (p->kind == LISTEN) {
		say(watch(accept(p->fd, NULL, NULL), CLIENT)->fd, "220 yardstick\r\n");
		return;
	}
	ssize_t n = read(p->fd, p->in + p->len, IN_MAX - 1 - p->len);
	if (n <= 0 && p->kind == HOP)
		exit(0); /* the sink has all it wanted */
	if (n <= 0) {
		close(p->fd);
		free(p);
		return;
	}
	p->len += (size_t)n;
	(p->kind == HOP ? hop_input : client_input)(p);
}

/* tcp - a socket on 127.0.0.1 that listens or connects */
static int tcp(const char *port, bool listens)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int fd = socket(AF_INET, SOCK_STREAM, 0), one = 1;
	a.sin_port = htons((uint16_t)atoi(port));
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (listens ? bind(fd, (void *)&a, sizeof(a)) || listen(fd, 1024)
		    : connect(fd, (void *)&a, sizeof(a)))
		err(1, "port %s", port);
	return fd;
}

int main(int argc, char **argv)
{
	char reply[512];
	if (argc < 3)
		errx(100, "usage: yardstick LISTEN NEXT [FILE [over]]");
	over = argc > 4;
	if (argc > 3 && (file = open(argv[3], O_WRONLY | O_CREAT | (over ? 0 : O_TRUNC), 0600)) < 0)
		err(1, "%s", argv[3]);
	ep = epoll_create1(0);
	for (int i = 0; i < HOPS; i++) {
		int fd = tcp(argv[2], false);
		if (read(fd, reply, sizeof(reply)) <= 0)
			errx(1, "no greeting");
		say(fd, "HELO yardstick\r\n");
		if (read(fd, reply, sizeof(reply)) <= 0)
			errx(1, "no answer to HELO");
		hops[i] = watch(fd, HOP);
	}
	watch(tcp(argv[1], true), LISTEN);
	for (;;) {
		struct epoll_event ev[64];
		int n = epoll_wait(ep, ev, 64, -1);
		for (int i = 0; i < n; i++)
			turn(ev[i].data.ptr);
		commit();
	}
}
