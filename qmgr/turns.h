/* SPDX-License-Identifier: ISC */
/*
 * Whose turn it is among the ready recipients of a pool. Classes share by weight, counted in
 * recipients; inside a class senders take turns, a transaction at a time; a sender's transactions
 * go in the order they came. What one message has for one destination is a bundle: it goes
 * together, however far apart its recipients stand in the list.
 *
 * A recipient is here while it is READY and its destination bound (qmgr/dest.h adds and removes
 * it). Everything is O(1) but the choice among classes, of which there are a few.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct bundle;
struct class;
struct pool;
struct rcpt;
struct share;

/* Of a pool; all zeroes is empty. */
struct turns {
	struct share *shares; /* of the classes seen so far */
	uint64_t now;         /* virtual time: that of the share served last */
};

/* The recipient is ready: behind the others of its sender, or in front: it keeps its turn. */
void turns_add(struct pool *pool, struct rcpt *rcpt, bool front);
void turns_remove(struct rcpt *rcpt);

/* The first recipient of the bundle whose turn it is, or NULL; and the next one of that bundle. */
struct rcpt *turns_first(const struct pool *pool);
struct rcpt *turns_more(const struct rcpt *rcpt);

/* n recipients of first's bundle go now: its sender's turn is over. Before they are removed. */
void turns_used(struct pool *pool, const struct rcpt *first, unsigned n);

/* Whether something of that class is ready. */
bool turns_has(const struct pool *pool, const struct class *class);

/* The pool goes away; nothing is ready there. */
void turns_free(struct pool *pool);
