/* SPDX-License-Identifier: ISC */
/*
 * A segment's row says how far its records have rows (taken) and where it ends, once it is sealed.
 * Without a row, or with a new index, it is read from its beginning, and its done list says what
 * not to take. An orphan's end is found by a scan; then it is closed, and intake reads it like any
 * other.
 */
#include "qmgr/recover.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/clock.h"
#include "lib/counters.h"
#include "lib/log.h"
#include "qmgr/batch.h"
#include "qmgr/copies.h"
#include "qmgr/donefile.h"
#include "qmgr/index.h"
#include "qmgr/intake.h"
#include "qmgr/keys.h"
#include "qmgr/livemap.h"
#include "qmgr/message.h"
#include "qmgr/reclaim.h"
#include "qmgr/segments.h"
#include "qmgr/spool.h"
#include "qmgr/work.h"

#define SCAN_SLICE_MS 20
#define SCAN_BUFFER   (256u << 10)

static struct {
	uint64_t last;
	bool fresh; /* the index is new: segments tell everything */
	unsigned rowless;
} rec;

/* seen - no name or ID up to this one may be used */
static void seen(uint64_t id)
{
	if (id > rec.last)
		rec.last = id;
}

struct counting {
	uint64_t name;
	uint32_t n;
};

/* count_message - a key of the segment's range */
static int count_message(
    struct msg_bytes key, struct msg_bytes value, struct msg_bytes *seek, void *arg)
{
	struct counting *c = arg;
	uint64_t id;
	struct row_msg row;
	(void)seek;
	if (keys_get_msg(key.data, key.len, &id))
		return -EBADMSG;
	if (id - c->name >= SEGMENT_IDS)
		return 1;
	if (keys_get_msg_row(value.data, value.len, &row))
		return -EBADMSG;
	c->n += row.segment == c->name; /* else a copy of it */
	return 0;
}

/*
 * count_messages - whether the index has as many as the segment's row says: for those that may
 * still grow, which the audit can't count later; there are as many as writers
 */
static int count_messages(uint64_t name, uint32_t live)
{
	unsigned char key[8];
	struct counting c = {.name = name};
	int err = index_walk(TABLE_MSG, key, keys_msg(key, name), count_message, &c);
	if (err < 0)
		return err;
	return c.n == live ? 0 : -EBADMSG;
}

/* found_row - a segment the index knows */
static int found_row(
    struct msg_bytes key, struct msg_bytes value, struct msg_bytes *seek, void *arg)
{
	uint64_t name;
	struct row_seg row;
	(void)seek, (void)arg;
	if (keys_get_msg(key.data, key.len, &name) || keys_get_seg_row(value.data, value.len, &row))
		return -EBADMSG;
	enum segment_kind kind = row.kind;
	if (kind > SEGMENT_COPIED)
		return -EBADMSG;
	struct segment *seg = segment_add(name, kind, SEGMENT_ORPHAN);
	seg->known = true;
	seg->nonce = row.nonce;
	seg->size = row.size;
	seg->limit = row.limit;
	seg->taken = seg->taking = seg->read = seg->submitted = row.taken;
	seg->rows = row.live;
	seg->live_bytes = row.live_bytes;
	if (row.end) {
		seg->whole = row.taken == row.end;
		seg->submitted = row.end;
		seg->state = SEGMENT_CLOSED;
	}
	seen(name + SEGMENT_IDS);
	if (seg->whole || !row.live || kind == SEGMENT_COPIED) /* their IDs are of another range */
		return 0;
	return count_messages(name, row.live);
}

/* found_file - a file of the spool */
static void found_file(uint64_t name, enum spool_file what, void *arg)
{
	(void)arg;
	seen(name + SEGMENT_IDS);
	if (what == SPOOL_FREE) {
		if (pool_count() < POOL_MAX)
			pool_add(name);
		else
			spool_unlink(name, what);
		return;
	}
	if (what != SPOOL_SEGMENT)
		return;
	struct segment *seg = segment_find(name);
	if (!seg) {
		seg = segment_add(name, SEGMENT_SHARED, SEGMENT_ORPHAN);
		seg->limit = RECORD_BODY_MAX; /* its kind isn't known */
		rec.rowless++;
	}
	seg->found = true;
}

