/* SPDX-License-Identifier: ISC */
/*
 * The order that makes it safe: the transactions that say "nothing lives here" are synced; the file
 * is renamed into the pool or unlinked, the folder synced; only then the segment's row goes away.
 * A crash in between leaves a row without a file, or a dead segment whose row still says so.
 */
#include "qmgr/reclaim.h"

#include <stdlib.h>

#include "lib/child.h"
#include "lib/counters.h"
#include "lib/hash.h"
#include "lib/log.h"
#include "lib/loop.h"
#include "qmgr/batch.h"
#include "qmgr/grant.h"
#include "qmgr/links.h"
#include "qmgr/message.h"
#include "qmgr/now.h"
#include "qmgr/pause.h"
#include "qmgr/segments.h"
#include "qmgr/spool.h"
#include "qmgr/work.h"

struct pooled {
	struct pooled *next;
	uint64_t name;
};

/* Segments of one round: synced together, one sync of the folder. */
struct round {
	struct batch_wait wait;
	struct work work;
	struct segment *segs;
	unsigned keep; /* so many go to the pool, the rest is unlinked */
	int err;
};

static struct {
	struct segment *dead; /* the next round */
	bool running;
	struct pooled *pool;
	unsigned npool;
	uint64_t wanted_ms; /* when a file was last taken, or would have been */
	bool roomy;         /* enough space to keep a pool */
	struct event *timer;
	struct work space_work;
	uint64_t free_bytes;
	int space_err;
	enum pressure pressure;
} rc = {.roomy = true};

static void start_round(void);

/* -- the pool */

/* pool_add - a file that may be written over */
void pool_add(uint64_t name)
{
	struct pooled *p = calloc(1, sizeof(*p));
	if (!p)
		log_fatal("out of memory");
	p->name = name;
	LL_PREPEND(rc.pool, p);
	rc.npool++;
}

/* take - one of them */
static bool take(uint64_t *name)
{
	struct pooled *p = rc.pool;
	if (!p)
		return false;
	LL_DELETE(rc.pool, p);
	rc.npool--;
	*name = p->name;
	free(p);
	return true;
}

/* pool_take - for a grant */
bool pool_take(uint64_t *name)
{
	rc.wanted_ms = now_ms();
	return take(name);
}

/* pool_count - files */
unsigned pool_count(void)
{
	return rc.npool;
}

/* -- dead segments */

/* run_round - on the helper thread: files away, folder synced */
static void run_round(struct work *work)
{
	struct round *r = (struct round *)((char *)work - offsetof(struct round, work));
	struct segment *seg;
	unsigned kept = 0;
	DL_FOREACH (r->segs, seg) {
		bool keep = seg->kind == SEGMENT_SHARED && kept < r->keep && seg->submitted > 0 &&
			    !seg->punched;
		int err = keep ? spool_retire(seg->name) : spool_unlink(seg->name, SPOOL_SEGMENT);
		if (!keep && !err)
			err = spool_unlink(seg->name, SPOOL_DONE);
		if (seg->punched && !err) /* after the segment: without the map it can't be read */
			err = spool_unlink(seg->name, SPOOL_LIVE);
		if (err)
			log_warnc(err, "segment %016llx", (unsigned long long)seg->name);
		kept += keep && !err;
		seg->found = keep && !err; /* here: it is in the pool now */
	}
	r->err = spool_sync();
	if (r->err)
		log_warnc(r->err, "the folder of segments");
}

/* round_done - in the loop: forget them */
static void round_done(struct work *work)
{
	struct round *r = (struct round *)((char *)work - offsetof(struct round, work));
	struct segment *seg, *tmp;
	DL_FOREACH_SAFE (r->segs, seg, tmp) {
		if (seg->found)
			pool_add(seg->name);
		batch_forget_segment(seg->name);
		segment_remove(seg);
	}
	free(r);
	rc.running = false;
	start_round();
}

/* round_synced - the index is safe: now the files */
static void round_synced(struct batch_wait *wait)
{
	struct round *r = (struct round *)wait;
	struct segment *seg, *tmp;
	DL_FOREACH_SAFE (r->segs, seg, tmp) {
		if (seg->write == WRITE_CLEAN)
			continue;
		DL_DELETE(r->segs, seg); /* marked again meanwhile: with the next round */
		DL_APPEND(rc.dead, seg);
	}
	unsigned room = rc.npool < POOL_MAX ? POOL_MAX - rc.npool : 0;
	r->keep = rc.roomy ? room : 0;
	work_submit(work_files, &r->work);
}

