/* SPDX-License-Identifier: ISC */
/* Steps, each beginning the next when it is done; see the header for their order. */
#include "qmgr/queue.h"

#include <stdlib.h>

#include "lib/child.h"
#include "lib/log.h"
#include "lib/loop.h"
#include "qmgr/audit.h"
#include "qmgr/batch.h"
#include "qmgr/claims.h"
#include "qmgr/class.h"
#include "qmgr/delay.h"
#include "qmgr/dest.h"
#include "qmgr/dispatch.h"
#include "qmgr/grant.h"
#include "qmgr/index.h"
#include "qmgr/keep.h"
#include "qmgr/links.h"
#include "qmgr/now.h"
#include "qmgr/pause.h"
#include "qmgr/punch.h"
#include "qmgr/reclaim.h"
#include "qmgr/recover.h"
#include "qmgr/schedule.h"
#include "qmgr/site.h"
#include "qmgr/tools.h"
#include "qmgr/vitals.h"
#include "qmgr/work.h"

#define DRAIN_CHECK_MS 50

static struct {
	struct event *sweep, *drain;
	uint64_t drain_until;
	struct batch_wait last_words;
	bool leaving, delivering;
	void (*left)(void);
} q;

/* on_last_words - everything is safe */
static void on_last_words(struct batch_wait *wait)
{
	(void)wait;
	q.left();
}

/* on_drain_check - whether all that is at workers came back, or the time is over */
static void on_drain_check(evutil_socket_t fd, short what, void *arg)
{
	(void)fd, (void)what, (void)arg;
	if (dispatch_jobs() && now_ms() < q.drain_until) {
		event_add(q.drain, &(struct timeval){.tv_usec = DRAIN_CHECK_MS * 1000});
		return;
	}
	keep_flush();
	batch_write_all();
	q.last_words.done = on_last_words;
	batch_wait(&q.last_words, true);
}

/* queue_leave - no new jobs */
void queue_leave(uint32_t grace_ms, void (*left)(void))
{
	if (q.leaving)
		return;
	q.leaving = true;
	q.left = left;
	q.drain_until = now_ms() + grace_ms;
	dispatch_stop();
	tools_stop();
	on_drain_check(-1, 0, NULL);
}

/* queue_reconfigured - limits and routes of what is in memory; the rest when it is read back */
void queue_reconfigured(void)
{
	class_configure(child_self()->conf);
	site_reconfigure();
	dest_reconfigure();
	delay_reconfigure();
}

/* on_sweep - free what nothing needs */
static void on_sweep(evutil_socket_t fd, short what, void *arg)
{
	(void)fd, (void)what, (void)arg;
	dest_sweep();
	site_sweep();
	keep_sweep();
	event_add(q.sweep, &(struct timeval){.tv_sec = DEST_SWEEP_MS / 1000});
}

/* on_claims_found - nothing that a worker has will be given to another: begin */
static void on_claims_found(void)
{
	if (q.leaving)
		return;
	q.delivering = true;
	dispatch_start();
	schedule_start();
	delay_start();
	log_event(LOG_INFO, 0, "queue", LOG_STR("state", "delivering"));
}

/* on_neighbours - all have spoken */
static void on_neighbours(void)
{
	links_when_smtpd_told(recover_orphans);
	claims_when_found(on_claims_found);
}

/* on_loaded - the schedule's destinations are known */
static void on_loaded(void)
{
	index_started(); /* it was read from end to end, as far as a start does */
	audit_start();
	links_wait(on_neighbours);
}

/* queue_delivering - jobs are given out */
bool queue_delivering(void)
{
	return q.delivering;
}

/* queue_open - spool, index, threads */
int queue_open(struct punch_pace pace)
{
	uint64_t last = 0;
	now_init(0);
	work_index = work_thread_start("index");
	work_files = work_thread_start("files");
	batch_init();
	schedule_init();
	class_configure(child_self()->conf);
	int err = recover_open(child_self()->conf->spool, INDEX_MAP_SIZE, &last);
	if (!err)
		err = pause_load();
	if (!err)
		err = keep_load();
	if (err)
		return err;
	q.sweep = evtimer_new(loop_base(), on_sweep, NULL);
	q.drain = evtimer_new(loop_base(), on_drain_check, NULL);
	if (!q.sweep || !q.drain)
		return -ENOMEM;
	on_sweep(-1, 0, NULL);
	grant_init(last);
	schedule_load(on_loaded);
	space_watch();
	vitals_start();
	punch_start(pace);
	return 0;
}

/* queue_close - the end */
void queue_close(void)
{
	work_wait(work_files);
	work_wait(work_index);
	index_close();
}
