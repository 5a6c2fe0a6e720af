/* SPDX-License-Identifier: ISC */
/*
 * Reading back: the second half of qmgr/schedule.h. It runs on the index thread in slices of
 * REFILL_ROWS: walks a destination's due keys from its cursor on and copies what is due.
 * Destinations that want it stand in one line; REFILL_AT_ONCE slices are under way at a time. What
 * was found is placed like anything else, so a window that has filled up meanwhile only sends a row
 * back to where it is already.
 *
 * While a slice is under way, what comes to the index is only noted (dest->noted) and counts when
 * the slice is over: it may lie behind the cursor, where the slice has looked, or not.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "lib/child.h"
#include "lib/log.h"
#include "lib/loop.h"
#include "qmgr/batch.h"
#include "qmgr/dest.h"
#include "qmgr/index.h"
#include "qmgr/links.h"
#include "qmgr/load.h"
#include "qmgr/message.h"
#include "qmgr/now.h"
#include "qmgr/route.h"
#include "qmgr/schedule.h"
#include "qmgr/settle.h"
#include "qmgr/work.h"

static struct {
	unsigned under_way; /* slices */
	struct dest *want;  /* the line */
} rf;

/* arm - the timer for what is due later */
static void arm(struct dest *dest)
{
	uint64_t now = now_ms();
	if (dest->index_due == DEST_NEVER) {
		event_del(&dest->timer);
		return;
	}
	uint64_t ms = dest->index_due > now ? dest->index_due - now : 0;
	const struct timeval tv = {
	    .tv_sec = (time_t)(ms / 1000), .tv_usec = (suseconds_t)(ms % 1000 * 1000)};
	event_add(&dest->timer, &tv);
}

/* schedule_note - one more in the index */
void schedule_note(struct dest *dest, uint64_t due_ms)
{
	if (dest->refilling) { /* the slice under way may have passed that place */
		if (due_ms < dest->noted)
			dest->noted = due_ms;
		return;
	}
	if (dest->cursor.set && due_ms <= dest->cursor.due)
		dest->cursor.set = false;
	if (due_ms >= dest->index_due)
		return;
	dest->index_due = due_ms;
	schedule_refill(dest);
}

/* schedule_rewind - from its first key on */
void schedule_rewind(struct dest *dest)
{
	if (dest->refilling) {
		dest->noted = 0;
		return;
	}
	dest->cursor.set = false;
	dest->index_due = 0;
	schedule_refill(dest);
}

/* schedule_refill - into the line, or the timer set */
void schedule_refill(struct dest *dest)
{
	if (dest->index_due > now_ms()) {
		arm(dest);
		return;
	}
	if (dest->wanted || dest->refilling || dest_parked(dest) || dest->nready >= REFILL_LOW)
		return;
	dest->wanted = true;
	DL_APPEND2(rf.want, dest, want_prev, want_next);
	refill_pump();
}

/* A slice of reading back. */
struct refill {
	struct work work;
	struct dest *dest;
	struct dest_cursor cursor;
	uint64_t until; /* due keys up to this time */
	uint32_t max;
	struct rows rows;
	uint64_t next_due; /* of the first key behind: DEST_NEVER, or where it goes on */
	bool more;
	bool expiring;   /* only those whose lifetime is over, of all due times */
	uint64_t oldest; /* the earliest ID seen, in ms */
	int err;
};

/* refill_key - one due key; the walk's callback */
static int refill_key(
    struct msg_bytes key, struct msg_bytes value, struct msg_bytes *seek, void *arg)
{
	struct refill *r = arg;
	struct msg_bytes dest;
	struct due_key at;
	(void)value, (void)seek;
	int err = keys_get_due(key.data, key.len, &dest, &at);
	if (err)
		return err;
	if (dest.len != r->dest->name_len || memcmp(dest.data, r->dest->name, dest.len))
		return 1;
	const struct dest_cursor *c = &r->cursor;
	if (c->set && at.due == c->due && at.id == c->id && at.number == c->number)
		return 0; /* where the last slice ended */
	if (at.id / 1000 < r->oldest)
		r->oldest = at.id / 1000;
	if (!r->expiring && at.due > r->until) {
		r->next_due = at.due;
		return 1;
	}
	if (r->rows.n >= r->max) {
		r->next_due = at.due;
		r->more = true;
		return 1;
	}
	if (r->expiring && at.id / 1000 > r->until)
		return 0;
	err = rows_add(&r->rows, at.id, at.number);
	r->cursor = (struct dest_cursor){
	    .due = at.due, .id = at.id, .number = at.number, .set = true};
	return err;
}

/* run_refill - on the index thread; the destination's name never changes */
static void run_refill(struct work *work)
{
	struct refill *r = (struct refill *)work;
	unsigned char key[KEYS_DUE_MAX];
	struct due_key from = {0};
	if (r->cursor.set)
		from = (struct due_key){
		    .due = r->cursor.due, .id = r->cursor.id, .number = r->cursor.number};
	size_t len = keys_due(key, r->dest->name, r->dest->name_len, &from);
	r->err = index_read_begin();
	if (!r->err)
		r->err = index_walk(TABLE_DUE, key, len, refill_key, r);
	if (r->err > 0)
		r->err = 0;
	index_read_end();
}

