/* SPDX-License-Identifier: ISC */
/*
 * A channel: one end of a SOCK_SEQPACKET socket over which two processes exchange the messages
 * of lib/msg.def. It owns the socket and its events. Everything sent in one turn leaves in one
 * packet at the turn's end (more when it doesn't fit); what the kernel can't take waits in
 * memory, bounded by the credit that the two roles keep (DESIGN §6), and by CHAN_BACKLOG_MAX.
 *
 * The gate: a packet is taken apart message by message; one of an unknown type, from a role that
 * may not say it, of a wrong size, or with leftover bytes is logged with type and peer, and the
 * channel is closed. No handler sees it, the receiver lives. After a channel closes, for whatever
 * reason, everything received before was handled, then `closed` is called once; the channel is
 * freed by chan_free(), which may be called from any handler.
 */
#pragma once

#include "lib/msg.h"

#define CHAN_BACKLOG_MAX (16u << 20) /* bytes waiting to be sent before a channel is given up */
#define CHAN_READS_TURN  8           /* packets read in a turn, so that one peer starves nobody */

struct chan;

/* Handlers of a receiver: a table indexed by message type; rows it never gets stay NULL. */
typedef void chan_handler(struct chan *chan, union msg_any *msg, void *arg);

/* What a receiving role does with its messages: indexed by type, designated initialisers. */
struct chan_handlers {
	chan_handler *on[MSG_TYPES];
	/*
	 * NULL, or asked before every handler whether this peer may say that; it has answered when
	 * it says no. Roles of the instance may by lib/msg.def alone; tools have people behind
	 * them.
	 */
	bool (*may)(struct chan *chan, unsigned type, const union msg_any *msg, void *arg);
	/* The peer is gone, or sent something wrong. Everything it had sent was handled. */
	void (*closed)(struct chan *chan, void *arg);
};

/*
 * Makes a channel of fd (non-blocking SEQPACKET, taken over) between `self` and a peer of role
 * `peer`. instance is the peer's number, for logs. Returns NULL when out of memory (fd closed).
 */
struct chan *chan_new(int fd, enum role self, enum role peer, unsigned instance,
    const struct chan_handlers *handlers, void *arg);

/* Drops what wasn't sent, closes, frees at the end of the turn. NULL is allowed. */
void chan_free(struct chan *chan);

/*
 * Queues a message for the end of this turn. msg is a struct msg_<name>; bytes are copied,
 * descriptors duplicated, so the caller keeps its own. Never blocks. Returns 0; -EPIPE when the
 * channel is closed; -EMSGSIZE, -EINVAL as msg_encode(); -ENOBUFS when the backlog is full (the
 * channel is closed then: the peer has stopped reading).
 */
int chan_send(struct chan *chan, enum msg_type type, const void *msg);

/* chan_SEND(chan, smtpd_submit, .segment = s, .end = e): a typed chan_send(). */
#define CHAN_SEND(chan, name, ...) \
	chan_send((chan), MSG_##name, &(const struct msg_##name){.unused_ = 0, __VA_ARGS__})

/* Sends now what is queued, without waiting for the turn's end; what doesn't fit stays queued. */
void chan_flush(struct chan *chan);

/* Bytes that wait for the peer to read. */
size_t chan_backlog(const struct chan *chan);

enum role chan_peer(const struct chan *chan);
unsigned chan_instance(const struct chan *chan);
void *chan_arg(const struct chan *chan);

/*
 * Before there is a loop: waits up to timeout_ms for one packet on fd and gives each message in
 * it to the handlers. Returns 0, -ETIMEDOUT, -EPIPE at the end, -EBADMSG when the gate refused.
 */
int chan_receive_once(int fd, enum role self, enum role peer, const struct chan_handlers *handlers,
    void *arg, int timeout_ms);
