/* SPDX-License-Identifier: ISC */
/* The index is read by its thread, the sites by the loop; the gauges are set in the loop. */
#include "qmgr/vitals.h"

#include <errno.h>

#include "lib/counters.h"
#include "lib/log.h"
#include "lib/loop.h"
#include "qmgr/batch.h"
#include "qmgr/index.h"
#include "qmgr/keys.h"
#include "qmgr/pause.h"
#include "qmgr/site.h"
#include "qmgr/work.h"

static struct {
	struct work work;
	struct event *timer;
	uint64_t commits; /* when the index was looked at last */
	unsigned turn;
	bool looked;
	/* of the thread */
	int err;
	uint64_t oldest_ms, aside;
} v;

/* on_first - the first key: messages are in the order of their IDs, which are times */
static int on_first(struct msg_bytes key, struct msg_bytes value, struct msg_bytes *seek, void *arg)
{
	uint64_t *id = arg;
	(void)value, (void)seek;
	int err = keys_get_msg(key.data, key.len, id);
	return err ? err : 1;
}

/* run - on the index thread */
static void run(struct work *work)
{
	uint64_t id = 0;
	(void)work;
	v.err = index_read_begin();
	if (!v.err) {
		int r = index_walk(TABLE_MSG, NULL, 0, on_first, &id);
		uint64_t rcpts = index_count(TABLE_RCPT), due = index_count(TABLE_DUE);
		v.err = r < 0 ? r : 0;
		v.oldest_ms = id / 1000;
		v.aside = rcpts > due ? rcpts - due : 0;
	}
	index_read_end();
}

/* done - in the loop */
static void done(struct work *work)
{
	(void)work;
	if (v.err)
		batch_give_up(v.err, "looking at the oldest message");
	counter_set(C_queue_oldest_ms, v.oldest_ms);
	counter_set(C_queue_aside, v.aside);
	event_add(v.timer, &(struct timeval){.tv_sec = VITALS_MS / 1000});
}

/* count_sites - how many there are, down, and what is ready */
static void count_sites(void)
{
	uint64_t down = 0, ready = 0;
	if (site_count() > VITALS_SITES && v.turn % VITALS_SELDOM)
		return;
	for (const struct site *s = site_first(); s; s = s->hh.next) {
		down += s->state != SITE_UP;
		for (const struct pool *p = s->pools; p; p = p->next)
			ready += p->nready;
	}
	counter_set(C_queue_sites, site_count());
	counter_set(C_queue_sites_down, down);
	counter_set(C_queue_ready, ready);
}

/* on_timer - look again */
static void on_timer(evutil_socket_t fd, short what, void *arg)
{
	uint64_t commits = counter_read(counters_mine, C_queue_commits);
	(void)fd, (void)what, (void)arg;
	count_sites();
	v.turn++;
	counter_set(C_queue_pauses, pause_count());
	if (v.looked && commits == v.commits) {
		event_add(v.timer, &(struct timeval){.tv_sec = VITALS_MS / 1000});
		return;
	}
	v.looked = true;
	v.commits = commits;
	work_submit(work_index, &v.work);
}

/* vitals_start - the first look */
void vitals_start(void)
{
	v.work.run = run;
	v.work.done = done;
	v.looked = false;
	v.timer = evtimer_new(loop_base(), on_timer, NULL);
	if (!v.timer)
		log_fatal("out of memory for a timer");
	on_timer(-1, 0, NULL);
}
