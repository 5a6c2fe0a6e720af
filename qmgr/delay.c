/* SPDX-License-Identifier: ISC */
/*
 * A queue ID is no younger than its message: it was dealt with the segment, from the clock. So the
 * walk ends at the first ID younger than retry.warn, and what it has passed is settled, but for two
 * things: a message that came long after its ID was dealt (`waiting`), and segments that more
 * messages will be read from (floor()). The next walk begins at the first of them.
 */
#include "qmgr/delay.h"

#include <errno.h>

#include "lib/child.h"
#include "lib/log.h"
#include "lib/loop.h"
#include "qmgr/batch.h"
#include "qmgr/index.h"
#include "qmgr/load.h"
#include "qmgr/message.h"
#include "qmgr/now.h"
#include "qmgr/report.h"
#include "qmgr/route.h"
#include "qmgr/schedule.h"
#include "qmgr/segments.h"
#include "qmgr/work.h"

/* The walk, and its slice under way. */
static struct {
	struct work work;
	struct event *timer;
	bool running, anew;
	uint64_t from; /* the next walk begins at this ID */
	/* this walk: */
	uint64_t before;  /* who arrived before that is late */
	uint64_t floor;   /* behind this ID messages may be unread */
	uint64_t waiting; /* the first ID of a message that isn't late yet */
	uint64_t at_id;   /* where the next slice begins */
	uint32_t at_number;
	uint32_t looks;
	struct rows rows;
	bool more;
	int err;
} d;

/* -- on the index thread */

/* stop - the slice is full: the next one begins here */
static int stop(uint64_t id, uint32_t number)
{
	d.at_id = id;
	d.at_number = number;
	d.more = true;
	return 1;
}

/* late - by its arrival; -E... */
static int late(uint64_t id, bool *is)
{
	unsigned char key[8];
	struct msg_bytes value;
	struct row_msg row;
	int err = index_get(TABLE_MSG, key, keys_msg(key, id), &value);
	if (!err)
		err = keys_get_msg_row(value.data, value.len, &row);
	if (err)
		return err == -ENOENT ? -EBADMSG : err;
	*is = row.arrival_ms <= d.before;
	return 0;
}

/* on_rcpt - a recipient in the order of IDs */
static int on_rcpt(struct msg_bytes key, struct msg_bytes value, struct msg_bytes *seek, void *arg)
{
	uint64_t id;
	uint32_t number;
	struct row_rcpt row;
	bool is_late;
	(void)seek, (void)arg;
	int err = keys_get_rcpt(key.data, key.len, &id, &number);
	if (!err)
		err = keys_get_rcpt_row(value.data, value.len, &row);
	if (err)
		return err;
	if (id / 1000 > d.before) {
		d.at_id = id;
		return 1;
	}
	if (d.rows.n >= DELAY_ROWS || d.looks++ >= DELAY_LOOKS)
		return stop(id, number);
	if (row.stage != STAGE_MAIL || row.flags & RCPTF_WARNED || row.order)
		return 0;
	err = late(id, &is_late);
	if (err)
		return err;
	if (is_late)
		return rows_add_row(&d.rows, id, number, value);
	if (id < d.waiting)
		d.waiting = id;
	return 0;
}

/* run - a slice */
static void run(struct work *work)
{
	unsigned char key[12];
	size_t len = keys_rcpt(key, d.at_id, d.at_number);
	(void)work;
	d.more = false;
	d.looks = 0;
	d.at_id = UINT64_MAX;
	d.err = index_read_begin();
	if (!d.err)
		d.err = index_walk(TABLE_RCPT, key, len, on_rcpt, NULL);
	if (d.err > 0)
		d.err = 0;
	index_read_end();
}

/* -- in the loop */

/* floor_now - the first ID from which on messages may come that have no rows yet */
static uint64_t floor_now(void)
{
	uint64_t floor = UINT64_MAX;
	for (struct segment *seg = segment_first(); seg; seg = seg->hh.next) {
		uint64_t id = UINT64_MAX;
		if (seg->state != SEGMENT_CLOSED || seg->read < seg->submitted)
			id = seg->last_id > seg->name ? seg->last_id : seg->name;
		if (seg->messages && seg->messages->id < id)
			id = seg->messages->id;
		if (id < floor && seg->state != SEGMENT_DEAD)
			floor = id;
	}
	return floor;
}

/* arm - the next walk */
static void arm(uint64_t ms)
{
	const struct timeval tv = {
	    .tv_sec = (time_t)(ms / 1000), .tv_usec = (suseconds_t)(ms % 1000 * 1000)};
	event_add(d.timer, &tv);
}

/* delay_interval - between two walks */
uint64_t delay_interval(uint64_t warn)
{
	uint64_t ms = warn / DELAY_PARTS;
	return ms < DELAY_EVERY_MIN ? DELAY_EVERY_MIN : ms > DELAY_EVERY_MAX ? DELAY_EVERY_MAX : ms;
}

/* tell - a late recipient, wherever it is; one that was only in the index goes back there */
static void tell(const struct row *row)
{
	struct message *msg = message_find(row->id);
	struct rcpt *rcpt = msg ? rcpt_find(msg, row->number) : NULL;
	if (rcpt) {
		report_delay(rcpt);
		return;
	}
	rcpt = row_load(row);
	if (!rcpt)
		return;
	route_assign(rcpt);
	report_delay(rcpt);
	schedule_place(rcpt);
}

/* walked - a slice is back */
static void walked(struct work *work)
{
	struct row row;
	size_t pos = 0;
	int err = d.err;
	while (!err && (err = rows_next(&d.rows, &pos, &row)) == 1) {
		tell(&row);
		err = 0;
	}
	if (err)
		batch_give_up(err, "looking for late mail");
	rows_free(&d.rows);
	rows_init(&d.rows);
	if (d.more) {
		work_submit(work_index, work);
		return;
	}
	rows_free(&d.rows);
	d.running = false;
	d.from = d.at_id < d.waiting ? d.at_id : d.waiting;
	if (d.floor < d.from)
		d.from = d.floor;
	if (d.anew)
		d.from = 0;
	if (child_self()->conf->retry.warn)
		arm(delay_interval(child_self()->conf->retry.warn));
}

/* on_timer - a walk */
static void on_timer(evutil_socket_t fd, short what, void *arg)
{
	uint64_t warn = child_self()->conf->retry.warn, now = now_ms();
	(void)fd, (void)what, (void)arg;
	if (d.running || !warn)
		return;
	d.running = true;
	d.anew = false;
	d.before = now > warn ? now - warn : 0;
	d.floor = floor_now();
	d.waiting = UINT64_MAX;
	d.at_id = d.from;
	d.at_number = 0;
	rows_init(&d.rows);
	work_submit(work_index, &d.work);
}

/* delay_start - the first walk after the grace */
void delay_start(void)
{
	uint64_t warn = child_self()->conf->retry.warn;
	if (!d.timer)
		d.timer = evtimer_new(loop_base(), on_timer, NULL);
	if (!d.timer)
		log_fatal("out of memory for a timer");
	d.work.run = run;
	d.work.done = walked;
	d.from = 0;
	if (warn)
		arm(warn < DELAY_GRACE_MS ? warn : DELAY_GRACE_MS);
}

/* delay_reconfigure - the age may be another one */
void delay_reconfigure(void)
{
	uint64_t warn = child_self()->conf->retry.warn;
	d.from = 0;
	d.anew = d.running;
	if (d.timer && warn && !d.running)
		arm(delay_interval(warn));
}
