/* SPDX-License-Identifier: ISC */
/*
 * How far a destination's part of the schedule has been read. The index sorts it by lanes (class
 * and sender, qmgr/class.h), and reading takes a few of each lane in turn:
 *
 * - A sweep goes through all lanes, one seek each, and reads the first few of those that are due.
 *   Of the others it only remembers the earliest time (later).
 * - A lane that has more is open: the walk knows how far it was read. Rounds go through the open
 *   lanes, each gets its share, as long as there is any.
 *
 * So only lanes with more mail than was read take memory, LANES_OPEN_MAX of a destination; what
 * finds no place is left to another sweep (again). A sweep of many lanes is followed by a pause in
 * proportion, so sweeps never take more than a few per cent of the index thread.
 *
 * What is in the index and not in memory is never forgotten: it is due in an open lane, or ahead of
 * a sweep that is under way, or there is `again`, or it isn't due before `later`.
 *
 * While a slice is being read (qmgr/refill.c) its thread owns the walk, and what comes to the index
 * is put down as notes.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "qmgr/keys.h"
#include "qmgr/load.h"

#define LANES_OPEN_MAX 1024  /* of a destination */
#define LANES_OPEN_ALL 65536 /* of all; beyond it no lane is opened */
#define LANE_TURN      8     /* recipients of a lane that a sweep reads */
#define SWEEP_LANES    2000  /* looked at in one slice */
#define SWEEP_REST     50    /* ms of pause after a sweep, and one more for so many lanes */
#define WALK_NEVER     UINT64_MAX
#define WALK_NOTES     8

/* A lane that has more. */
struct lane_at {
	struct due_key last; /* read up to here */
	uint32_t take;       /* recipients that memory takes of it in this slice */
	bool whole;          /* everything before `last` was seen */
};

struct walk {
	struct lane_at *open; /* by lane */
	uint32_t nopen, room;
	uint32_t round;  /* the lane that was served last */
	uint32_t next;   /* sweeping: the first lane it hasn't looked at */
	uint32_t looked; /* lanes the sweep has looked at */
	bool sweeping, again;
	uint64_t later;     /* nothing else is due before; WALK_NEVER: nothing there */
	uint64_t rest_till; /* now_ms() of the next sweep */
};

/* What came to the index during a slice. */
struct walk_notes {
	struct {
		uint32_t lane;
		uint64_t due;
	} v[WALK_NOTES];
	uint32_t n;
	uint64_t later;
	bool again; /* more than there is room for */
};

/* Empty: nothing is there. */
void walk_init(struct walk *walk);
/* Nothing is known but that there is something: all is looked at again, at once. */
void walk_rewind(struct walk *walk);
/* The open lanes of all walks. */
uint32_t walk_open_lanes(void);

/* Nothing that isn't in memory is due before this; 0: something may be. */
uint64_t walk_due(const struct walk *walk);
/* Whether a sweep is wanted that may begin. */
bool walk_wants_sweep(const struct walk *walk, uint64_t now);

/* The open lane, or NULL. */
struct lane_at *walk_find(const struct walk *walk, uint32_t lane);
/* The open lane that follows; there has to be one. */
struct lane_at *walk_behind(const struct walk *walk, uint32_t lane);

/* One more is open; false when there are too many. It is closed when it was read to its end. */
bool walk_open(struct walk *walk, const struct lane_at *at);
void walk_close(struct walk *walk, const struct lane_at *at);

/* A key that isn't in memory: now, or as soon as the slice is over. */
void walk_note(struct walk *walk, uint32_t lane, uint64_t due, uint64_t now);
void walk_notes_init(struct walk_notes *notes);
void walk_notes_add(struct walk_notes *notes, uint32_t lane, uint64_t due, uint64_t now);
void walk_notes_apply(struct walk *walk, const struct walk_notes *notes, uint64_t now);

/* One slice; filled in by the caller. */
struct walk_slice {
	const char *dest;
	size_t dest_len;
	uint64_t now;
	uint64_t latest; /* due times behind this are of a wrong clock, and due now */
	uint32_t max;    /* rows */
	uint32_t fresh;  /* what a lane takes that is opened in this slice */
	bool may_open;   /* LANES_OPEN_ALL isn't reached */
	struct rows rows;
};

/* Reads it, on the index thread. 0 or -E.... */
int walk_read(struct walk *walk, struct walk_slice *slice);
/* In the loop, before and after: the count of open lanes. */
void walk_lent(const struct walk *walk);
void walk_returned(const struct walk *walk);