/* start_round - all that are dead now */
static void start_round(void)
{
	if (rc.running || !rc.dead)
		return;
	struct round *r = calloc(1, sizeof(*r));
	if (!r)
		log_fatal("out of memory");
	r->segs = rc.dead;
	rc.dead = NULL;
	rc.running = true;
	r->work.run = run_round;
	r->work.done = round_done;
	r->wait.done = round_synced;
	batch_wait(&r->wait, true);
}

/* reclaim_segment - its file is not needed any more */
void reclaim_segment(struct segment *seg)
{
	DL_APPEND(rc.dead, seg);
	start_round();
}

/* -- space */

/* A file of the pool on its way out. */
struct drop {
	struct work work;
	uint64_t name;
};

/* run_drop - on the helper thread */
static void run_drop(struct work *work)
{
	int err = spool_unlink(((struct drop *)work)->name, SPOOL_FREE);
	if (err)
		log_warnc(err, "a file of the pool");
}

/* dropped - in the loop */
static void dropped(struct work *work)
{
	free(work);
}

/* drop_pool - space is short, or nobody has wanted one for long: its files give theirs back */
static void drop_pool(void)
{
	uint64_t name;
	while (take(&name)) {
		struct drop *drop = calloc(1, sizeof(*drop));
		if (!drop)
			log_fatal("out of memory");
		drop->work.run = run_drop;
		drop->work.done = dropped;
		drop->name = name;
		work_submit(work_files, &drop->work);
	}
}

/* run_space - on the helper thread */
static void run_space(struct work *work)
{
	(void)work;
	rc.space_err = spool_free_bytes(&rc.free_bytes);
}

/* space_tell - PRESSURE to one writer */
void space_tell(struct smtpd_link *link)
{
	enum pressure level = rc.pressure;
	if (level != PRESSURE_FULL && pause_covers_intake())
		level = PRESSURE_PAUSED;
	CHAN_SEND(link->chan, qmgr_pressure, .level = (uint8_t)level, .free_bytes = rc.free_bytes);
}

/* space_known - in the loop */
static void space_known(struct work *work)
{
	struct smtpd_link *link;
	uint64_t min = child_self()->conf->spool_min_free;
	(void)work;
	event_add(rc.timer, &(struct timeval){.tv_sec = SPACE_CHECK_MS / 1000});
	if (rc.space_err) {
		log_warnc(rc.space_err, "free space of the spool");
		return;
	}
	counter_set(C_spool_free_bytes, rc.free_bytes);
	counter_set(C_spool_min_free_bytes, min);
	counter_set(C_spool_full, rc.free_bytes < min);
	counter_set(C_segments_live, segment_count());
	rc.roomy = rc.free_bytes > min + POOL_ROOM;
	bool idle = now_ms() > rc.wanted_ms + POOL_IDLE_MS;
	if (!rc.roomy || idle)
		drop_pool();
	if (idle)
		grant_trim();
	enum pressure now = rc.free_bytes < min ? PRESSURE_FULL : PRESSURE_NONE;
	if (now == rc.pressure)
		return;
	rc.pressure = now;
	log_event(now ? LOG_WARN : LOG_INFO, 0, "space", LOG_U64("free", rc.free_bytes),
	    LOG_U64("spool_min_free", min), LOG_STR("state", now ? "low" : "enough"));
	DL_FOREACH (links_smtpds(), link)
		space_tell(link);
}

/* on_timer - look again */
static void on_timer(evutil_socket_t fd, short what, void *arg)
{
	(void)fd, (void)what, (void)arg;
	work_submit(work_files, &rc.space_work);
}

/* space_watch - now and then */
void space_watch(void)
{
	rc.wanted_ms = now_ms();
	rc.space_work.run = run_space;
	rc.space_work.done = space_known;
	rc.timer = evtimer_new(loop_base(), on_timer, NULL);
	if (!rc.timer)
		log_fatal("out of memory for a timer");
	on_timer(-1, 0, NULL);
}
