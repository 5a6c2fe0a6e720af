/* SPDX-License-Identifier: ISC */
/*
 * One table of handlers for each kind of neighbour. A deliver worker's slot is its bit in the
 * segments' sets of who has their descriptor; it is given again when the worker is gone.
 */
#include "qmgr/links.h"

#include <stdlib.h>
#include <unistd.h>

#include "lib/child.h"
#include "lib/log.h"
#include "lib/loop.h"
#include "qmgr/asked.h"
#include "qmgr/cat.h"
#include "qmgr/claims.h"
#include "qmgr/dispatch.h"
#include "qmgr/grant.h"
#include "qmgr/message.h"
#include "qmgr/reclaim.h"
#include "qmgr/segments.h"
#include "qmgr/site.h"
#include "qmgr/spool.h"

static struct {
	struct smtpd_link *smtpds;
	struct worker *workers;
	unsigned expect_smtpd, expect_deliver;
	unsigned came_smtpd, came_deliver; /* LINKs since the start */
	bool waiting, ready;
	struct event *timer;
	void (*on_ready)(void);
	void (*on_told)(void);
	uint64_t slots[SEGMENT_WORKERS / 64];
} links;

/* -- who is waited for */

/* smtpd_told - no smtpd that is linked has still to repeat its SUBMITs */
static bool smtpd_told(void)
{
	const struct smtpd_link *s;
	DL_FOREACH (links.smtpds, s) {
		if (!s->repeated)
			return false;
	}
	return true;
}

/* all_told - every link that is expected came and has said what it has to say */
static bool all_told(void)
{
	struct worker *w;
	if (!links.expect_smtpd || !links.expect_deliver || links.came_smtpd < links.expect_smtpd ||
	    links.came_deliver < links.expect_deliver)
		return false;
	if (!smtpd_told())
		return false;
	DL_FOREACH (links.workers, w) {
		if (!w->told)
			return false;
	}
	return true;
}

/* check_told - who waits for all smtpds */
static void check_told(void)
{
	void (*fn)(void) = links.on_told;
	if (!fn || !smtpd_told())
		return;
	links.on_told = NULL;
	fn();
}

/* links_when_smtpd_told - one waits */
void links_when_smtpd_told(void (*fn)(void))
{
	links.on_told = fn;
	check_told();
}

/* check_ready - all have spoken, or the time is over */
static void check_ready(bool time_over)
{
	if (!links.waiting || links.ready || (!time_over && !all_told()))
		return;
	if (time_over)
		log_warnx("not all of %u smtpd and %u deliver spoke within %d ms; going on",
		    links.expect_smtpd, links.expect_deliver, LINKS_WAIT_MS);
	links.ready = true;
	event_del(links.timer);
	links.on_ready();
}

/* on_timeout - somebody stays silent */
static void on_timeout(evutil_socket_t fd, short what, void *arg)
{
	(void)fd, (void)what, (void)arg;
	check_ready(true);
}

/* links_wait - until all have spoken */
void links_wait(void (*ready)(void))
{
	links.on_ready = ready;
	links.waiting = true;
	links.timer = evtimer_new(loop_base(), on_timeout, NULL);
	if (!links.timer)
		log_fatal("out of memory for a timer");
	event_add(links.timer, &(struct timeval){.tv_sec = LINKS_WAIT_MS / 1000});
	check_ready(false);
}

/* links_ready - jobs may be given out */
bool links_ready(void)
{
	return links.ready;
}

/* -- smtpd */

/* on_want - WANT */
static void on_want(struct chan *chan, union msg_any *m, void *arg)
{
	(void)chan;
	grant_want(arg, m->smtpd_want.kind, m->smtpd_want.count);
}

/* blame - what it said makes no sense: its channel, not our life */
static void blame(struct smtpd_link *link, int err)
{
	if (!err)
		return;
	segment_writer_gone(link);
	grant_link_gone(link);
	chan_free(link->chan);
	DL_DELETE(links.smtpds, link);
	free(link);
}

/* on_submit - SUBMIT */
static void on_submit(struct chan *chan, union msg_any *m, void *arg)
{
	(void)chan;
	blame(arg, segment_submit(arg, m->smtpd_submit.segment, m->smtpd_submit.end));
}

/* on_sealed - SEALED */
static void on_sealed(struct chan *chan, union msg_any *m, void *arg)
{
	(void)chan;
	blame(arg, segment_sealed(arg, m->smtpd_sealed.segment, m->smtpd_sealed.end));
}

/* on_repeated - its SUBMITs were repeated */
static void on_repeated(struct chan *chan, union msg_any *m, void *arg)
{
	struct smtpd_link *link = arg;
	(void)chan, (void)m;
	link->repeated = true;
	check_ready(false);
	check_told();
}

