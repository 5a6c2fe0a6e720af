/* SPDX-License-Identifier: ISC */
/*
 * qmgr: the queue. Takes what smtpd has made safe in segments, knows where it has to go and when,
 * gives it to deliver, keeps what became of it in the index. qmgr/QUEUE is the map of all states;
 * qmgr/queue.c starts and ends it.
 */
#include <errno.h>
#include <malloc.h>
#include <stdlib.h>

#include "lib/answers.h"
#include "lib/child.h"
#include "lib/log.h"
#include "lib/loop.h"
#include "qmgr/labels.h"
#include "qmgr/links.h"
#include "qmgr/queue.h"
#include "qmgr/tools.h"

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

/* on_left - everything is safe: the end */
static void on_left(void)
{
	loop_stop(EXIT_DONE);
}

/* on_drain - finish what is under way */
static void on_drain(struct chan *chan, union msg_any *m, void *arg)
{
	(void)chan, (void)arg;
	queue_leave(m->drain.grace_ms, on_left);
}

/* reconfigured - a new configuration is in force */
static void reconfigured(const struct conf *conf, const struct conf *old)
{
	(void)conf, (void)old;
	queue_reconfigured();
}

/* on_orphaned - the workers leave too: what they had said is read to its end and kept */
static void on_orphaned(void)
{
	queue_leave(CHILD_LAST_MS / 4, on_left);
}

static const struct chan_handlers master = {
    .on =
	{
	    [MSG_listen] = on_listen,
	    [MSG_link] = on_link,
	    [MSG_drain] = on_drain,
	},
};

/* prepare - what dnscache tells; no file but the spool's, where the kernel can promise that */
static int prepare(const struct conf *conf)
{
	int e = answers_attach(CHILD_SHARED);
	if (e)
		log_warnc(e, "dnscache's answers can't be read");
	e = sandbox_only_below(conf->spool);
	return e == -EOPNOTSUPP ? 0 : e;
}

static const struct child role = {
    .role = ROLE_QMGR,
    .sandbox = SANDBOX_QMGR,
    .master = &master,
    .board = labels_attach,
    .prepare = prepare,
    .orphaned = on_orphaned,
    .reconfigured = reconfigured,
};

/*
 * One arena: what a helper thread read is freed by the loop. Nothing large stays in the heap, and
 * what is free at its end goes back, for what was needed once may not be needed again.
 */
enum { ARENAS = 1, BLOCKS_MAX = 256 << 10, KEEP_BYTES = 1 << 20 };

int main(int argc, char **argv)
{
	mallopt(M_ARENA_MAX, ARENAS);
	mallopt(M_MMAP_THRESHOLD, BLOCKS_MAX);
	mallopt(M_TRIM_THRESHOLD, KEEP_BYTES);
	const struct child_self *self = child_start(&role, argc, argv);
	int err = queue_open(PUNCH_PACE);
	if (err) {
		log_warnc(err, "the spool %s", self->conf->spool);
		log_flush();
		return EXIT_TEMPORARY;
	}
	int code = loop_run();
	queue_close();
	return code;
}
