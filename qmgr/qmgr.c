/* SPDX-License-Identifier: ISC */
/*
 * qmgr: the queue. Takes what smtpd has made safe in segments, knows where it has to go and when,
 * gives it to deliver, keeps what became of it in the index. qmgr/QUEUE is the map of all states.
 *
 * The start: open spool and index, then the loop; links come from master, neighbours say what they
 * know; when all have spoken, or after LINKS_WAIT_MS, jobs are given out and segments that nobody
 * speaks for are scanned.
 */
#include <stdlib.h>

#include "lib/child.h"
#include "lib/log.h"
#include "lib/loop.h"
#include "qmgr/batch.h"
#include "qmgr/claims.h"
#include "qmgr/dest.h"
#include "qmgr/dispatch.h"
#include "qmgr/grant.h"
#include "qmgr/index.h"
#include "qmgr/links.h"
#include "qmgr/now.h"
#include "qmgr/reclaim.h"
#include "qmgr/recover.h"
#include "qmgr/schedule.h"
#include "qmgr/site.h"
#include "qmgr/tools.h"
#include "qmgr/work.h"

#define DRAIN_CHECK_MS 50

static struct {
	struct event *sweep, *drain;
	uint64_t drain_until;
	struct batch_wait last_words;
	bool leaving;
} q;

/* on_listen - the tools' socket */
static void on_listen(struct chan *chan, union msg_any *m, void *arg)
{
	(void)chan, (void)arg;
	if (m->listen.kind != LISTEN_TOOL) {
		log_warnx("a socket of kind %u is not expected", m->listen.kind);
		return;
	}
	tools_listen(m->listen.socket);
	m->listen.socket = -1;
}

/* on_link - a neighbour */
static void on_link(struct chan *chan, union msg_any *m, void *arg)
{
	(void)chan, (void)arg;
	links_add((enum role)m->link.role, m->link.instance, m->link.kind, m->link.expect,
	    m->link.socket);
	m->link.socket = -1;
}

/* on_last_words - everything is safe: the end */
static void on_last_words(struct batch_wait *wait)
{
	(void)wait;
	loop_stop(EXIT_DONE);
}

/* on_drain_check - whether all that is at workers came back, or the time is over */
static void on_drain_check(evutil_socket_t fd, short what, void *arg)
{
	(void)fd, (void)what, (void)arg;
	if (dispatch_jobs() && now_ms() < q.drain_until) {
		event_add(q.drain, &(struct timeval){.tv_usec = DRAIN_CHECK_MS * 1000});
		return;
	}
	batch_write_all();
	q.last_words.done = on_last_words;
	batch_wait(&q.last_words, true);
}

/* on_drain - no new jobs; what is under way may end */
static void on_drain(struct chan *chan, union msg_any *m, void *arg)
{
	(void)chan, (void)arg;
	if (q.leaving)
		return;
	q.leaving = true;
	q.drain_until = now_ms() + m->drain.grace_ms;
	dispatch_stop();
	tools_stop();
	on_drain_check(-1, 0, NULL);
}

static const struct chan_handlers master = {
    .on =
	{
	    [MSG_listen] = on_listen,
	    [MSG_link] = on_link,
	    [MSG_drain] = on_drain,
	},
};

/* reconfigured - limits, routes and what is in memory follow; the index does when it is read */
static void reconfigured(const struct conf *conf, const struct conf *old)
{
	(void)conf, (void)old;
	site_reconfigure();
	dest_reconfigure();
}

/* on_sweep - free what nothing needs */
static void on_sweep(evutil_socket_t fd, short what, void *arg)
{
	(void)fd, (void)what, (void)arg;
	dest_sweep();
	site_sweep();
	event_add(q.sweep, &(struct timeval){.tv_sec = DEST_SWEEP_MS / 1000});
}

/* on_claims_found - nothing that a worker has will be given to another: begin */
static void on_claims_found(void)
{
	if (q.leaving)
		return;
	dispatch_start();
	schedule_start();
	index_started();
	log_event(LOG_INFO, 0, "queue", LOG_STR("state", "delivering"));
}

/* on_neighbours - all have spoken */
static void on_neighbours(void)
{
	recover_orphans();
	claims_when_found(on_claims_found);
}

/* on_loaded - the schedule's destinations are known */
static void on_loaded(void)
{
	links_wait(on_neighbours);
}

/* prepare - no file but the spool's, where the kernel can promise that */
static int prepare(const struct conf *conf)
{
	int e = sandbox_only_below(conf->spool);
	return e == -EOPNOTSUPP ? 0 : e;
}

static const struct child role = {
    .role = ROLE_QMGR,
    .sandbox = SANDBOX_QMGR,
    .master = &master,
    .prepare = prepare,
    .reconfigured = reconfigured,
};

/* open_queue - spool, index, threads */
static void open_queue(const struct conf *conf)
{
	uint64_t last = 0;
	now_init(0);
	work_index = work_thread_start("index");
	work_files = work_thread_start("files");
	batch_init();
	schedule_init();
	int err = recover_open(conf->spool, INDEX_MAP_SIZE, &last);
	if (err) {
		log_warnc(err, "the spool %s", conf->spool);
		log_flush();
		exit(EXIT_TEMPORARY);
	}
	grant_init(last);
	schedule_load(on_loaded);
	space_watch();
}

int main(int argc, char **argv)
{
	const struct child_self *self = child_start(&role, argc, argv);
	open_queue(self->conf);
	q.sweep = evtimer_new(loop_base(), on_sweep, NULL);
	q.drain = evtimer_new(loop_base(), on_drain_check, NULL);
	if (!q.sweep || !q.drain)
		log_fatal("out of memory for timers");
	on_sweep(-1, 0, NULL);
	int code = loop_run();
	work_wait(work_index);
	index_close();
	return code;
}
