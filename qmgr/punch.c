/* SPDX-License-Identifier: ISC */
/*
 * What ended after the rows were read is in the map, and in the done list, which keeps the entries
 * of the records that the map has.
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
#include "qmgr/compact.h"
#include "qmgr/donefile.h"
#include "qmgr/livemap.h"
#include "qmgr/living.h"
#include "qmgr/now.h"
#include "qmgr/queue.h"
#include "qmgr/segments.h"
#include "qmgr/spool.h"
#include "qmgr/work.h"

/* One segment's way: rows, sync, then copies, or map and holes. Referenced by seg->refs. */
struct punch {
	struct work work;
	struct batch_wait wait;
	struct segment *seg;
	struct living living;
	uint64_t name, nonce, end, first_id;
	bool more;
	int err;
	/* holes */
	int fd;
	uint64_t size, block, held;
	size_t gap; /* the next one: before the living record of that number, the last behind all */
};

static struct {
	struct event *timer;
	struct punch_pace pace;
	bool running;
	bool cannot;         /* the file system has no holes */
	uint64_t not_before; /* after an error */
} pu;

/* -- who qualifies */

/* quiet - nothing refers to it but messages that wait */
static bool quiet(const struct segment *seg)
{
	return seg->state == SEGMENT_CLOSED && seg->kind != SEGMENT_SINGLE && !seg->damaged &&
	       seg->rows && seg->read == seg->submitted && seg->taken == seg->submitted &&
	       !seg->refs && !seg->queued && !seg->opening && !seg->ndone_new &&
	       now_ms() >= seg->closed_ms + pu.pace.quiet_ms &&
	       (!seg->copied_ms || now_ms() >= seg->copied_ms + COMPACT_AGAIN_MS);
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

/* touched - bytes of the blocks that what lives lies in: what holes leave */
static uint64_t touched(const struct living *living)
{
	uint64_t blocks = 0, next = 0;
	for (size_t i = 0; i < living->n; i++) {
		uint64_t first = living->v[i].at / PUNCH_BLOCK;
		uint64_t end = (living->v[i].end + PUNCH_BLOCK - 1) / PUNCH_BLOCK;
		blocks += end - (first > next ? first : next);
		next = end;
	}
	return blocks * PUNCH_BLOCK;
}

/* may_copy - copies of copies aren't made, and most of it isn't in memory, where it would stay */
static bool may_copy(const struct segment *seg)
{
	return seg->kind == SEGMENT_SHARED && !seg->no_copy && seg->in_memory * 2 <= seg->rows;
}

/* wants_copy - holes would leave much more than what lives */
static bool wants_copy(const struct punch *p)
{
	uint64_t live = p->seg->live_bytes, left = touched(&p->living);
	return pu.cannot || (left > live * PUNCH_COPY / 100 && left > live + PUNCH_COPY_MIN);
}

/* -- holes, on the files thread */

/* edge - a gap's borders, inside of the blocks that the records around it touch */
static void edge(const struct punch *p, size_t gap, uint64_t *from, uint64_t *to)
{
	uint64_t after = gap ? p->living.v[gap - 1].end : 0;
	uint64_t before = gap < p->living.n ? p->living.v[gap].at : p->size;
	*from = (after + p->block - 1) / p->block * p->block;
	*to = gap < p->living.n ? before / p->block * p->block
				: (before + p->block - 1) / p->block * p->block;
}

/* begin - the file, the map, the done list; only then holes */
static int begin(struct punch *p)
{
	struct stat st;
	struct livemap map = {
	    .nonce = p->nonce, .end = p->end, .first_id = p->first_id, .settled = true};
	p->fd = spool_open_file(p->name, SPOOL_SEGMENT, O_RDWR);
	if (p->fd < 0)
		return p->fd;
	if (fstat(p->fd, &st))
		return -errno;
	p->size = (uint64_t)st.st_size;
	p->block = st.st_blksize > 0 ? (uint64_t)st.st_blksize : 4096;
	map.n = p->living.n;
	map.places = malloc(map.n * sizeof(uint64_t) + 1);
	if (!map.places)
		return -ENOMEM;
	for (size_t i = 0; i < map.n; i++)
		map.places[i] = p->living.v[i].at;
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
	for (unsigned i = 0; !p->err && i < PUNCH_HOLES && p->gap <= p->living.n; p->gap++) {
		uint64_t from, to;
		edge(p, p->gap, &from, &to);
		if (from >= to)
			continue;
		i++;
		if (fallocate(p->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)from,
			(off_t)(to - from)))
			p->err = -errno;
	}
	p->more = !p->err && p->gap <= p->living.n;
	if (p->more || p->fd < 0)
		return;
	p->held = fstat(p->fd, &st) ? p->size : (uint64_t)st.st_blocks * 512;
	close(p->fd);
}

