/* SPDX-License-Identifier: ISC */
/*
 * A segment's messages have IDs of its own range, so what lives of it is one stretch of the table
 * of messages. It is read in slices, each of another moment; rows only go away, so what is found is
 * never too little. What ended since then is in the map, and in the done list, which keeps the
 * entries of the records that the map has.
 */
#include "qmgr/punch.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/hash.h"
#include "lib/log.h"
#include "lib/loop.h"
#include "lib/record.h"
#include "qmgr/batch.h"
#include "qmgr/donefile.h"
#include "qmgr/index.h"
#include "qmgr/keys.h"
#include "qmgr/livemap.h"
#include "qmgr/now.h"
#include "qmgr/queue.h"
#include "qmgr/segments.h"
#include "qmgr/spool.h"
#include "qmgr/work.h"

/* A record that lives. */
struct extent {
	uint64_t at, end;
};

/* One segment's way: rows, sync, map, holes. Referenced by seg->refs. */
struct punch {
	struct work work;
	struct batch_wait wait;
	struct segment *seg;
	uint64_t name, nonce, end;
	struct extent *live;
	size_t n, room;
	uint64_t next_id; /* rows from here on */
	unsigned slice;   /* rows of this one */
	bool more;
	int err;
	/* holes */
	int fd;
	uint64_t size, block, held;
	size_t gap; /* the next one: before live[gap], the last one behind all */
};

static struct {
	struct event *timer;
	bool running, cannot;
	uint64_t not_before; /* after an error */
} pu;

/* -- who qualifies */

/* quiet - nothing refers to it but messages that wait */
static bool quiet(const struct segment *seg)
{
	return seg->state == SEGMENT_CLOSED && seg->kind == SEGMENT_SHARED && !seg->damaged &&
	       seg->rows && seg->read == seg->submitted && seg->taken == seg->submitted &&
	       !seg->refs && !seg->queued && !seg->opening && !seg->ndone_new &&
	       now_ms() >= seg->closed_ms + PUNCH_QUIET_MS;
}

/* worth_it - it takes much more than what lives; once punched, when that is half of what it was */
static bool worth_it(struct segment *seg)
{
	uint64_t held = seg->held;
	if (!held)
		held = seg->size > seg->submitted ? seg->size : seg->submitted;
	if (seg->punched_live && seg->live_bytes > seg->punched_live / 2)
		return false;
	return held > seg->live_bytes * PUNCH_RATIO + PUNCH_MIN;
}

/* -- holes, on the files thread */

/* edge - a gap's borders, inside of the blocks that the records around it touch */
static void edge(const struct punch *p, size_t gap, uint64_t *from, uint64_t *to)
{
	uint64_t after = gap ? p->live[gap - 1].end : 0;
	uint64_t before = gap < p->n ? p->live[gap].at : p->size;
	*from = (after + p->block - 1) / p->block * p->block;
	*to = gap < p->n ? before / p->block * p->block
			 : (before + p->block - 1) / p->block * p->block;
}

/* begin - the file, the map, the done list; only then holes */
static int begin(struct punch *p)
{
	struct stat st;
	struct livemap map = {.nonce = p->nonce, .end = p->end, .n = p->n};
	p->fd = spool_open_file(p->name, SPOOL_SEGMENT, O_RDWR);
	if (p->fd < 0)
		return p->fd;
	if (fstat(p->fd, &st))
		return -errno;
	p->size = (uint64_t)st.st_size;
	p->block = st.st_blksize > 0 ? (uint64_t)st.st_blksize : 4096;
	map.places = malloc(p->n * sizeof(uint64_t) + 1);
	if (!map.places)
		return -ENOMEM;
	for (size_t i = 0; i < p->n; i++)
		map.places[i] = p->live[i].at;
	int err = livemap_write(p->name, &map);
	if (!err)
		err = donefile_keep(p->name, map.places, map.n);
	free(map.places);
	return err;
}

/* run_holes - a slice of them */
static void run_holes(struct work *work)
{
	struct punch *p = (struct punch *)work;
	struct stat st;
	if (p->fd < 0)
		p->err = begin(p);
	for (unsigned i = 0; !p->err && i < PUNCH_HOLES && p->gap <= p->n; p->gap++) {
		uint64_t from, to;
		edge(p, p->gap, &from, &to);
		if (from >= to)
			continue;
		i++;
		if (fallocate(p->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)from,
			(off_t)(to - from)))
			p->err = -errno;
	}
	p->more = !p->err && p->gap <= p->n;
	if (p->more || p->fd < 0)
		return;
	p->held = fstat(p->fd, &st) ? p->size : (uint64_t)st.st_blocks * 512;
	close(p->fd);
}

/* -- in the loop */

/* finish - whatever came of it */
static void finish(struct punch *p)
{
	struct segment *seg = p->seg;
	free(p->live);
	free(p);
	pu.running = false;
	event_add(pu.timer, &(struct timeval){.tv_usec = PUNCH_PAUSE_MS * 1000});
	seg->refs--;
	segment_unused(seg); /* may have ended meanwhile */
}

