/* SPDX-License-Identifier: ISC */
/*
 * Reading back: the second half of qmgr/schedule.h. It runs on the index thread in slices of
 * REFILL_ROWS, by the destination's walk (qmgr/walk.h), which goes through its lanes in turn.
 * Destinations that want it stand in one line; REFILL_AT_ONCE slices are under way at a time. What
 * was found is placed like anything else, so a window that has filled up meanwhile only sends a row
 * back to where it is already.
 *
 * While a slice is under way its thread owns the walk. What comes to the index meanwhile is noted
 * and counts when the slice is over: it may lie behind the place where the slice has looked, or
 * not.
 */
#include <stdlib.h>

#include "lib/child.h"
#include "lib/log.h"
#include "qmgr/alarm.h"
#include "qmgr/batch.h"
#include "qmgr/dest.h"
#include "qmgr/index.h"
#include "qmgr/links.h"
#include "qmgr/load.h"
#include "qmgr/message.h"
#include "qmgr/now.h"
#include "qmgr/route.h"
#include "qmgr/schedule.h"
#include "qmgr/work.h"

static struct {
	unsigned under_way; /* slices */
	struct dest *want;  /* the line */
} rf;

/* A slice of reading back. */
struct refill {
	struct work work;
	struct dest *dest;
	struct walk_slice slice;
	struct walk_notes notes;
	int err;
};

/* on_timer - something it has in the index is due */
static void on_timer(void *arg)
{
	struct dest *dest = arg;
	alarm_off(&dest->timer);
	schedule_refill(dest);
}

/* arm - the timer for what is due later */
static void arm(struct dest *dest, uint64_t at)
{
	uint64_t now = now_ms();
	if (at == DEST_NEVER)
		alarm_off(&dest->timer);
	else
		alarm_set(&dest->timer, at > now ? at - now : 0, on_timer, dest);
}

/* schedule_note - one more in the index */
void schedule_note(struct dest *dest, uint32_t lane, uint64_t due_ms)
{
	if (dest->notes) {
		walk_notes_add(dest->notes, lane, due_ms, now_ms());
		return;
	}
	uint64_t before = dest->index_due;
	if (dest_parked(dest))
		walk_rewind(&dest->walk); /* all of it, once its site is up */
	else
		walk_note(&dest->walk, lane, due_ms, now_ms());
	dest->index_due = walk_due(&dest->walk);
	if (dest->index_due < before)
		schedule_refill(dest);
}

/* schedule_rewind - from its first key on */
void schedule_rewind(struct dest *dest)
{
	if (dest->notes) {
		dest->notes->again = true;
		return;
	}
	walk_rewind(&dest->walk);
	dest->index_due = 0;
	schedule_refill(dest);
}

/* wants - whether there is something to read that memory waits for */
static bool wants(const struct dest *dest)
{
	const struct walk *walk = &dest->walk;
	if (walk->sweeping || walk_wants_sweep(walk, now_ms()))
		return true;
	return walk->nopen && (dest->nready < REFILL_LOW || dest->few);
}

/* schedule_refill - into the line, or the timer set */
void schedule_refill(struct dest *dest)
{
	if (dest->wanted || dest->notes || dest_parked(dest))
		return;
	if (dest->index_due > now_ms()) {
		arm(dest, dest->index_due);
		return;
	}
	if (!wants(dest)) {
		if (dest->walk.again || dest->walk.later <= now_ms())
			arm(dest, dest->walk.rest_till);
		return;
	}
	dest->wanted = true;
	DL_APPEND2(rf.want, dest, want_prev, want_next);
	refill_pump();
}

/* run_refill - on the index thread; the destination's name never changes */
static void run_refill(struct work *work)
{
	struct refill *r = (struct refill *)work;
	r->err = walk_read(&r->dest->walk, &r->slice);
}

/* place_rows - what was found goes where it belongs */
static void place_rows(struct refill *r)
{
	struct row row;
	size_t pos = 0;
	int err;
	while ((err = rows_next(&r->slice.rows, &pos, &row)) == 1) {
		struct rcpt *rcpt = row_load(&row);
		if (rcpt)
			route_rcpt(rcpt);
	}
	if (err)
		batch_give_up(err, "reading the schedule");
}

/* refilled - in the loop */
static void refilled(struct work *work)
{
	struct refill *r = (struct refill *)work;
	struct dest *dest = r->dest;
	if (r->err)
		batch_give_up(r->err, "reading the schedule");
	rf.under_way--;
	walk_returned(&dest->walk);
	dest->notes = NULL;
	walk_notes_apply(&dest->walk, &r->notes, now_ms());
	dest->index_due = walk_due(&dest->walk);
	place_rows(r);
	rows_free(&r->slice.rows);
	free(r);
	if (dest->index_due != DEST_NEVER)
		schedule_refill(dest);
	refill_pump();
}