/* -- in the loop */

/* rest - until the next one */
static void rest(void)
{
	pu.running = false;
	event_add(pu.timer, &(struct timeval){.tv_usec = PUNCH_PAUSE_MS * 1000});
}

/* leave - the segment */
static void leave(struct punch *p)
{
	struct segment *seg = p->seg;
	living_clear(&p->living);
	free(p);
	seg->refs--;
	segment_unused(seg); /* may have ended meanwhile */
}

/* finish - whatever came of it */
static void finish(struct punch *p)
{
	leave(p);
	rest();
}

/* failed - say so, and leave it for a while */
static void failed(const struct punch *p)
{
	if (p->err == -EOPNOTSUPP) {
		log_warnx("the spool's file system can't punch holes: the messages of segments "
			  "with a few old ones are copied instead");
		pu.cannot = true;
		p->seg->punched_live = 0;
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
		    (unsigned long long)p->name, p->living.n,
		    (unsigned long long)p->seg->punched_live, (unsigned long long)p->held);
	}
	finish(p);
}

/* holes - the map first */
static void holes(struct punch *p)
{
	p->seg->punched = true;
	p->seg->punched_live = 0;
	for (size_t i = 0; i < p->living.n; i++)
		p->seg->punched_live += p->living.v[i].end - p->living.v[i].at;
	p->work.run = run_holes;
	p->work.done = holes_done;
	work_submit(work_files, &p->work);
}

/* synced - what isn't in the list is dead for good */
static void synced(struct batch_wait *wait)
{
	struct punch *p = (struct punch *)((char *)wait - offsetof(struct punch, wait));
	if (wants_copy(p) && may_copy(p->seg)) {
		compact_start(p->seg, &p->living, rest);
		leave(p);
	} else if (pu.cannot) {
		finish(p);
	} else {
		holes(p);
	}
}

/* rows_known - then the sync */
static void rows_known(struct living *living)
{
	struct punch *p = (struct punch *)((char *)living - offsetof(struct punch, living));
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
	p->name = seg->name;
	p->nonce = seg->nonce;
	p->first_id = seg->first_id;
	p->end = seg->submitted;
	p->fd = -1;
	seg->refs++;
	pu.running = true;
	p->living.done = rows_known;
	living_read(&p->living, seg);
}

/* on_timer - the first that qualifies */
static void on_timer(evutil_socket_t fd, short what, void *arg)
{
	struct segment *seg;
	(void)fd, (void)what, (void)arg;
	event_add(pu.timer, &(struct timeval){.tv_sec = pu.pace.check_ms / 1000,
				.tv_usec = pu.pace.check_ms % 1000 * 1000});
	if (pu.running || !queue_delivering() || now_ms() < pu.not_before)
		return;
	for (seg = segment_first(); seg; seg = seg->hh.next) {
		if (quiet(seg) && worth_it(seg) && (!pu.cannot || may_copy(seg))) {
			start(seg);
			return;
		}
	}
}

/* punch_start - look now and then */
void punch_start(struct punch_pace pace)
{
	pu.pace = pace;
	pu.timer = evtimer_new(loop_base(), on_timer, NULL);
	if (!pu.timer)
		log_fatal("out of memory for a timer");
	on_timer(-1, 0, NULL);
}
