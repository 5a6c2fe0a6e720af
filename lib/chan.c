/* SPDX-License-Identifier: ISC */
/*
 * Sending gathers messages in packets: the last packet of the queue grows until the turn ends or
 * it is full. Receiving is in chan_gate.c. A failed send says nothing of what still waits to be
 * read: it only stops the sending, the end of a channel is seen by the reader.
 */
#include "lib/chan.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/chan_gate.h"
#include "lib/events.h"
#include "lib/log.h"
#include "lib/loop.h"

enum chan_state {
	CHAN_OPEN,   /* both directions */
	CHAN_MUTE,   /* the peer takes no more, its last packets are still read */
	CHAN_CLOSED, /* `closed` was called or is about to be */
	CHAN_FREED   /* the struct lives until the end of the turn */
};

/* A packet that waits to be sent. */
struct packet {
	struct packet *next;
	size_t len;
	unsigned nfds;
	int fds[MSG_PACKET_FDS];
	unsigned char data[MSG_PACKET_MAX];
};

struct chan {
	int fd;
	enum chan_state state;
	enum role self, peer;
	unsigned instance;
	const struct chan_handlers *handlers;
	void *arg;
	struct event *readable, *writable;
	struct packet *first, *last;
	size_t backlog;
	struct loop_task flush, release;
};

/* One spare packet for the process: most turns send one packet a channel, all in one go. */
static struct packet *spare;

/* packet_new - an empty packet */
static struct packet *packet_new(void)
{
	struct packet *p = spare;

	spare = NULL;
	if (!p)
		p = malloc(sizeof(*p));
	if (p) {
		p->next = NULL;
		p->len = 0;
		p->nfds = 0;
	}
	return p;
}

/* packet_free - with the descriptors it still holds */
static void packet_free(struct packet *p)
{
	for (unsigned i = 0; i < p->nfds; i++)
		close(p->fds[i]);
	p->nfds = 0;
	if (spare)
		free(p);
	else
		spare = p;
}

/* drop_queue - what will never be sent */
static void drop_queue(struct chan *chan)
{
	while (chan->first) {
		struct packet *p = chan->first;

		chan->first = p->next;
		packet_free(p);
	}
	chan->last = NULL;
	chan->backlog = 0;
}

/* chan_enter - the one place where a channel's state changes */
static void chan_enter(struct chan *chan, enum chan_state next)
{
	if (next <= chan->state)
		return;
	chan->state = next;
	drop_queue(chan);
	event_del(chan->writable);
	if (next == CHAN_MUTE)
		return;
	event_del(chan->readable);
	if (chan->fd >= 0)
		close(chan->fd);
	chan->fd = -1;
	loop_cancel(&chan->flush);
}

/* chan_end - nothing more will be received: tell the owner once */
static void chan_end(struct chan *chan)
{
	if (chan->state >= CHAN_CLOSED)
		return;
	chan_enter(chan, CHAN_CLOSED);
	if (chan->handlers->closed)
		chan->handlers->closed(chan, chan->arg);
}

/* -- sending ------------------------------------------------------------------------------ */

/* packet_send - one sendmsg(); 1 sent, 0 not now, -E... */
static int packet_send(int fd, struct packet *p)
{
	union chan_control control;
	struct iovec iov = {p->data, p->len};
	struct msghdr mh = {.msg_iov = &iov, .msg_iovlen = 1};

	if (p->nfds > 0) {
		struct cmsghdr *c;

		memset(&control, 0, sizeof(control));
		mh.msg_control = control.room;
		mh.msg_controllen = CMSG_SPACE(sizeof(int) * p->nfds);
		c = CMSG_FIRSTHDR(&mh);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(sizeof(int) * p->nfds);
		memcpy(CMSG_DATA(c), p->fds, sizeof(int) * p->nfds);
	}
	while (sendmsg(fd, &mh, MSG_NOSIGNAL | MSG_DONTWAIT) < 0) {
		if (errno == EINTR)
			continue;
		/* ETOOMANYREFS: too many descriptors in flight; the peer reads them soon. */
		return errno == EAGAIN || errno == ETOOMANYREFS || errno == ENOBUFS ? 0 : -errno;
	}
	return 1;
}

/* chan_flush - as many packets as the kernel takes */
void chan_flush(struct chan *chan)
{
	int r = 1;

	while (chan->state == CHAN_OPEN && chan->first) {
		struct packet *p = chan->first;

		r = packet_send(chan->fd, p);
		if (r <= 0)
			break;
		chan->backlog -= p->len;
		chan->first = p->next;
		if (!chan->first)
			chan->last = NULL;
		packet_free(p);
	}
	if (r == 0)
		event_add(chan->writable, NULL);
	else if (r < 0)
		chan_enter(chan, CHAN_MUTE);
}

/* flush_task - the end of the turn */
static void flush_task(struct loop_task *task)
{
	chan_flush((struct chan *)((char *)task - offsetof(struct chan, flush)));
}

/* on_writable - the peer has read something */
static void on_writable(evutil_socket_t fd, short what, void *arg)
{
	(void)fd, (void)what;
	chan_flush(arg);
}

/* keep_fds - the packet's own copies of a message's descriptors */
static int keep_fds(struct packet *p, const int *fds, unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		int copy = fcntl(fds[i], F_DUPFD_CLOEXEC, 0);

		if (copy < 0) {
			int error = errno;

			while (i-- > 0)
				close(p->fds[--p->nfds]);
			return -error;
		}
		p->fds[p->nfds++] = copy;
	}
	return 0;
}

