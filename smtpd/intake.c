/* SPDX-License-Identifier: ISC */
/*
 * `waiting` holds what completed, in order; `batch` is the one that is with the sync thread. A
 * batch is formed at the end of a turn, when everything that was ready has been taken in, and only
 * when none is under way: so batches size themselves by the time a sync takes.
 *
 * A sync costs as much CPU as several messages, so a batch also waits a moment for those who are
 * about to complete: the sessions that had a transaction going since the batch before the last one
 * began. It starts when all of them are in it, or after GATHER_SYNCS times what the last sync took.
 * One session alone never waits.
 *
 * Places and queue IDs are dealt when the batch is formed, both rising, so that qmgr finds IDs
 * that rise with the offset. The records lie in the parcels' own buffers: the write gathers them
 * from there.
 */
#include "smtpd/intake.h"

#include <errno.h>
#include <string.h>
#include <sys/time.h>

#include "lib/clock.h"
#include "lib/counters.h"
#include "lib/log.h"
#include "lib/loop.h"
#include "smtpd/segments.h"
#include "smtpd/stream.h"
#include "smtpd/syncer.h"

#define GATHER_SYNCS  4
#define GATHER_MAX_US 1000

static struct {
	struct sync_job job;
	struct iovec iov[INTAKE_BATCH_MAX];
	struct parcel *first, **last; /* of this batch */
	unsigned n;                   /* 0: no batch is under way */
	struct segment *segment;
	uint64_t end; /* where the segment ends if all goes well */
} batch;

static struct parcel *waiting, **waiting_last = &waiting;
static unsigned nwaiting;
static unsigned pending;

/* Who had a transaction going since the last batch began (now), since the one before (before). */
static struct {
	uint32_t epoch;
	unsigned now, before;
	int64_t since; /* clock_us() when the next batch could have begun */
	uint32_t last_sync_us;
	struct event *timer; /* for when nothing happens any more */
} gathering = {.epoch = 2};
static struct event *tick_event;

static void form_batch(struct loop_task *task);
static struct loop_task form_task = {.run = form_batch};

/* watch_wait - look once a second after what waits for a segment */
static void watch_wait(void)
{
	static const struct timeval second = {.tv_sec = 1};
	if (!event_pending(tick_event, EV_TIMEOUT, NULL))
		event_add(tick_event, &second);
}

/* answer - a parcel goes back to its session */
static void answer(struct parcel *parcel, int error)
{
	pending--;
	parcel->callback(parcel, PARCEL_DONE, error);
}

/* on_tick - messages that have waited too long get their answer */
static void on_tick(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	(void)arg;
	while (!batch.n && waiting && loop_ms() - waiting->waits_since > INTAKE_WAIT_MAX_MS) {
		struct parcel *p = waiting;
		waiting = p->next;
		nwaiting--;
		if (!waiting)
			waiting_last = &waiting;
		answer(p, -ETIMEDOUT);
	}
	stream_tick();
	if (waiting || stream_waiting())
		watch_wait();
}

/* on_grant - a segment came: who waits can go on */
static void on_grant(void)
{
	stream_granted();
	if (waiting)
		loop_defer(&form_task);
}

/* has_room - does the next message fit behind `at`, with an ID of its own */
static bool has_room(const struct segment *seg, const struct parcel *p, uint64_t at)
{
	return seg->next_id < seg->ids_end && at + parcel_record_len(p) <= seg->limit;
}

/* choose_segment - one that takes at least the first message; NULL: wait */
static struct segment *choose_segment(const struct parcel *p)
{
	struct segment *seg;
	while ((seg = segments_shared()) && !has_room(seg, p, seg->end)) {
		if (seg->end == 0) /* no shared segment takes it: it would go round for ever */
			return NULL;
		segments_seal(seg);
	}
	return seg;
}

/* gather - deal places and IDs, fill the vector */
static void gather(struct segment *seg)
{
	uint64_t at = seg->end;
	batch.last = &batch.first;
	while (waiting && batch.n < INTAKE_BATCH_MAX && has_room(seg, waiting, at) &&
	       (batch.n == 0 || at - seg->end < INTAKE_BATCH_BYTES)) {
		struct parcel *p = waiting;
		uint64_t len = parcel_record_len(p);
		waiting = p->next;
		nwaiting--;
		p->next = NULL;
		parcel_close(p, seg, at, seg->next_id++);
		batch.iov[batch.n++] =
		    (struct iovec){.iov_base = p->buf + p->start, .iov_len = (size_t)len};
		*batch.last = p;
		batch.last = &p->next;
		at += len;
	}
	if (!waiting)
		waiting_last = &waiting;
	batch.segment = seg;
	batch.end = at;
}

/* seal_failed - the segment ends at its last good place; say why once */
static void seal_failed(int error)
{
	counter_add(C_intake_errors, 1);
	log_warnc(error, "cannot write segment %016llx, it ends at %llu",
	    (unsigned long long)batch.segment->name, (unsigned long long)batch.segment->end);
	segments_seal(batch.segment);
}