/* on_smtpd_closed - it is gone; all it said was heard */
static void on_smtpd_closed(struct chan *chan, void *arg)
{
	struct smtpd_link *link = arg;
	segment_writer_gone(link);
	grant_link_gone(link);
	DL_DELETE(links.smtpds, link);
	chan_free(chan);
	free(link);
	check_ready(false);
	check_told();
}

static const struct chan_handlers smtpd_handlers = {
    .on =
	{
	    [MSG_smtpd_want] = on_want,
	    [MSG_smtpd_submit] = on_submit,
	    [MSG_smtpd_sealed] = on_sealed,
	    [MSG_smtpd_repeated] = on_repeated,
	},
    .closed = on_smtpd_closed,
};

/* link_say_taken - TAKEN */
void link_say_taken(struct segment *seg, struct smtpd_link *link)
{
	CHAN_SEND(link->chan, qmgr_taken, .segment = seg->name, .end = seg->taken);
}

/* links_smtpds - for walks */
struct smtpd_link *links_smtpds(void)
{
	return links.smtpds;
}

/* -- deliver */

/* on_opened - OPENED */
static void on_opened(struct chan *chan, union msg_any *m, void *arg)
{
	(void)chan;
	dispatch_opened(arg, &m->deliver_opened);
}

/* on_result - RESULT */
static void on_result(struct chan *chan, union msg_any *m, void *arg)
{
	(void)chan;
	dispatch_result(arg, &m->deliver_result);
}

/* on_closed - CLOSED */
static void on_closed(struct chan *chan, union msg_any *m, void *arg)
{
	(void)chan;
	dispatch_closed(arg, &m->deliver_closed);
}

/* on_inflight - what it has on the wire; with the last one it may get jobs */
static void on_inflight(struct chan *chan, union msg_any *m, void *arg)
{
	struct worker *w = arg;
	(void)chan;
	claims_inflight(w, m->deliver_inflight.places);
	if (!m->deliver_inflight.last)
		return;
	w->told = true;
	check_ready(false);
	if (links.ready)
		dispatch_all();
}

/* on_local - a delivery as another user: master starts it */
static void on_local(struct chan *chan, union msg_any *m, void *arg)
{
	const struct msg_deliver_local *in = &m->deliver_local;
	(void)chan, (void)arg;
	int err = CHAN_SEND(child_self()->master, qmgr_local, .user = in->user, .kind = in->kind,
	    .mailbox = in->mailbox, .past = in->past, .sender = in->sender,
	    .recipient = in->recipient, .original = in->original, .pipe = in->pipe,
	    .result = in->result);
	if (err) /* the descriptors close: deliver sees the end without a line and tries later */
		log_warnc(err, "a local delivery for %.*s", (int)in->user.len, in->user.data);
}

/* on_connect - the socket of a next hop without an address: master connects it */
static void on_connect(struct chan *chan, union msg_any *m, void *arg)
{
	const struct msg_deliver_connect *in = &m->deliver_connect;
	(void)chan, (void)arg;
	int err =
	    CHAN_SEND(child_self()->master, qmgr_connect, .path = in->path, .answer = in->answer);
	if (err) /* the descriptor closes: deliver sees the end without an answer */
		log_warnc(err, "a connection to %.*s", (int)in->path.len, in->path.data);
}

/* on_copying - a person can read */
static void on_copying(struct chan *chan, union msg_any *m, void *arg)
{
	(void)chan;
	cat_copying(arg, &m->deliver_copying);
}

/* on_copied - a copy is over */
static void on_copied(struct chan *chan, union msg_any *m, void *arg)
{
	(void)chan;
	cat_copied(arg, m->deliver_copied.copy);
}

/* on_plain - TLS with a host fails: the other workers needn't find out for themselves */
static void on_plain(struct chan *chan, union msg_any *m, void *arg)
{
	const struct msg_deliver_plain *p = &m->deliver_plain;
	struct worker *w;
	(void)arg;
	site_breaks_tls(p->site, p->ms);
	DL_FOREACH (links.workers, w) {
		if (w->chan != chan)
			CHAN_SEND(w->chan, deliver_plain_too, .host = p->host, .port = p->port);
	}
}

/* on_worker_closed - it is gone; all its results were heard */
static void on_worker_closed(struct chan *chan, void *arg)
{
	struct worker *w = arg;
	struct segment *seg;
	DL_DELETE(links.workers, w);
	dispatch_worker_gone(w);
	cat_worker_gone(w);
	claims_worker_gone(w);
	unsettled_drop(w);
	for (seg = segment_first(); seg; seg = seg->hh.next)
		seg->workers[w->slot / 64] &= ~(UINT64_C(1) << w->slot % 64);
	links.slots[w->slot / 64] &= ~(UINT64_C(1) << w->slot % 64);
	chan_free(chan);
	free(w);
	check_ready(false);
}

