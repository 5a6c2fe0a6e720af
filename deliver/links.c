/* SPDX-License-Identifier: ISC */
/*
 * A new qmgr hears, in this order: the results that no qmgr has committed, what is still on the
 * wire. Then it may give out jobs (DESIGN §2). LINK may be read before the end of the old channel:
 * then the old one is given up first, what its qmgr still said is of no use to anybody.
 */
#include "deliver/links.h"

#include <unistd.h>

#include "deliver/copy.h"
#include "deliver/hop.h"
#include "deliver/notice.h"
#include "deliver/resolve.h"
#include "deliver/secure.h"
#include "lib/child.h"
#include "lib/log.h"
#include "lib/loop.h"
#include "lib/str.h"

static struct chan *qmgr, *dnscache;
static struct event *grace, *check;

/* -- qmgr ----------------------------------------------------------------------------------- */

/* on_open - a connection to make */
static void on_open(struct chan *chan, union msg_any *msg, void *arg)
{
	(void)chan;
	(void)arg;
	hop_open(&msg->deliver_open);
}

/* on_job - one transaction */
static void on_job(struct chan *chan, union msg_any *msg, void *arg)
{
	(void)chan;
	(void)arg;
	hop_job(&msg->deliver_job);
}

/* on_close - no more jobs there */
static void on_close(struct chan *chan, union msg_any *msg, void *arg)
{
	(void)chan;
	(void)arg;
	hop_close(msg->deliver_close.conn);
}

/* on_segment - a file to read from; its descriptor is ours now */
static void on_segment(struct chan *chan, union msg_any *msg, void *arg)
{
	(void)chan;
	(void)arg;
	segments_add(msg->deliver_segment.segment, msg->deliver_segment.file);
	msg->deliver_segment.file = -1;
}

/* on_release - a file that is needed no more */
static void on_release(struct chan *chan, union msg_any *msg, void *arg)
{
	(void)chan;
	(void)arg;
	segments_release(msg->deliver_release.segment);
}

/* on_committed - results that are safe */
static void on_committed(struct chan *chan, union msg_any *msg, void *arg)
{
	(void)chan;
	(void)arg;
	results_committed(msg->deliver_committed.seq);
}

/* on_copy - a record for a person */
static void on_copy(struct chan *chan, union msg_any *msg, void *arg)
{
	(void)arg;
	copy_start(chan, &msg->deliver_copy);
}

/* on_plain_too - what another worker found of a host */
static void on_plain_too(struct chan *chan, union msg_any *msg, void *arg)
{
	const struct msg_deliver_plain_too *m = &msg->deliver_plain_too;
	char name[TLS_NAME_SIZE];
	(void)chan;
	(void)arg;
	if (str_copy_n(name, sizeof(name), m->host.data, m->host.len) == 0)
		secure_learn_broken(name, m->port);
}

/* tell_plain - what this one found */
static void tell_plain(const char *site, const char *name, uint16_t port)
{
	if (qmgr)
		CHAN_SEND(qmgr, deliver_plain, .site = msg_str(site), .host = msg_str(name),
		    .port = port, .ms = SECURE_BROKEN_MS);
}

/* qmgr_gone - its connections finish what is on the wire */
static void qmgr_gone(void)
{
	struct chan *old = qmgr;
	qmgr = NULL;
	results_link(NULL);
	hops_link(NULL);
	copies_end();
	segments_release_all();
	chan_free(old);
}

/* on_qmgr_closed - qmgr died, or broke the protocol */
static void on_qmgr_closed(struct chan *chan, void *arg)
{
	(void)arg;
	if (chan == qmgr)
		qmgr_gone();
}

static const struct chan_handlers qmgr_handlers = {.on = {[MSG_deliver_open] = on_open,
						       [MSG_deliver_job] = on_job,
						       [MSG_deliver_close] = on_close,
						       [MSG_deliver_segment] = on_segment,
						       [MSG_deliver_release] = on_release,
						       [MSG_deliver_committed] = on_committed,
						       [MSG_deliver_copy] = on_copy,
						       [MSG_deliver_plain_too] = on_plain_too},
    .closed = on_qmgr_closed};

/* link_qmgr - a new qmgr: what it must know comes first */
static void link_qmgr(int fd, unsigned instance)
{
	if (qmgr)
		qmgr_gone();
	qmgr = chan_new(fd, ROLE_DELIVER, ROLE_QMGR, instance, &qmgr_handlers, NULL);
	if (!qmgr)
		log_fatal("out of memory for the link to qmgr");
	results_link(qmgr);
	jobs_send_inflight(qmgr);
	hops_link(qmgr);
	secure_tell_broken(tell_plain);
}

/* -- dnscache ------------------------------------------------------------------------------- */

/* on_site - an answer */
static void on_site(struct chan *chan, union msg_any *msg, void *arg)
{
	(void)chan;
	(void)arg;
	resolve_answered(&msg->dns_site_is);
}

/* on_dnscache_closed - questions wait for the next one */
static void on_dnscache_closed(struct chan *chan, void *arg)
{
	(void)arg;
	if (chan != dnscache)
		return;
	dnscache = NULL;
	resolve_link(NULL);
	chan_free(chan);
}

static const struct chan_handlers dnscache_handlers = {
    .on = {[MSG_dns_site_is] = on_site}, .closed = on_dnscache_closed};

/* link_dnscache - open questions are asked again */
static void link_dnscache(int fd, unsigned instance)
{
	chan_free(dnscache);
	dnscache = chan_new(fd, ROLE_DELIVER, ROLE_DNSCACHE, instance, &dnscache_handlers, NULL);
	if (!dnscache)
		log_fatal("out of memory for the link to dnscache");
	resolve_link(dnscache);
}

/* -- master --------------------------------------------------------------------------------- */

/* on_link - a neighbour */
static void on_link(struct chan *chan, union msg_any *msg, void *arg)
{
	struct msg_link *link = &msg->link;
	int fd = link->socket;
	(void)chan;
	(void)arg;
	link->socket = -1;
	if (link->role == ROLE_QMGR && link->kind == LINK_CHANNEL)
		link_qmgr(fd, link->instance);
	else if (link->role == ROLE_DNSCACHE && link->kind == LINK_CHANNEL)
		link_dnscache(fd, link->instance);
	else if (link->role == ROLE_SMTPD && link->kind == LINK_SMTP)
		notice_link(fd);
	else
		close(fd);
}

/* on_grace - time is over; what is on the wire ends here */
static void on_grace(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	(void)arg;
	loop_stop(EXIT_DONE);
}

/* on_check - whether all is done: no hop, and qmgr has every result */
static void on_check(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	(void)arg;
	if (!hops_count() && !results_kept())
		loop_stop(EXIT_DONE);
}

/* on_drain - the end of this process, in peace if it can be had */
static void on_drain(struct chan *chan, union msg_any *msg, void *arg)
{
	uint32_t ms = msg->drain.grace_ms;
	struct timeval max = {.tv_sec = ms / 1000, .tv_usec = (ms % 1000) * 1000};
	static const struct timeval often = {.tv_usec = 50000};
	(void)chan;
	(void)arg;
	hops_drain();
	notice_drain();
	if (!grace)
		grace = event_new(loop_base(), -1, 0, on_grace, NULL);
	if (!check)
		check = event_new(loop_base(), -1, EV_PERSIST, on_check, NULL);
	if (!grace || !check || event_add(grace, &max) < 0 || event_add(check, &often) < 0)
		loop_stop(EXIT_DONE);
}

const struct chan_handlers links_master = {.on = {[MSG_link] = on_link, [MSG_drain] = on_drain}};