/* found_map - of a punched segment or of copies; without an index it stands for the scan */
static void found_map(struct segment *seg)
{
	struct livemap map;
	int err = livemap_read(seg->name, &map);
	seg->punched = true;
	seg->held = spool_held(seg->name);
	if (err) { /* what the index has is delivered; without it nothing can be found */
		log_error("segment %016llx: its map can't be read: %s; the file is kept",
		    (unsigned long long)seg->name, strerror(-err));
		seg->damaged = true;
		return;
	}
	if (!(seg->map = malloc(sizeof(map))))
		log_fatal("out of memory for a map");
	*seg->map = map;
	seg->first_id = map.first_id;
	seg->last_id = map.first_id - 1;
	if (map.first_id != seg->name)
		seg->kind = SEGMENT_COPIED;
	if (seg->state != SEGMENT_ORPHAN)
		return;
	seg->state = SEGMENT_CLOSED;
	seg->nonce = map.nonce;
	seg->limit = seg->submitted = map.end;
}

/* found_side - done lists: what ended since the last commit, or everything for a new index; maps */
static void found_side(uint64_t name, enum spool_file what, void *arg)
{
	(void)arg;
	if (what == SPOOL_SEGMENT || what == SPOOL_FREE)
		return;
	struct segment *seg = segment_find(name);
	if (!seg || !seg->found || what == SPOOL_NEW || what == SPOOL_COPY) {
		spool_unlink(name, what);
		return;
	}
	if (what == SPOOL_LIVE) {
		found_map(seg);
		return;
	}
	int err = donefile_read(name, &seg->done, &seg->ndone);
	if (err)
		log_warnc(err, "segment %016llx: done list", (unsigned long long)name);
}

/* drop_missing - rows without a file: reclaimed before the crash, or lost */
static void drop_missing(void)
{
	struct segment *seg, *next;
	for (seg = segment_first(); seg; seg = next) {
		next = seg->hh.next;
		if (seg->found)
			continue;
		if (seg->rows)
			log_error("segment %016llx is missing, %u messages of it are in the queue",
			    (unsigned long long)seg->name, seg->rows);
		else if (seg->taken < seg->submitted)
			log_error("segment %016llx is missing and wasn't read to its end",
			    (unsigned long long)seg->name);
		if (seg->rows)
			continue; /* its messages are deferred until a person brings it back */
		batch_forget_segment(seg->name);
		segment_remove(seg);
	}
}

/* read_rows - what the index says of segments and of names */
static int read_rows(void)
{
	struct msg_bytes value;
	int err = index_read_begin();
	if (err)
		return err;
	err = index_walk(TABLE_SEG, NULL, 0, found_row, NULL);
	if (!err && index_get(TABLE_META, KEYS_META_IDS, sizeof(KEYS_META_IDS) - 1, &value) == 0) {
		struct wire_in in;
		wire_in_init(&in, value.data, value.len);
		seen(wire_get_u64(&in));
		err = wire_in_end(&in);
	}
	counter_set(C_queue_messages, index_count(TABLE_MSG));
	counter_set(C_queue_recipients, index_count(TABLE_RCPT));
	index_read_end();
	return err;
}

