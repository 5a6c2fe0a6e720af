/* SPDX-License-Identifier: ISC */
/*
 * yardstick: the relay against which Baton is measured (DESIGN §11): one process, one loop, no
 * checks, no queue that survives. It takes mail as fast as it can, appends each turn's messages to
 * one file with one write and one sync, answers 250, and relays over kept connections.
 *
 *   yardstick -l PORT -n PORT [-f FILE [-o]]
 *
 * -l where it listens, -n the next hop's port (both 127.0.0.1); without -f nothing is stored;
 * -o writes over the first 64 MiB of an existing file instead of growing a new one. Bodies over
 * 1 MiB, lost connections and refusals end the program: it is a measure, not a relay.
 */
#include <err.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#define IN_MAX   (1 << 20)
#define HOPS     20
#define OVER_MAX (64 << 20)

enum kind { LISTEN, CLIENT, HOP };
enum hop_state { GREET, HELO, IDLE, ENVELOPE, BODY };

struct msg {
	struct msg *next;
	size_t len;
	char data[];
};

struct peer {
	enum kind kind;
	int fd;
	bool data; /* a client inside DATA */
	enum hop_state state;
	struct msg *msg;   /* a hop's, on the wire */
	struct peer *next; /* in the batch */
	size_t len;
	char in[IN_MAX];
};

static int ep, file = -1;
static bool over;
static off_t file_at;
static struct msg *queue, **queue_end = &queue;
static struct peer *hops[HOPS], *batch;
static struct iovec batch_iov[1024];
static int batch_n;

/* say - a short text that the socket takes at once */
static void say(int fd, const char *text)
{
	if (write(fd, text, strlen(text)) != (ssize_t)strlen(text))
		err(1, "write");
}

/* watch - a new peer on the loop */
static struct peer *watch(int fd, enum kind kind)
{
	struct peer *p = calloc(1, kind == LISTEN ? sizeof(*p) - IN_MAX : sizeof(*p));
	struct epoll_event ev = {.events = EPOLLIN};
	int one = 1;

	if (!p)
		errx(1, "memory");
	ev.data.ptr = p;
	p->fd = fd;
	p->kind = kind;
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	if (epoll_ctl(ep, EPOLL_CTL_ADD, fd, &ev))
		err(1, "epoll_ctl");
	return p;
}

/* hop_start - the next message of the queue to a hop that is free */
static void hop_start(struct peer *h)
{
	if (!queue)
		return;
	h->msg = queue;
	queue = queue->next;
	if (!queue)
		queue_end = &queue;
	h->state = ENVELOPE;
	say(h->fd, "MAIL FROM:<a@example.org>\r\nRCPT TO:<b@example.org>\r\nDATA\r\n");
}

/* hop_input - replies; only the last line of what was asked matters */
static void hop_input(struct peer *h)
{
	h->in[h->len] = '\0';
	if (h->len < 2 || h->in[h->len - 1] != '\n')
		return;
	switch (h->state) {
	case GREET:
		say(h->fd, "HELO yardstick\r\n");
		h->state = HELO;
		break;
	case HELO:
		h->state = IDLE;
		break;
	case ENVELOPE:
		if (!strstr(h->in, "\r\n354"))
			return;
		if (write(h->fd, h->msg->data, h->msg->len) != (ssize_t)h->msg->len)
			err(1, "short write to the next hop");
		h->state = BODY;
		break;
	case BODY:
		if (strncmp(h->in, "250", 3) != 0)
			errx(1, "refused: %s", h->in);
		free(h->msg);
		h->state = IDLE;
		break;
	case IDLE:
		break;
	}
	h->len = 0;
	if (h->state == IDLE)
		hop_start(h);
}

/* take - a whole message, final mark included: into the batch */
static void take(struct peer *c, size_t len)
{
	struct msg *m = malloc(sizeof(*m) + len);

	if (!m || batch_n == 1024)
		errx(1, "memory");
	m->next = NULL;
	m->len = len;
	memcpy(m->data, c->in, len);
	*queue_end = m;
	queue_end = &m->next;
	batch_iov[batch_n++] = (struct iovec){m->data, len};
	c->next = batch;
	batch = c;
	c->data = false;
	memmove(c->in, c->in + len, c->len -= len);
}