static const struct chan_handlers worker_handlers = {
    .on =
	{
	    [MSG_deliver_opened] = on_opened,
	    [MSG_deliver_result] = on_result,
	    [MSG_deliver_closed] = on_closed,
	    [MSG_deliver_inflight] = on_inflight,
	    [MSG_deliver_local] = on_local,
	    [MSG_deliver_connect] = on_connect,
	    [MSG_deliver_copying] = on_copying,
	    [MSG_deliver_copied] = on_copied,
	    [MSG_deliver_plain] = on_plain,
	},
    .closed = on_worker_closed,
};

/* links_workers - for walks */
struct worker *links_workers(void)
{
	return links.workers;
}

/*
 * link_give_segment - a file description of the worker's own, once: its flags (O_DIRECT) are then
 * no business of qmgr and the others. Short of descriptors it gets qmgr's, for mail comes first.
 */
int link_give_segment(struct worker *w, struct segment *seg)
{
	uint64_t size, bit = UINT64_C(1) << w->slot % 64;
	int own;
	if (seg->workers[w->slot / 64] & bit)
		return 0;
	if (spool_open_read(seg->name, &own, &size))
		own = -1;
	int err = CHAN_SEND(
	    w->chan, deliver_segment, .segment = seg->name, .file = own < 0 ? seg->fd : own);
	if (own >= 0)
		close(own);
	if (!err)
		seg->workers[w->slot / 64] |= bit;
	return err;
}

/* link_release_segment - RELEASE to all that have it */
void link_release_segment(struct segment *seg)
{
	struct worker *w;
	DL_FOREACH (links.workers, w) {
		uint64_t bit = UINT64_C(1) << w->slot % 64;
		if (seg->workers[w->slot / 64] & bit)
			CHAN_SEND(w->chan, deliver_release, .segment = seg->name);
		seg->workers[w->slot / 64] &= ~bit;
	}
}

/* -- LINK */

/* add_smtpd - a writer */
static void add_smtpd(unsigned instance, unsigned expect, int fd)
{
	struct smtpd_link *link = calloc(1, sizeof(*link));
	if (link)
		link->chan = chan_new(fd, ROLE_QMGR, ROLE_SMTPD, instance, &smtpd_handlers, link);
	if (!link || !link->chan)
		log_fatal("out of memory for a link");
	link->instance = instance;
	links.expect_smtpd = expect;
	links.came_smtpd++;
	DL_APPEND(links.smtpds, link);
	space_tell(link);
}

/* free_slot - for a worker; SEGMENT_WORKERS when there is none */
static unsigned free_slot(void)
{
	for (unsigned i = 0; i < SEGMENT_WORKERS; i++) {
		if (!(links.slots[i / 64] & UINT64_C(1) << i % 64))
			return i;
	}
	return SEGMENT_WORKERS;
}

/* add_worker - a deliver worker */
static void add_worker(unsigned instance, unsigned expect, int fd)
{
	unsigned slot = free_slot();
	links.expect_deliver = expect;
	links.came_deliver++;
	if (slot == SEGMENT_WORKERS) {
		log_warnx(
		    "deliver/%u: more than %u workers are not used", instance, SEGMENT_WORKERS);
		close(fd);
		return;
	}
	struct worker *w = calloc(1, sizeof(*w));
	if (w)
		w->chan = chan_new(fd, ROLE_QMGR, ROLE_DELIVER, instance, &worker_handlers, w);
	if (!w || !w->chan)
		log_fatal("out of memory for a link");
	w->instance = instance;
	w->slot = slot;
	links.slots[slot / 64] |= UINT64_C(1) << slot % 64;
	DL_APPEND(links.workers, w);
}

/* links_add - LINK */
void links_add(enum role role, unsigned instance, unsigned kind, unsigned expect, int fd)
{
	if (kind != LINK_CHANNEL)
		role = ROLE_NONE;
	switch (role) {
	case ROLE_SMTPD:
		add_smtpd(instance, expect, fd);
		break;
	case ROLE_DELIVER:
		add_worker(instance, expect, fd);
		break;
	case ROLE_KEEPER:
	case ROLE_DNSCACHE:
		asked_linked(role, instance, fd);
		break;
	default:
		log_warnx("a link to %s/%u is not expected", role_name(role), instance);
		close(fd);
	}
}