/* append - encode into the packet; -EMSGSIZE when it doesn't fit any more */
static int append(struct packet *p, enum msg_type type, const void *msg)
{
	int fds[MSG_FDS_MAX];
	unsigned nfds;
	int n = msg_encode(type, msg, p->data + p->len, sizeof(p->data) - p->len, fds, &nfds);

	if (n < 0)
		return n;
	if (p->nfds + nfds > MSG_PACKET_FDS)
		return -EMSGSIZE;
	if (nfds > 0) {
		int error = keep_fds(p, fds, nfds);

		if (error)
			return error;
	}
	p->len += (size_t)n;
	return n;
}

/* chan_send - into the last packet, or a new one when that is full */
int chan_send(struct chan *chan, enum msg_type type, const void *msg)
{
	struct packet *p = chan->last;
	int n = -EMSGSIZE;

	if (chan->state != CHAN_OPEN)
		return -EPIPE;
	if (!msg_allowed(type, chan->self, chan->peer))
		log_bug("%s may not send %s to %s", role_name(chan->self), msg_name(type),
		    role_name(chan->peer));
	if (p)
		n = append(p, type, msg);
	if (n == -EMSGSIZE) {
		if (chan->backlog > CHAN_BACKLOG_MAX) {
			log_warnx("%s/%u doesn't read: channel given up", role_name(chan->peer),
			    chan->instance);
			chan_enter(chan, CHAN_MUTE);
			shutdown(
			    chan->fd, SHUT_RDWR); /* the reader sees the end and tells the owner */
			return -ENOBUFS;
		}
		p = packet_new();
		if (!p)
			return -ENOMEM;
		n = append(p, type, msg);
		if (n < 0) {
			packet_free(p);
			return n;
		}
		if (chan->last)
			chan->last->next = p;
		else
			chan->first = p;
		chan->last = p;
	}
	if (n < 0)
		return n;
	chan->backlog += (size_t)n;
	loop_defer(&chan->flush);
	return 0;
}

/* -- receiving ---------------------------------------------------------------------------- */

/*
 * on_readable - mostly one packet: a peer sends one a turn, and asking for a second that isn't
 * there would cost a system call each time. Only a full one has others behind it. The loop comes
 * back for whatever is left, so that no peer starves the others.
 */
static void on_readable(evutil_socket_t fd, short what, void *arg)
{
	struct chan *chan = arg;
	const struct gate gate = {
	    chan->self, chan->peer, chan->instance, chan->handlers, chan, chan->arg};
	int r = MSG_PACKET_MAX;

	(void)what;
	for (int i = 0; i < CHAN_READS_TURN && !chan_over(chan) && r > MSG_PACKET_MAX / 2; i++) {
		events_tick();
		r = gate_receive(&gate, fd);
	}
	if (r == -EAGAIN || r > 0)
		return;
	if (r < 0 && r != -EBADMSG)
		log_warnx(
		    "channel to %s/%u: %s", role_name(chan->peer), chan->instance, strerror(-r));
	chan_end(chan);
}

/* chan_over - nothing more is received or sent */
bool chan_over(const struct chan *chan)
{
	return chan->state >= CHAN_CLOSED;
}

/* -- life --------------------------------------------------------------------------------- */

/* release_task - the end of the turn in which a channel was freed */
static void release_task(struct loop_task *task)
{
	struct chan *chan = (struct chan *)((char *)task - offsetof(struct chan, release));

	if (chan->readable)
		event_free(chan->readable);
	if (chan->writable)
		event_free(chan->writable);
	free(chan);
}

/* chan_new - a channel on the loop */
struct chan *chan_new(int fd, enum role self, enum role peer, unsigned instance,
    const struct chan_handlers *handlers, void *arg)
{
	struct chan *chan = calloc(1, sizeof(*chan));

	if (!chan)
		goto fail;
	*chan = (struct chan){.fd = fd,
	    .self = self,
	    .peer = peer,
	    .instance = instance,
	    .handlers = handlers,
	    .arg = arg,
	    .flush.run = flush_task,
	    .release.run = release_task};
	chan->readable = event_new(loop_base(), fd, EV_READ | EV_PERSIST, on_readable, chan);
	chan->writable = event_new(loop_base(), fd, EV_WRITE, on_writable, chan);
	if (!chan->readable || !chan->writable || event_add(chan->readable, NULL))
		goto fail;
	return chan;
fail:
	close(fd);
	if (chan)
		release_task(&chan->release);
	return NULL;
}

/* chan_free - now for the peer, at the end of the turn for us */
void chan_free(struct chan *chan)
{
	if (!chan || chan->state == CHAN_FREED)
		return;
	chan_enter(chan, CHAN_FREED);
	loop_defer(&chan->release);
}

/* chan_backlog - bytes not sent yet */
size_t chan_backlog(const struct chan *chan)
{
	return chan->backlog;
}

/* chan_peer - the role at the other end */
enum role chan_peer(const struct chan *chan)
{
	return chan->peer;
}

/* chan_instance - and its number */
unsigned chan_instance(const struct chan *chan)
{
	return chan->instance;
}

/* chan_arg - what the owner gave to chan_new() */
void *chan_arg(const struct chan *chan)
{
	return chan->arg;
}