/* set_takes - how much memory takes of each open lane; false: nothing of any */
static bool set_takes(struct dest *dest, bool hungry)
{
	bool any = false;
	for (uint32_t i = 0; i < dest->walk.nopen; i++) {
		struct lane_at *at = &dest->walk.open[i];
		unsigned few = schedule_few(dest, at->last.lane);
		at->take = hungry ? schedule_lane_room(dest, at->last.lane) : few;
		any |= at->take > 0;
	}
	return any;
}

/* start_refill - one slice for the first in the line, if there is something to read */
static void start_refill(struct dest *dest, unsigned max)
{
	struct walk *walk = &dest->walk;
	uint64_t now = now_ms();
	bool hungry = dest->nready < REFILL_LOW;
	if (walk_wants_sweep(walk, now)) {
		walk->sweeping = true;
		walk->again = false;
		walk->later = WALK_NEVER;
		walk->next = walk->looked = 0;
	}
	dest->few = false;
	if (!set_takes(dest, hungry) && !walk->sweeping)
		return;
	struct refill *r = calloc(1, sizeof(*r));
	if (!r)
		log_fatal("out of memory");
	r->work.run = run_refill;
	r->work.done = refilled;
	r->dest = dest;
	r->slice = (struct walk_slice){.dest = dest->name,
	    .dest_len = dest->name_len,
	    .now = now,
	    .latest = now + child_self()->conf->retry.max + 1000,
	    .max = max < REFILL_ROWS ? max : REFILL_ROWS,
	    .fresh = hungry ? REFILL_ROWS : 0,
	    .may_open = walk_open_lanes() < LANES_OPEN_ALL};
	rows_init(&r->slice.rows);
	walk_notes_init(&r->notes);
	dest->notes = &r->notes;
	walk_lent(walk);
	rf.under_way++;
	work_submit(work_index, &r->work);
}

/* refill_pump - slices for those in the line, as long as the window has room */
void refill_pump(void)
{
	if (!rf.want || !links_ready())
		return;
	while (rf.want && rf.under_way < REFILL_AT_ONCE) {
		struct dest *dest = rf.want;
		unsigned max = schedule_room(dest);
		if (!max)
			max = schedule_spare(dest);
		if (!max && schedule_full())
			return; /* schedule_leave() comes back */
		DL_DELETE2(rf.want, dest, want_prev, want_next);
		dest->wanted = false;
		if (max) /* else it comes back when one of its own leaves */
			start_refill(dest, max);
	}
}

/* schedule_start - whoever waits for refills is served from now on */
void schedule_start(void)
{
	refill_pump();
}

/* -- start */

/* All destinations of the index, found by jumping from one to the next. */
struct scan {
	struct work work;
	struct wire_out found; /* their names */
	char at[KEYS_DEST_MAX + 2];
	size_t at_len;
	uint32_t n;
	bool more;
	int err;
	void (*done)(void);
};

#define SCAN_SLICE 1000

/* scan_key - the first key of a destination; the next one begins behind it */
static int scan_key(struct msg_bytes key, struct msg_bytes value, struct msg_bytes *seek, void *arg)
{
	struct scan *s = arg;
	struct msg_bytes dest;
	struct due_key at;
	(void)value;
	int err = keys_get_due(key.data, key.len, &dest, &at);
	if (err)
		return err;
	wire_put_bytes(&s->found, dest.data, dest.len);
	memcpy(s->at, dest.data, dest.len);
	s->at[dest.len] = 1; /* behind "dest NUL ..." and before any other name */
	s->at_len = dest.len + 1;
	*seek = (struct msg_bytes){.data = s->at, .len = (uint32_t)s->at_len};
	s->more = ++s->n % SCAN_SLICE == 0;
	return s->more;
}

/* run_scan - on the index thread */
static void run_scan(struct work *work)
{
	struct scan *s = (struct scan *)work;
	s->more = false;
	s->err = index_read_begin();
	if (!s->err)
		s->err = index_walk(TABLE_DUE, s->at, s->at_len, scan_key, s);
	if (s->err > 0)
		s->err = wire_out_end(&s->found);
	index_read_end();
}

/* scanned - in the loop */
static void scanned(struct work *work)
{
	struct scan *s = (struct scan *)work;
	struct wire_in in;
	if (s->err)
		batch_give_up(s->err, "reading the schedule");
	wire_in_init(&in, s->found.base, s->found.len);
	while (wire_left(&in)) {
		size_t len;
		const char *name = wire_get_bytes(&in, &len);
		schedule_rewind(dest_get(name, len));
	}
	wire_out_reset(&s->found);
	if (s->more) {
		work_submit(work_index, work);
		return;
	}
	void (*done)(void) = s->done;
	wire_out_free(&s->found);
	free(s);
	done();
}

/* schedule_load - learn what the index holds */
void schedule_load(void (*done)(void))
{
	struct scan *s = calloc(1, sizeof(*s));
	if (!s)
		log_fatal("out of memory");
	s->work.run = run_scan;
	s->work.done = scanned;
	s->done = done;
	wire_out_grow(&s->found, 16u << 20);
	work_submit(work_index, &s->work);
}
