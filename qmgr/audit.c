/* SPDX-License-Identifier: ISC */
/*
 * A slice is one snapshot, so what it sees of one message is of one transaction. A segment's
 * messages may take several slices; they only get fewer, so together they can't be less than what
 * is left when the walk is through.
 */
#include "qmgr/audit.h"

#include <errno.h>
#include <stdlib.h>

#include "lib/clock.h"
#include "lib/log.h"
#include "lib/loop.h"
#include "lib/record.h"
#include "qmgr/batch.h"
#include "qmgr/index.h"
#include "qmgr/keys.h"
#include "qmgr/segments.h"
#include "qmgr/work.h"

#define COUNTS 64 /* segments that one slice may touch */

static struct {
	struct work work;
	struct event *timer;
	int64_t began, until;
	uint64_t next; /* the message to go on with */
	uint64_t messages;
	bool more;
	int err;
	const char *what; /* is wrong */
	/* messages seen, by segment, in the order of IDs */
	struct {
		uint64_t segment;
		uint32_t n;
	} counts[COUNTS];
	unsigned ncounts;
	/* of the message that is looked at */
	uint64_t id;
	uint32_t rcpts;
} au;

/* -- on the index thread */

/* wrong - what doesn't fit; ends the walk */
static int wrong(const char *what)
{
	au.what = what;
	return -EBADMSG;
}

/* has_due - the recipient's key of the schedule is there */
static bool has_due(const struct row_rcpt *row, uint64_t id, uint32_t number)
{
	unsigned char key[KEYS_DUE_MAX];
	const struct due_key at = {
	    .lane = row->lane, .due = row->due_ms, .id = id, .number = number};
	struct msg_bytes value;
	size_t len = keys_due(key, row->dest.data, row->dest.len, &at);
	return index_get(TABLE_DUE, key, len, &value) == 0;
}

/* rcpt - one row of the message's recipients */
static int rcpt(struct msg_bytes key, struct msg_bytes value, struct msg_bytes *seek, void *arg)
{
	struct row_rcpt row;
	uint64_t id;
	uint32_t number;
	(void)seek, (void)arg;
	if (keys_get_rcpt(key.data, key.len, &id, &number))
		return wrong("a key of a recipient");
	if (id != au.id)
		return 1;
	if (keys_get_rcpt_row(value.data, value.len, &row))
		return wrong("a row of a recipient");
	bool waits = !stage_aside(row.stage) && row.order != ORDER_HOLD && row.dest.len;
	if (waits && !has_due(&row, id, number))
		return wrong("a recipient without its due key");
	au.rcpts++;
	return 0;
}

/* count - one more message of a segment; false when there is no room for another one */
static bool count(uint64_t segment)
{
	unsigned i = au.ncounts; /* the last ones: a segment's and those of its copies */
	while (i && au.counts[i - 1].segment != segment)
		i--;
	if (!i && au.ncounts == COUNTS)
		return false;
	if (!i) {
		i = ++au.ncounts;
		au.counts[i - 1].segment = segment;
		au.counts[i - 1].n = 0;
	}
	au.counts[i - 1].n++;
	return true;
}

/* message - its row, then its recipients' */
static int message(struct msg_bytes key, struct msg_bytes value, struct msg_bytes *seek, void *arg)
{
	unsigned char from[12];
	struct row_msg row;
	(void)seek, (void)arg;
	if (keys_get_msg(key.data, key.len, &au.id))
		return wrong("a key of a message");
	if (keys_get_msg_row(value.data, value.len, &row))
		return wrong("a row of a message");
	bool copied = row.segment > au.id; /* of a segment that is older than its copies */
	if (!copied && au.id - row.segment >= SEGMENT_IDS)
		return wrong("a row of a message");
	au.next = au.id;
	au.more = clock_ms() >= au.until || !count(row.segment);
	if (au.more)
		return 1;
	au.messages++;
	au.rcpts = 0;
	int err = index_walk(TABLE_RCPT, from, keys_rcpt(from, au.id, 0), rcpt, NULL);
	if (err < 0)
		return err;
	return au.rcpts == row.left ? 0 : wrong("a message that lacks recipients");
}

/* run - a slice */
static void run(struct work *work)
{
	unsigned char key[8];
	(void)work;
	au.more = false;
	au.ncounts = 0;
	au.until = clock_ms() + AUDIT_SLICE_MS;
	au.err = index_read_begin();
	if (!au.err)
		au.err = index_walk(TABLE_MSG, key, keys_msg(key, au.next), message, NULL);
	if (au.err > 0)
		au.err = 0;
	index_read_end();
}

/* -- in the loop */

/* check_segments - the messages that their rows count are there */
static void check_segments(void)
{
	const struct segment *seg;
	for (seg = segment_first(); seg; seg = seg->hh.next) {
		if (seg->whole && seg->audited < seg->rows) {
			au.what = "messages that aren't there";
			au.err = -EBADMSG;
		}
	}
}

/* add_counts - of the slice, to the segments */
static void add_counts(void)
{
	for (unsigned i = 0; i < au.ncounts; i++) {
		struct segment *seg = segment_find(au.counts[i].segment);
		if (seg)
			seg->audited += au.counts[i].n;
	}
}

/* sliced - rest, or the end */
static void sliced(struct work *work)
{
	(void)work;
	add_counts();
	if (!au.err && au.more) {
		event_add(au.timer, &(struct timeval){.tv_usec = AUDIT_SLICE_MS * 1000});
		return;
	}
	if (!au.err)
		check_segments();
	if (au.err) {
		log_error("index: %s", au.what ? au.what : "the audit can't read it");
		batch_give_up(au.err, "its audit");
	}
	index_audited();
	log_debug("index: %llu messages audited in %lld ms", (unsigned long long)au.messages,
	    (long long)(clock_ms() - au.began));
}

/* on_timer - the next slice */
static void on_timer(evutil_socket_t fd, short what, void *arg)
{
	(void)fd, (void)what, (void)arg;
	work_submit(work_index, &au.work);
}

/* audit_start - from the first message on */
void audit_start(void)
{
	au.timer = evtimer_new(loop_base(), on_timer, NULL);
	if (!au.timer)
		log_fatal("out of memory for a timer");
	au.began = clock_ms();
	au.work.run = run;
	au.work.done = sliced;
	index_auditing();
	on_timer(-1, 0, NULL);
}
