/* SPDX-License-Identifier: ISC */
/*
 * What lives of a segment: its messages' rows, found on the index thread. A segment's messages have
 * IDs of one range, so they lie in one stretch of the table, with those of its copies among them.
 * It is read in slices, each of another moment; rows of a closed segment that is taken only go away
 * (ended or moved), so what is found is never too little.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "qmgr/work.h"

#define LIVING_ROWS 1000 /* rows read in one slice */

struct segment;

struct living_record {
	uint64_t id, at, end; /* from header to trailer */
};

struct living {
	struct work work;
	struct segment *seg;
	uint64_t name, next_id, last_id;
	struct living_record *v; /* by place */
	size_t n, room;
	unsigned slice;
	bool more;
	int err;
	void (*done)(struct living *living);
};

/*
 * Reads what lives of a closed segment whose records are all taken and that something refers to;
 * then calls done. The memory is the caller's, who sets `done` and frees v by living_clear(). An
 * index that has fewer messages than memory counts, or records that overlap, is given up: what it
 * says isn't enough to throw anything away.
 */
void living_read(struct living *living, struct segment *seg);
void living_clear(struct living *living);

/* Whether a record that lives begins at that place. */
bool living_has(const struct living *living, uint64_t at);