/* on_synced - the thread is done with the batch */
static void on_synced(struct sync_job *job)
{
	struct parcel *p = batch.first;

	counter_add(C_intake_writes, 1);
	counter_add(C_intake_syncs, 1);
	counter_add(C_intake_sync_us, job->sync_us);
	gathering.last_sync_us = job->sync_us;
	gathering.since = clock_us();
	log_debug("batch of %u messages, %llu bytes, sync %u us", batch.n,
	    (unsigned long long)(batch.end - batch.segment->end), job->sync_us);
	if (job->error) {
		seal_failed(job->error);
	} else {
		batch.segment->end = batch.end;
		/* Before the 250s: a worker that dies now has told qmgr of all it has promised. */
		segments_submit(batch.segment);
	}
	batch.first = NULL;
	batch.n = 0;
	while (p) {
		struct parcel *next = p->next;
		answer(p, job->error);
		p = next;
	}
	if (waiting)
		loop_defer(&form_task);
}

/* start_batch - hand what waits to the thread; a new epoch begins */
static void start_batch(struct segment *seg)
{
	gather(seg);
	batch.job = (struct sync_job){.fd = seg->fd,
	    .write[0] = {.iov = batch.iov, .iovs = batch.n, .offset = seg->end},
	    .how = SYNC_DATA,
	    .wipe_at = seg->end,
	    .wipe_len = RECORD_HEADER,
	    .done = on_synced};
	syncer_put(&batch.job);
	gathering.before = gathering.now;
	gathering.now = 0;
	gathering.epoch++;
	event_del(gathering.timer);
}

/* others_come - is it worth waiting for more? */
static bool others_come(void)
{
	static const struct timeval at_last = {.tv_usec = 1000};
	uint32_t most = gathering.last_sync_us * GATHER_SYNCS;
	if (most > GATHER_MAX_US)
		most = GATHER_MAX_US;
	if (nwaiting >= gathering.now + gathering.before || nwaiting >= INTAKE_BATCH_MAX ||
	    clock_us() - gathering.since >= most)
		return false;
	return event_pending(gathering.timer, EV_TIMEOUT, NULL) ||
	       event_add(gathering.timer, &at_last) == 0;
}

/* on_gathered - nothing came for a millisecond: begin with what there is */
static void on_gathered(evutil_socket_t fd, short what, void *arg)
{
	(void)fd, (void)what, (void)arg;
	loop_defer(&form_task);
}

/* form_batch - at the end of a turn: everything that completed, if no batch is under way */
static void form_batch(struct loop_task *task)
{
	struct segment *seg;

	(void)task;
	if (batch.n || !waiting || others_come())
		return;
	seg = choose_segment(waiting);
	if (seg)
		start_batch(seg);
	else
		watch_wait();
}

/* intake_active - a session gets on with a transaction */
void intake_active(uint32_t *epoch)
{
	if (waiting && !batch.n)
		loop_defer(&form_task);
	if (*epoch == gathering.epoch)
		return;
	intake_inactive(*epoch);
	*epoch = gathering.epoch;
	gathering.now++;
}

/* intake_inactive - it is gone */
void intake_inactive(uint32_t epoch)
{
	if (epoch == gathering.epoch)
		gathering.now--;
	else if (epoch == gathering.epoch - 1)
		gathering.before--;
}

/* intake_start - nothing waits, nothing is under way */
void intake_start(void)
{
	tick_event = event_new(loop_base(), -1, 0, on_tick, NULL);
	gathering.timer = event_new(loop_base(), -1, 0, on_gathered, NULL);
	if (!tick_event || !gathering.timer)
		log_fatal("out of memory");
	segments_on_grant(on_grant);
}

/* intake_commit - behind what waits already */
void intake_commit(struct parcel *parcel, uint32_t flags)
{
	if (parcel->stream) {
		stream_finish(parcel, flags);
		return;
	}
	parcel->waits_since = loop_ms();
	parcel->next = NULL;
	if (!waiting && !batch.n)
		gathering.since = clock_us();
	*waiting_last = parcel;
	waiting_last = &parcel->next;
	nwaiting++;
	pending++;
	loop_defer(&form_task);
}

/* intake_synced_us - of the batch that is being answered */
int64_t intake_synced_us(void)
{
	return gathering.since;
}

/* intake_pending - for the end of the worker */
unsigned intake_pending(void)
{
	return pending;
}

/* intake_reset - for tests */
void intake_reset(void)
{
	waiting = NULL;
	waiting_last = &waiting;
	batch.n = 0;
	batch.first = NULL;
	pending = 0;
	nwaiting = 0;
	loop_cancel(&form_task);
	if (tick_event)
		event_free(tick_event);
	tick_event = NULL;
	if (gathering.timer)
		event_free(gathering.timer);
	gathering.timer = NULL;
}
