/* SPDX-License-Identifier: ISC */
/*
 * Results that the index doesn't know yet: each RESULT of a worker has an entry in the worker's
 * ring until the transaction that holds what it changed is committed, and its record is below the
 * segment's `taken`. Then COMMITTED tells the worker that it may forget them.
 *
 * An entry holds a reference to its segment. Positions only rise, so an entry can be found again
 * by the position that unsettled_add() returned.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

struct segment;
struct worker;

/* A result that the index doesn't know yet: what COMMITTED waits for. */
struct unsettled {
	uint64_t seq, offset;
	struct segment *segment; /* referenced; NULL: nothing to wait for there */
	uint64_t batch;          /* settled when this transaction is committed */
	uint32_t claims;         /* claims that hold a result of it */
};

/* Oldest first, from head to tail. */
struct unsettled_ring {
	struct unsettled *entries;
	size_t size;
	uint64_t head, tail;
};

/* A new entry for a RESULT; the pointer is good until the next one. Returns its position. */
uint64_t unsettled_add(
    struct worker *worker, uint64_t seq, struct segment *seg, uint64_t offset, uint64_t batch);
struct unsettled *unsettled_at(struct worker *worker, uint64_t position);
/* After a commit: COMMITTED to each worker for all that is settled. */
void unsettled_commit(void);
/* Results of a worker that wait. */
unsigned unsettled_count(const struct worker *worker);
/* The worker is gone: nobody waits for its entries. */
void unsettled_drop(struct worker *worker);
