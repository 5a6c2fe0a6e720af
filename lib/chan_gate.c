/* SPDX-License-Identifier: ISC */
/*
 * A packet is taken apart in one process-wide buffer; nothing is copied. Descriptors belong to the
 * parcel until a message that passed the gate takes them over.
 *
 * A peer that dies with unread packets makes our next recvmsg() fail with ECONNRESET once, before
 * the packets it had sent: reading goes on until the real end.
 */
#include "lib/chan_gate.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

#include "lib/counters.h"
#include "lib/log.h"

static unsigned char inbox[MSG_PACKET_MAX];

/* One received packet, while it is taken apart. */
struct parcel {
	size_t len;
	int fds[MSG_PACKET_FDS];
	unsigned nfds, taken; /* descriptors, and how many of them messages have taken over */
};

/* parcel_read - one recvmsg(); 1 a packet, 0 the end, -EAGAIN and other -E... */
static int parcel_read(int fd, struct parcel *parcel)
{
	union chan_control control;
	struct iovec iov = {inbox, sizeof(inbox)};
	struct msghdr mh = {.msg_iov = &iov,
	    .msg_iovlen = 1,
	    .msg_control = control.room,
	    .msg_controllen = sizeof(control.room)};
	ssize_t n;

	parcel->nfds = parcel->taken = 0;
	parcel->len = 0;
	do
		n = recvmsg(fd, &mh, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
	while (n < 0 && (errno == EINTR || errno == ECONNRESET));
	if (n < 0)
		return -errno;
	for (struct cmsghdr *c = CMSG_FIRSTHDR(&mh); c; c = CMSG_NXTHDR(&mh, c)) {
		size_t count;

		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
			continue;
		count = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		memcpy(parcel->fds, CMSG_DATA(c), count * sizeof(int));
		parcel->nfds = (unsigned)count;
	}
	parcel->len = (size_t)n;
	/* Truncation means a packet no honest peer sends, or no free descriptor number here. */
	if (mh.msg_flags & (MSG_TRUNC | MSG_CTRUNC))
		return -EMSGSIZE;
	return n > 0;
}

/* parcel_close - the descriptors that no message took over */
static void parcel_close(struct parcel *parcel)
{
	for (; parcel->taken < parcel->nfds; parcel->taken++)
		close(parcel->fds[parcel->taken]);
}

/* gate_refuse - say what was wrong and with whom */
static int gate_refuse(const struct gate *gate, unsigned type, size_t len, const char *why)
{
	counter_add(C_channels_refused, 1);
	log_warnx("message %u (%s, %zu bytes) from %s/%u: %s: channel closed", type, msg_name(type),
	    len, role_name(gate->peer), gate->instance, why);
	return -EBADMSG;
}

/* gate_pass - one message through all checks to its handler; bytes used or -EBADMSG */
static int gate_pass(const struct gate *gate, struct parcel *parcel, size_t at)
{
	union msg_any msg;
	unsigned type = 0, nfds = 0;
	size_t len = 0;

	if (msg_peek(inbox + at, parcel->len - at, &type, &nfds, &len))
		return gate_refuse(gate, type, parcel->len - at, "broken header");
	if (!msg_allowed(type, gate->peer, gate->self))
		return gate_refuse(gate, type, len, "not for it to say");
	if (nfds > parcel->nfds - parcel->taken)
		return gate_refuse(gate, type, len, "descriptors missing");
	if (msg_decode(type, inbox + at + MSG_HEADER, len, parcel->fds + parcel->taken, nfds, &msg))
		return gate_refuse(gate, type, len, "wrong form");
	parcel->taken += nfds;
	if (!gate->handlers->on[type]) {
		msg_close_fds(type, &msg);
		return gate_refuse(gate, type, len, "nobody expects it now");
	}
	if (!gate->handlers->may || gate->handlers->may(gate->chan, type, &msg, gate->arg))
		gate->handlers->on[type](gate->chan, &msg, gate->arg);
	msg_close_fds(type, &msg);
	return (int)(MSG_HEADER + len);
}

/* gate_parcel - every message of a packet; stops early when a handler freed the channel */
static int gate_parcel(const struct gate *gate, struct parcel *parcel)
{
	size_t at = 0;

	while (at < parcel->len) {
		int n;

		if (gate->chan && chan_over(gate->chan))
			break;
		n = gate_pass(gate, parcel, at);
		if (n < 0)
			return n;
		at += (size_t)n;
	}
	return 0;
}

/* gate_receive - one packet, if there is one */
int gate_receive(const struct gate *gate, int fd)
{
	struct parcel parcel;
	int r = parcel_read(fd, &parcel);

	if (r > 0)
		r = gate_parcel(gate, &parcel) ? -EBADMSG : (int)parcel.len;
	parcel_close(&parcel);
	return r;
}

/* chan_receive_once - one packet without a loop */
int chan_receive_once(int fd, enum role self, enum role peer, const struct chan_handlers *handlers,
    void *arg, int timeout_ms)
{
	const struct gate gate = {self, peer, 0, handlers, NULL, arg};
	struct pollfd pfd = {.fd = fd, .events = POLLIN};
	int r = poll(&pfd, 1, timeout_ms);

	if (r == 0)
		return -ETIMEDOUT;
	if (r < 0)
		return -errno;
	r = gate_receive(&gate, fd);
	return r == 0 ? -EPIPE : r > 0 ? 0 : r;
}
