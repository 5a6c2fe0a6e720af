/* SPDX-License-Identifier: ISC */
/*
 * The receiving half of lib/chan.c: one packet off the socket, taken apart message by message, each
 * through all checks to its handler. For chan.c alone.
 */
#pragma once

#include "lib/chan.h"

#include <sys/socket.h>

/* Room for descriptors of one packet, aligned as the kernel wants it. */
union chan_control {
	struct cmsghdr align;
	char room[CMSG_SPACE(sizeof(int) * MSG_PACKET_FDS)];
};

/* Who speaks to whom. chan is NULL before there is a loop. */
struct gate {
	enum role self, peer;
	unsigned instance;
	const struct chan_handlers *handlers;
	struct chan *chan;
	void *arg;
};

/*
 * Receives one packet and hands its messages to their handlers; stops early when one of them closed
 * the channel. Returns the packet's length; 0 at the end; -EAGAIN; -EBADMSG when the gate refused a
 * message (logged), or another -E... of recvmsg().
 */
int gate_receive(const struct gate *gate, int fd);

/* Whether the channel was closed or freed (chan.c knows). */
bool chan_over(const struct chan *chan);
