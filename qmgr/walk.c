/* SPDX-License-Identifier: ISC */
/* What is known of the lanes: the open ones in a sorted array. Reading is qmgr/walk_read.c. */
#include "qmgr/walk.h"

#include <stdlib.h>
#include <string.h>

#include "lib/log.h"

static uint32_t open_lanes; /* of all walks that aren't lent */

/* walk_init - empty */
void walk_init(struct walk *walk)
{
	*walk = (struct walk){.later = WALK_NEVER};
}

/* walk_open_lanes - of all */
uint32_t walk_open_lanes(void)
{
	return open_lanes;
}

/* walk_lent - to the index thread, which opens and closes lanes */
void walk_lent(const struct walk *walk)
{
	open_lanes -= walk->nopen;
}

/* walk_returned - count them again */
void walk_returned(const struct walk *walk)
{
	open_lanes += walk->nopen;
}

/* walk_rewind - forget what was read */
void walk_rewind(struct walk *walk)
{
	open_lanes -= walk->nopen;
	free(walk->open);
	*walk = (struct walk){.later = WALK_NEVER, .again = true};
}

/* walk_due - the earliest time of anything */
uint64_t walk_due(const struct walk *walk)
{
	return walk->nopen || walk->sweeping || walk->again ? 0 : walk->later;
}

/* walk_wants_sweep - something may be due that no open lane leads to */
bool walk_wants_sweep(const struct walk *walk, uint64_t now)
{
	return !walk->sweeping && (walk->again || walk->later <= now) && walk->rest_till <= now;
}

/* place_of - the index of the first open lane that isn't before it */
static uint32_t place_of(const struct walk *walk, uint32_t lane)
{
	uint32_t low = 0, high = walk->nopen;
	while (low < high) {
		uint32_t mid = low + (high - low) / 2;
		if (walk->open[mid].last.lane < lane)
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

/* walk_find - by lane */
struct lane_at *walk_find(const struct walk *walk, uint32_t lane)
{
	uint32_t i = place_of(walk, lane);
	return i < walk->nopen && walk->open[i].last.lane == lane ? &walk->open[i] : NULL;
}

/* walk_behind - the open lane that follows, round and round */
struct lane_at *walk_behind(const struct walk *walk, uint32_t lane)
{
	uint32_t i = lane == UINT32_MAX ? 0 : place_of(walk, lane + 1);
	return &walk->open[i < walk->nopen ? i : 0];
}

/* walk_open - a lane that isn't open yet; false when there are too many */
bool walk_open(struct walk *walk, const struct lane_at *at)
{
	uint32_t i = place_of(walk, at->last.lane);
	if (walk->nopen == LANES_OPEN_MAX)
		return false;
	if (walk->nopen == walk->room) {
		walk->room = walk->room ? walk->room * 2 : 2;
		walk->open = realloc(walk->open, walk->room * sizeof(*walk->open));
		if (!walk->open)
			log_fatal("out of memory for senders");
	}
	memmove(walk->open + i + 1, walk->open + i, (walk->nopen - i) * sizeof(*walk->open));
	walk->open[i] = *at;
	walk->nopen++;
	return true;
}

/* walk_close - it was read to its end */
void walk_close(struct walk *walk, const struct lane_at *at)
{
	uint32_t i = (uint32_t)(at - walk->open);
	walk->nopen--;
	memmove(walk->open + i, walk->open + i + 1, (walk->nopen - i) * sizeof(*walk->open));
	if (walk->nopen)
		return;
	free(walk->open);
	walk->open = NULL;
	walk->room = 0;
}

/* walk_note - lower what is known so that it is found */
void walk_note(struct walk *walk, uint32_t lane, uint64_t due, uint64_t now)
{
	struct lane_at *at = walk_find(walk, lane);
	if (at) {
		if (due <= at->last.due)
			at->last = (struct due_key){.lane = lane, .due = due};
	} else if (due > now) {
		if (due < walk->later)
			walk->later = due;
	} else if (open_lanes < LANES_OPEN_ALL &&
		   walk_open(walk, &(struct lane_at){.last = {.lane = lane, .due = due}})) {
		open_lanes++;
	} else {
		walk->again = true;
	}
}

/* walk_notes_init - none */
void walk_notes_init(struct walk_notes *notes)
{
	notes->n = 0;
	notes->later = WALK_NEVER;
	notes->again = false;
}

/* walk_notes_add - many of one lane are one */
void walk_notes_add(struct walk_notes *notes, uint32_t lane, uint64_t due, uint64_t now)
{
	(void)now;
	for (uint32_t i = 0; i < notes->n; i++) {
		if (notes->v[i].lane != lane)
			continue;
		if (due < notes->v[i].due)
			notes->v[i].due = due;
		return;
	}
	if (notes->n < WALK_NOTES) {
		notes->v[notes->n].lane = lane;
		notes->v[notes->n++].due = due;
	} else if (due > now) {
		notes->later = due < notes->later ? due : notes->later;
	} else {
		notes->again = true;
	}
}

/* walk_notes_apply - the slice is over */
void walk_notes_apply(struct walk *walk, const struct walk_notes *notes, uint64_t now)
{
	for (uint32_t i = 0; i < notes->n; i++)
		walk_note(walk, notes->v[i].lane, notes->v[i].due, now);
	if (notes->later < walk->later)
		walk->later = notes->later;
	if (!notes->again)
		return;
	walk->again = true;
	for (uint32_t i = 0; i < walk->nopen; i++)
		walk->open[i].whole = false; /* it may lie behind us in any of them */
}
