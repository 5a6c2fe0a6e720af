/* SPDX-License-Identifier: ISC */
/* Two lists: who waits for a commit, and whose commit went through but not its sync. */
#include "qmgr/waits.h"

#include "lib/hash.h"
#include "lib/log.h"
#include "lib/loop.h"
#include "qmgr/index.h"
#include "qmgr/work.h"

static struct {
	struct batch_wait *waits, *for_sync, *being_synced;
	uint64_t committed, last_synced, syncing_number;
	struct event *idle;
	struct work work;
	int err;
	bool syncing;
} w;

/* call_waits - who waited for this transaction */
static void call_waits(void)
{
	while (w.waits && w.waits->number <= w.committed) {
		struct batch_wait *wait = w.waits;
		LL_DELETE(w.waits, wait);
		if (wait->synced)
			LL_APPEND(w.for_sync, wait);
		else
			wait->done(wait);
	}
}

/* start_sync - for those who wait for it, or because nothing else came */
static void start_sync(void)
{
	if (w.syncing || (!w.for_sync && w.last_synced == w.committed))
		return;
	w.syncing = true;
	w.syncing_number = w.committed;
	w.being_synced = w.for_sync;
	w.for_sync = NULL;
	work_submit(work_index, &w.work);
}

/* run_sync - on the index thread */
static void run_sync(struct work *work)
{
	(void)work;
	w.err = index_sync();
	index_reserve();
}

/* synced - in the loop */
static void synced(struct work *work)
{
	(void)work;
	if (w.err)
		batch_give_up(w.err, "a sync");
	w.syncing = false;
	w.last_synced = w.syncing_number;
	struct batch_wait *wait = w.being_synced;
	w.being_synced = NULL;
	while (wait) {
		struct batch_wait *next = wait->next;
		wait->done(wait);
		wait = next;
	}
	if (w.for_sync)
		start_sync();
}

/* on_idle - no commit for a while */
static void on_idle(evutil_socket_t fd, short what, void *arg)
{
	(void)fd, (void)what, (void)arg;
	start_sync();
}

/* waits_add - in the order of their transactions */
void waits_add(struct batch_wait *wait, uint64_t number, bool sync)
{
	wait->next = NULL;
	wait->number = number;
	wait->synced = sync;
	LL_APPEND(w.waits, wait);
}

/* waits_any - for a commit still */
bool waits_any(void)
{
	return w.waits;
}

/* waits_committed - they are told; a sync comes at once or, when nobody waits, after a while */
void waits_committed(uint64_t number)
{
	w.committed = number;
	call_waits();
	if (w.for_sync)
		start_sync();
	event_add(w.idle, &(struct timeval){.tv_sec = BATCH_SYNC_MS / 1000});
}

/* waits_init - nobody waits */
void waits_init(void)
{
	memset(&w, 0, sizeof(w));
	w.work.run = run_sync;
	w.work.done = synced;
	w.idle = evtimer_new(loop_base(), on_idle, NULL);
	if (!w.idle)
		log_fatal("out of memory for a timer");
}
