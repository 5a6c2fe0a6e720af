/* SPDX-License-Identifier: ISC */
#include "qmgr/compact.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/random.h>

#include "lib/log.h"
#include "lib/loop.h"
#include "lib/record.h"
#include "lib/wire.h"
#include "qmgr/batch.h"
#include "qmgr/copies.h"
#include "qmgr/copy.h"
#include "qmgr/donelist.h"
#include "qmgr/grant.h"
#include "qmgr/index.h"
#include "qmgr/keys.h"
#include "qmgr/living.h"
#include "qmgr/message.h"
#include "qmgr/now.h"
#include "qmgr/segments.h"
#include "qmgr/spool.h"
#include "qmgr/work.h"

/* One segment's way. */
struct compact {
	struct work work;
	struct batch_wait wait;
	struct segment *from, *to; /* both referenced, to: from step 2 on */
	struct living living;      /* of the source: before the copying, and when settling */
	struct copy copy;
	struct wire_out rows; /* of a slice: ID, row */
	size_t next, slice;   /* of the copies */
	unsigned moved;
	int err;
	struct event *timer;
	void (*done)(void);
};

/* of_wait - whose wait it is */
static struct compact *of_wait(struct batch_wait *wait)
{
	return (struct compact *)((char *)wait - offsetof(struct compact, wait));
}

/* unhold - a segment that may have ended meanwhile */
static void unhold(struct segment *seg)
{
	seg->refs--;
	segment_unused(seg);
}

/* finish - whatever came of it */
static void finish(struct compact *c)
{
	struct segment *from = c->from, *to = c->to;
	void (*done)(void) = c->done;
	copy_clear(&c->copy);
	living_clear(&c->living);
	wire_out_free(&c->rows);
	event_free(c->timer);
	free(c);
	unhold(from);
	if (to)
		unhold(to);
	if (done)
		done();
}

/* later - come back by the timer */
static void later(struct compact *c, unsigned ms)
{
	event_add(c->timer,
	    &(struct timeval){.tv_sec = ms / 1000, .tv_usec = (suseconds_t)(ms % 1000 * 1000)});
}

/* -- settling */

/* run_settle - on the files thread */
static void run_settle(struct work *work)
{
	struct compact *c = (struct compact *)work;
	c->err = copy_settle(c->to->name, &c->living);
}

/* settled - in the loop: the two are independent now */
static void settled(struct work *work)
{
	struct compact *c = (struct compact *)work;
	if (c->err) {
		log_warnc(c->err, "segment %016llx: settling its copies",
		    (unsigned long long)c->from->name);
		later(c, COMPACT_RETRY_MS);
		return;
	}
	log_info("segment %016llx: what lives is in %016llx now: %u messages, %llu bytes; %u stay",
	    (unsigned long long)c->from->name, (unsigned long long)c->to->name, c->to->rows,
	    (unsigned long long)c->to->live_bytes, c->from->rows);
	finish(c);
}

/* settle - once the source's done list has all that ended before what lives was read */
static void settle(struct compact *c)
{
	if (c->from->ndone_new) {
		later(c, COMPACT_WAIT_MS);
		return;
	}
	c->work.run = run_settle;
	c->work.done = settled;
	work_submit(work_files, &c->work);
}

/* stays_known - what lives in the source still */
static void stays_known(struct living *living)
{
	settle((struct compact *)((char *)living - offsetof(struct compact, living)));
}

/* all_taken - the index knows every record of it */
static bool all_taken(const struct segment *seg)
{
	return seg->state == SEGMENT_CLOSED && seg->read == seg->submitted &&
	       seg->taken == seg->submitted;
}

/* on_timer - settle, or try it again */
static void on_timer(evutil_socket_t fd, short what, void *arg)
{
	struct compact *c = arg;
	(void)fd, (void)what;
	if (!all_taken(c->from) || !all_taken(c->to)) {
		later(c, COMPACT_WAIT_MS);
		return;
	}
	c->living.done = stays_known;
	living_read(&c->living, c->from);
}

/* all_synced - nothing of what moved can come back to its old place */
static void all_synced(struct batch_wait *wait)
{
	on_timer(-1, 0, of_wait(wait));
}

/* -- moving */

/* move - a message at its new place, unless it is in memory */
static void move(struct compact *c, uint64_t id, size_t copy, struct row_msg *row)
{
	const struct livemap *map = &c->copy.map;
	if (message_find(id) || row->segment != c->from->name || row->offset != map->from[copy])
		return;
	if (donelist_has(c->from, row->offset))
		return; /* it has ended, which is found when its turn comes */
	row->body_at = row->body_at - row->offset + map->places[copy];
	row->offset = map->places[copy];
	row->segment = c->to->name;
	struct message *msg = message_load(id, c->to, row);
	if (!msg)
		log_fatal("out of memory for a message");
	uint64_t len = message_record_len(msg);
	c->from->rows--;
	c->from->live_bytes -= len;
	c->to->rows++;
	c->to->live_bytes += len;
	c->moved++;
	batch_message(msg);
	batch_segment(c->from);
	batch_segment(c->to);
}