/* place_rows - what was found goes where it belongs */
static void place_rows(struct refill *r)
{
	struct row row;
	size_t pos = 0;
	int err;
	while ((err = rows_next(&r->rows, &pos, &row)) == 1) {
		struct rcpt *rcpt = row_load(&row);
		if (rcpt)
			route_rcpt(rcpt);
	}
	if (err)
		batch_give_up(err, "reading the schedule");
}

/* end_slice - what came to the index meanwhile counts again */
static void end_slice(struct dest *dest)
{
	uint64_t noted = dest->noted;
	dest->refilling = false;
	dest->noted = DEST_NEVER;
	if (noted != DEST_NEVER)
		schedule_note(dest, noted);
}

/* refilled - in the loop */
static void refilled(struct work *work)
{
	struct refill *r = (struct refill *)work;
	struct dest *dest = r->dest;
	if (r->err)
		batch_give_up(r->err, "reading the schedule");
	rf.under_way--;
	dest->cursor = r->cursor;
	dest->cursor.set = r->more;
	/* Told by a clock that was far ahead: read it now, row_load() sets it right. */
	uint64_t latest = now_ms() + child_self()->conf->retry.max + 1000;
	if (r->next_due != DEST_NEVER && r->next_due > latest)
		dest->clamp = true;
	else if (!r->more)
		dest->clamp = false;
	dest->index_due = dest->clamp ? 0 : r->next_due;
	end_slice(dest);
	place_rows(r);
	rows_free(&r->rows);
	free(r);
	if (dest->index_due != DEST_NEVER)
		schedule_refill(dest);
	refill_pump();
}

/* start_refill - one slice for the first in the line */
static void start_refill(struct dest *dest, unsigned max)
{
	struct refill *r = calloc(1, sizeof(*r));
	if (!r)
		log_fatal("out of memory");
	r->work.run = run_refill;
	r->work.done = refilled;
	r->dest = dest;
	r->cursor = dest->cursor;
	r->until = dest->clamp ? UINT64_MAX : now_ms();
	r->max = max < REFILL_ROWS ? max : REFILL_ROWS;
	r->next_due = DEST_NEVER;
	r->oldest = UINT64_MAX;
	rows_init(&r->rows);
	dest->refilling = true;
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
		if (!max && schedule_active() >= WINDOW_ALL)
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

/* -- lifetimes of parked mail */

/* expired - in the loop */
static void expired(struct work *work)
{
	struct refill *r = (struct refill *)work;
	struct dest *dest = r->dest;
	struct row row;
	size_t pos = 0;
	int err = r->err;
	while (!err && (err = rows_next(&r->rows, &pos, &row)) == 1) {
		struct rcpt *rcpt = row_load(&row);
		err = 0;
		if (!rcpt)
			continue;
		route_assign(rcpt);
		if (rcpt->stage == STAGE_MAIL && schedule_expired(rcpt, now_ms()))
			settle_expired(rcpt);
		else
			schedule_place(rcpt);
	}
	if (err)
		batch_give_up(err, "reading the schedule");
	rows_init(&r->rows);
	if (r->more) {
		r->more = false;
		work_submit(work_index, work);
		return;
	}
	dest->oldest_ms = r->oldest;
	free(r);
	end_slice(dest);
	schedule_refill(dest);
}

/* schedule_expire - all of one destination, if any can be that old */
void schedule_expire(struct dest *dest)
{
	uint64_t now = now_ms(), lifetime = child_self()->conf->retry.lifetime;
	if (dest->refilling || dest->index_due == DEST_NEVER ||
	    (dest->oldest_ms && dest->oldest_ms + lifetime > now))
		return;
	struct refill *r = calloc(1, sizeof(*r));
	if (!r)
		log_fatal("out of memory");
	r->work.run = run_refill;
	r->work.done = expired;
	r->dest = dest;
	r->expiring = true;
	r->until = now > lifetime ? now - lifetime : 0;
	r->max = REFILL_ROWS;
	r->next_due = DEST_NEVER;
	r->oldest = UINT64_MAX;
	rows_init(&r->rows);
	dest->refilling = true;
	work_submit(work_index, &r->work);
}

/* -- start */

/* All destinations of the index and their first due times, found by jumping from one to the next.
 */
struct scan {
	struct work work;
	struct wire_out found; /* dest, due */
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
	wire_put_u64(&s->found, at.due);
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
	uint64_t latest = now_ms() + child_self()->conf->retry.max + 1000;
	if (s->err)
		batch_give_up(s->err, "reading the schedule");
	wire_in_init(&in, s->found.base, s->found.len);
	while (wire_left(&in)) {
		size_t len;
		const char *name = wire_get_bytes(&in, &len);
		uint64_t due = wire_get_u64(&in);
		struct dest *dest = dest_get(name, len);
		dest->clamp = due > latest;
		schedule_note(dest, dest->clamp ? 0 : due);
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