/* client_input - commands one by one, bodies by their final mark */
static void client_input(struct peer *c)
{
	char *end;

	while (c->len > 0) {
		end = c->data ? memmem(c->in, c->len, "\r\n.\r\n", 5) : memchr(c->in, '\n', c->len);
		if (!end)
			return;
		if (c->data) {
			take(c, (size_t)(end - c->in) + 5);
			return;
		}
		if (strncmp(c->in, "DATA", 4) == 0)
			c->data = true;
		say(c->fd, c->data ? "354 go on\r\n" : "250 ok\r\n");
		c->len -= (size_t)(end + 1 - c->in);
		memmove(c->in, end + 1, c->len);
	}
}

/* commit - one write, one sync, then the 250s and the deliveries */
static void commit(void)
{
	size_t len = 0;

	if (!batch_n)
		return;
	for (int i = 0; i < batch_n; i++)
		len += batch_iov[i].iov_len;
	if (file >= 0) {
		if (over && file_at + (off_t)len > OVER_MAX)
			file_at = 0;
		if (pwritev(file, batch_iov, batch_n, file_at) != (ssize_t)len || fdatasync(file))
			err(1, "store");
		file_at += (off_t)len;
	}
	batch_n = 0;
	for (struct peer *c = batch; c; c = c->next)
		say(c->fd, "250 stored\r\n");
	batch = NULL;
	for (int i = 0; i < HOPS; i++)
		if (hops[i]->state == IDLE)
			hop_start(hops[i]);
}

/* turn - what one peer has sent */
static void turn(struct peer *p)
{
	ssize_t n;

	if (p->kind == LISTEN) {
		int fd = accept(p->fd, NULL, NULL);

		if (fd >= 0)
			say(watch(fd, CLIENT)->fd, "220 yardstick\r\n");
		return;
	}
	n = read(p->fd, p->in + p->len, IN_MAX - 1 - p->len);
	if (n <= 0 && p->kind == HOP)
		exit(0); /* the sink has all it wanted */
	if (n <= 0) {
		close(p->fd);
		free(p);
		return;
	}
	p->len += (size_t)n;
	if (p->kind == HOP)
		hop_input(p);
	else
		client_input(p);
}

/* tcp - a socket on 127.0.0.1 that listens or connects */
static int tcp(int port, bool listens)
{
	struct sockaddr_in a = {.sin_family = AF_INET,
	    .sin_port = htons((uint16_t)port),
	    .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int fd = socket(AF_INET, SOCK_STREAM, 0), one = 1;

	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (listens ? bind(fd, (void *)&a, sizeof(a)) || listen(fd, 1024)
		    : connect(fd, (void *)&a, sizeof(a)))
		err(1, "port %d", port);
	return fd;
}

int main(int argc, char **argv)
{
	const char *path = NULL;
	int opt, in = 0, next = 0;

	while ((opt = getopt(argc, argv, "l:n:f:o")) != -1)
		if (opt == 'l')
			in = atoi(optarg);
		else if (opt == 'n')
			next = atoi(optarg);
		else if (opt == 'f')
			path = optarg;
		else
			over = opt == 'o';
	if (path && (file = open(path, O_WRONLY | O_CREAT | (over ? 0 : O_TRUNC), 0600)) < 0)
		err(1, "%s", path);
	ep = epoll_create1(0);
	for (int i = 0; i < HOPS; i++)
		hops[i] = watch(tcp(next, false), HOP);
	watch(tcp(in, true), LISTEN);
	for (;;) {
		struct epoll_event ev[64];
		int n = epoll_wait(ep, ev, 64, -1);

		for (int i = 0; i < n; i++)
			turn(ev[i].data.ptr);
		commit();
	}
}