/* run_slice - rows as they are, on the index thread */
static void run_slice(struct work *work)
{
	struct compact *c = (struct compact *)work;
	unsigned char key[8];
	struct msg_bytes value;
	wire_out_reset(&c->rows);
	c->err = index_read_begin();
	if (c->err)
		return;
	for (size_t i = c->next; !c->err && i < c->slice; i++) {
		uint64_t id = c->living.v[c->copy.took[i]].id;
		int err = index_get(TABLE_MSG, key, keys_msg(key, id), &value);
		if (err == -ENOENT)
			value.len = 0; /* ended */
		else
			c->err = err;
		wire_put_u64(&c->rows, id);
		wire_put_bytes(&c->rows, value.data, value.len);
	}
	index_read_end();
	if (!c->err)
		c->err = wire_out_end(&c->rows);
}

static void next_slice(struct compact *c);

/* slice_written - the messages have left memory again, or others brought them there */
static void slice_written(struct batch_wait *wait)
{
	next_slice(of_wait(wait));
}

/* sliced - in the loop: a message that isn't in memory is as its row says */
static void sliced(struct work *work)
{
	struct compact *c = (struct compact *)work;
	struct wire_in in;
	struct row_msg row;
	if (c->err)
		batch_give_up(c->err, "reading what moves");
	wire_in_init(&in, c->rows.base, c->rows.len);
	for (; c->next < c->slice; c->next++) {
		size_t len;
		uint64_t id = wire_get_u64(&in);
		const char *bytes = wire_get_bytes(&in, &len);
		if (!len)
			continue;
		if (keys_get_msg_row(bytes, len, &row))
			batch_give_up(-EBADMSG, "reading what moves");
		move(c, id, c->next, &row);
	}
	c->wait.done = slice_written;
	batch_wait(&c->wait, false);
}

/* next_slice - or all has moved that can */
static void next_slice(struct compact *c)
{
	size_t left = c->copy.map.n - c->next;
	if (!left) {
		c->wait.done = all_synced;
		batch_wait(&c->wait, true);
		return;
	}
	c->slice = c->next + (left < COMPACT_ROWS ? left : COMPACT_ROWS);
	c->work.run = run_slice;
	c->work.done = sliced;
	work_submit(work_index, &c->work);
}

/* row_synced - the new segment is known: results may name it from here on */
static void row_synced(struct batch_wait *wait)
{
	next_slice(of_wait(wait));
}

/* -- copying */

/* add - the new segment, closed and without a message */
static struct segment *add(const struct segment *from, const struct copy *copy)
{
	struct segment *to = segment_add(copy->name, SEGMENT_COPIED, SEGMENT_CLOSED);
	to->nonce = copy->nonce;
	to->first_id = copy->first_id;
	to->size = to->limit = copy->map.end;
	to->submitted = to->read = to->taken = to->taking = copy->map.end;
	to->closed_ms = now_ms();
	to->punched = true; /* it has a map */
	copies_carry(to, from, &copy->map);
	to->refs++;
	batch_segment(to);
	return to;
}

/* run_copy - on the files thread */
static void run_copy(struct work *work)
{
	copy_some(&((struct compact *)work)->copy);
}

/* copied - in the loop: a slice, or all */
static void copied(struct work *work)
{
	struct compact *c = (struct compact *)work;
	if (c->copy.more) {
		work_submit(work_files, work);
		return;
	}
	if (c->copy.err || !c->copy.map.n) {
		c->from->no_copy = c->copy.err != 0;
		if (c->copy.err)
			log_warnc(c->copy.err, "segment %016llx: copying what lives",
			    (unsigned long long)c->from->name);
		finish(c);
		return;
	}
	c->to = add(c->from, &c->copy);
	c->wait.done = row_synced;
	batch_wait(&c->wait, true);
}

/* make - both segments held by the caller or below */
static struct compact *make(struct segment *from)
{
	struct compact *c = calloc(1, sizeof(*c));
	if (!c || !(c->timer = evtimer_new(loop_base(), on_timer, c)))
		log_fatal("out of memory for copying a segment");
	c->from = from;
	c->copy.in = c->copy.out = -1;
	wire_out_grow(&c->rows, COMPACT_ROWS * (KEYS_ROW_MAX + 16));
	return c;
}

/* without_memory - what is in memory now will most likely be there later; it stays */
static void without_memory(struct living *living)
{
	size_t kept = 0;
	for (size_t i = 0; i < living->n; i++) {
		if (!message_find(living->v[i].id))
			living->v[kept++] = living->v[i];
	}
	living->n = kept;
}

/* compact_start - a name and a nonce, then the copying */
void compact_start(struct segment *seg, struct living *living, void (*done)(void))
{
	struct compact *c = make(seg);
	struct copy *copy = &c->copy;
	c->living = *living;
	living->v = NULL;
	living_clear(living);
	c->done = done;
	seg->refs++;
	copy->name = grant_name();
	if (!copy->name) {
		finish(c);
		return;
	}
	seg->copied_ms = now_ms();
	without_memory(&c->living);
	if (getrandom(&copy->nonce, sizeof(copy->nonce), 0) != sizeof(copy->nonce))
		log_fatal("no random numbers for a segment");
	copy->nonce |= 1;
	copy->source = seg->name;
	copy->source_nonce = seg->nonce;
	copy->first_id = seg->first_id;
	copy->v = c->living.v;
	copy->n = c->living.n;
	c->work.run = run_copy;
	c->work.done = copied;
	work_submit(work_files, &c->work);
}

/* compact_resume - held until it is settled: the source isn't punched, neither goes away */
void compact_resume(struct segment *copies, struct segment *source)
{
	struct compact *c = make(source);
	c->to = copies;
	source->refs++;
	copies->refs++;
	later(c, COMPACT_WAIT_MS); /* the index is read by the start still */
}