/* failed - say so, and leave it for a while */
static void failed(const struct punch *p)
{
	if (p->err == -EOPNOTSUPP) {
		log_warnx("the spool's file system can't punch holes: segments with a few old "
			  "messages keep all their space");
		pu.cannot = true;
		return;
	}
	log_warnc(p->err, "segment %016llx: holes", (unsigned long long)p->name);
	pu.not_before = now_ms() + PUNCH_AGAIN_MS;
}

/* holes_done - a slice, or all of them */
static void holes_done(struct work *work)
{
	struct punch *p = (struct punch *)work;
	if (p->more) {
		work_submit(work_files, work);
		return;
	}
	if (p->err) {
		failed(p);
	} else {
		p->seg->held = p->held;
		log_info("segment %016llx: punched; %zu messages, %llu bytes live, %llu held",
		    (unsigned long long)p->name, p->n, (unsigned long long)p->seg->punched_live,
		    (unsigned long long)p->held);
	}
	finish(p);
}

/* synced - what isn't in the list is dead for good */
static void synced(struct batch_wait *wait)
{
	struct punch *p = (struct punch *)((char *)wait - offsetof(struct punch, wait));
	p->seg->punched = true;
	p->seg->punched_live = 0;
	for (size_t i = 0; i < p->n; i++)
		p->seg->punched_live += p->live[i].end - p->live[i].at;
	p->fd = -1;
	p->work.run = run_holes;
	p->work.done = holes_done;
	work_submit(work_files, &p->work);
}

/* compare - by place */
static int compare(const void *a, const void *b)
{
	const struct extent *x = a, *y = b;
	return x->at < y->at ? -1 : x->at > y->at;
}

/*
 * plausible - an index that has fewer messages of the segment than memory counts, or records that
 * overlap, is broken: what it says isn't enough to throw anything away
 */
static bool plausible(const struct punch *p)
{
	for (size_t i = 0; i < p->n; i++) {
		if (p->live[i].end > p->end || (i && p->live[i].at < p->live[i - 1].end))
			return false;
	}
	return p->n >= p->seg->rows;
}

/* -- rows, on the index thread */

/* row_of - one message of the segment */
static int row_of(struct msg_bytes key, struct msg_bytes value, struct msg_bytes *seek, void *arg)
{
	struct punch *p = arg;
	struct row_msg row;
	uint64_t id;
	(void)seek;
	if (keys_get_msg(key.data, key.len, &id))
		return -EBADMSG;
	if (id - p->name >= SEGMENT_IDS)
		return 1;
	p->next_id = id;
	if (p->slice++ == PUNCH_ROWS) {
		p->more = true;
		return 1;
	}
	if (keys_get_msg_row(value.data, value.len, &row) || row.segment != p->name)
		return -EBADMSG;
	if (p->n == p->room) {
		p->room = p->room ? p->room * 2 : 64;
		p->live = realloc(p->live, p->room * sizeof(*p->live));
		if (!p->live)
			return -ENOMEM;
	}
	p->live[p->n++] = (struct extent){
	    .at = row.offset, .end = row.body_at + row.body_len + row.late_len + RECORD_TRAILER};
	return 0;
}

/* run_rows - a slice of them */
static void run_rows(struct work *work)
{
	struct punch *p = (struct punch *)work;
	unsigned char key[8];
	p->more = false;
	p->slice = 0;
	p->err = index_read_begin();
	if (!p->err)
		p->err = index_walk(TABLE_MSG, key, keys_msg(key, p->next_id), row_of, p);
	if (p->err > 0)
		p->err = 0;
	index_read_end();
}

/* rows_done - a slice, or all: then the sync */
static void rows_done(struct work *work)
{
	struct punch *p = (struct punch *)work;
	if (!p->err && p->more) {
		work_submit(work_index, work);
		return;
	}
	qsort(p->live, p->n, sizeof(*p->live), compare);
	if (p->err || !plausible(p))
		batch_give_up(p->err ? p->err : -EBADMSG, "reading what lives of a segment");
	p->wait.done = synced;
	batch_wait(&p->wait, true);
}

/* start - one segment */
static void start(struct segment *seg)
{
	struct punch *p = calloc(1, sizeof(*p));
	if (!p)
		log_fatal("out of memory");
	p->seg = seg;
	p->name = p->next_id = seg->name;
	p->nonce = seg->nonce;
	p->end = seg->submitted;
	p->fd = -1;
	p->work.run = run_rows;
	p->work.done = rows_done;
	seg->refs++;
	pu.running = true;
	work_submit(work_index, &p->work);
}

/* on_timer - the first that qualifies */
static void on_timer(evutil_socket_t fd, short what, void *arg)
{
	struct segment *seg;
	(void)fd, (void)what, (void)arg;
	event_add(pu.timer, &(struct timeval){.tv_sec = PUNCH_CHECK_MS / 1000});
	if (pu.running || pu.cannot || !queue_delivering() || now_ms() < pu.not_before)
		return;
	for (seg = segment_first(); seg; seg = seg->hh.next) {
		if (quiet(seg) && worth_it(seg)) {
			start(seg);
			return;
		}
	}
}

/* punch_start - look now and then */
void punch_start(void)
{
	pu.timer = evtimer_new(loop_base(), on_timer, NULL);
	if (!pu.timer)
		log_fatal("out of memory for a timer");
	on_timer(-1, 0, NULL);
}