/* recover_open - spool and index */
int recover_open(const char *spool, uint64_t map_size, uint64_t *last)
{
	char dir[4096];
	memset(&rec, 0, sizeof(rec));
	if (snprintf(dir, sizeof(dir), "%s/index", spool) >= (int)sizeof(dir))
		return -ENAMETOOLONG;
	int err = spool_open(spool);
	if (!err)
		err = index_open(dir, map_size, &rec.fresh);
	if (!err)
		err = read_rows();
	if (err == -EBADMSG) { /* leave it to the next start to begin anew */
		index_abandon();
		return err;
	}
	if (!err)
		err = spool_list(found_file, NULL);
	if (!err)
		err = spool_list(found_side, NULL);
	if (err)
		return err;
	drop_missing();
	copies_sort_out();
	if (rec.fresh && segment_count())
		log_warnx("the index is new: %u segments are read again; nothing is held or "
			  "paused any more",
		    segment_count());
	*last = rec.last;
	return 0;
}

/* -- scans */

struct scan {
	struct work work;
	struct segment *seg;
	uint64_t at;
	int fd, err;
	bool more;
	unsigned char buf[SCAN_BUFFER];
};

/* run_scan - a slice of records, on the helper thread */
static void run_scan(struct work *work)
{
	struct scan *s = (struct scan *)work;
	int64_t until = clock_ms() + SCAN_SLICE_MS;
	uint64_t size;
	s->more = false;
	if (s->fd < 0) {
		s->err = spool_open_read(s->seg->name, &s->fd, &size);
		if (!s->err && !s->seg->nonce)
			s->err = spool_peek_nonce(s->fd, s->seg->name, &s->seg->nonce);
		if (s->err)
			return;
	}
	while (!s->err && clock_ms() < until) {
		struct record_place place = {
		    .segment = s->seg->name, .nonce = s->seg->nonce, .offset = s->at};
		struct record r;
		s->err = record_check(s->fd, &place, s->buf, sizeof(s->buf), &r);
		if (!s->err)
			s->at += record_len(&r);
	}
	s->more = !s->err;
}

/* scanned - in the loop: go on, or its end is known */
static void scanned(struct work *work)
{
	struct scan *s = (struct scan *)work;
	struct segment *seg = s->seg;
	if (s->more) {
		work_submit(work_files, work);
		return;
	}
	if (s->fd >= 0)
		close(s->fd);
	if (s->err == -EBADMSG)
		log_warnx(
		    "segment %016llx: a torn record at %llu ends it (it was never acknowledged, "
		    "or the disk has lost it)",
		    (unsigned long long)seg->name, (unsigned long long)s->at);
	else if (s->err != -ENOENT)
		log_warnc(s->err, "segment %016llx: scan stopped at %llu",
		    (unsigned long long)seg->name, (unsigned long long)s->at);
	if (s->err != -ENOENT && s->err != -EBADMSG)
		seg->damaged = true; /* what it holds may be read another day: keep the file */
	log_debug("segment %016llx: scanned from %llu to %llu", (unsigned long long)seg->name,
	    (unsigned long long)seg->taken, (unsigned long long)s->at);
	seg->submitted = s->at;
	seg->refs--;
	segment_enter(seg, SEGMENT_CLOSED);
	free(s);
	if (seg->read < seg->submitted)
		intake_more(seg);
	else
		segment_unused(seg);
}

/* scan - one orphan */
static void scan(struct segment *seg)
{
	struct scan *s = malloc(sizeof(*s));
	if (!s)
		log_fatal("out of memory for a scan");
	s->work.run = run_scan;
	s->work.done = scanned;
	s->seg = seg;
	s->at = seg->taken;
	s->fd = -1;
	s->err = 0;
	segment_enter(seg, SEGMENT_SCANNED);
	seg->refs++;
	work_submit(work_files, &s->work);
}

/* recover_orphans - and those that were sealed but not read to their end */
void recover_orphans(void)
{
	struct segment *seg, *next;
	for (seg = segment_first(); seg; seg = next) {
		next = seg->hh.next;
		if (seg->state == SEGMENT_ORPHAN && seg->found) {
			scan(seg);
		} else if (seg->state == SEGMENT_CLOSED && seg->found) {
			if (seg->read < seg->submitted)
				intake_more(seg);
			else
				segment_unused(seg);
		}
	}
}
