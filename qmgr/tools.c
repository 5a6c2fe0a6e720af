/* SPDX-License-Identifier: ISC */
/* One request at a time a connection; the answer to sites comes out of memory, in slices. */
#include "qmgr/tools.h"

#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/child.h"
#include "lib/hash.h"
#include "lib/log.h"
#include "lib/loop.h"
#include "lib/query.h"
#include "lib/rights.h"
#include "qmgr/batch.h"
#include "qmgr/cat.h"
#include "qmgr/dest.h"
#include "qmgr/explain.h"
#include "qmgr/message.h"
#include "qmgr/now.h"
#include "qmgr/owner.h"
#include "qmgr/pause.h"
#include "qmgr/query.h"
#include "qmgr/site.h"
#include "qmgr/sitecount.h"
#include "qmgr/steps.h"

#define SITES_SLICE 1000

struct tool {
	struct tool *next, *prev;
	struct rights_peer peer;
	struct owner_wait who; /* whose mail is concerned */
	int fd;                /* until there is a channel */
	struct chan *chan;     /* NULL: he is being asked for */
	struct query *query;   /* under way */
	struct explain *explain;
	struct cat *cat;
	struct event *sites; /* the next slice of sites */
	unsigned site_at;
	/* a pause that is being written */
	struct batch_wait wait;
	uint64_t changed, known;
	bool waits, gone;
	bool counting; /* what waits for them */
};

static struct {
	int fd;
	struct event *event;
	struct tool *list;
} tools = {.fd = -1};

/* refuse - an answer that is none */
static void refuse(struct chan *chan, const char *why)
{
	CHAN_SEND(chan, tool_changed, .error = msg_str(why));
}

/* on_ended - the request is answered */
static void on_ended(void *arg)
{
	((struct tool *)arg)->query = NULL;
}

/* busy - one at a time */
static bool busy(struct tool *t)
{
	bool is = t->query || t->explain || t->cat || t->waits || t->counting ||
		  evtimer_pending(t->sites, NULL);
	if (is)
		refuse(t->chan, "one request at a time");
	return is;
}

/* on_list - tool_list */
static void on_list(struct chan *chan, union msg_any *m, void *arg)
{
	struct tool *t = arg;
	if (!busy(t))
		t->query = query_list(chan, &m->tool_list, &t->who.owner, on_ended, t);
}

/* on_change - tool_change */
static void on_change(struct chan *chan, union msg_any *m, void *arg)
{
	struct tool *t = arg;
	if (!busy(t))
		t->query = query_change(chan, &m->tool_change, &t->who.owner, on_ended, t);
}

/* on_explained - the question is answered */
static void on_explained(void *arg)
{
	((struct tool *)arg)->explain = NULL;
}

/* on_explain - tool_explain */
static void on_explain(struct chan *chan, union msg_any *m, void *arg)
{
	struct tool *t = arg;
	if (!busy(t))
		t->explain = explain_start(chan, &m->tool_explain, on_explained, t);
}

/* on_cat_ended - the content is on its way, or isn't */
static void on_cat_ended(void *arg)
{
	((struct tool *)arg)->cat = NULL;
}

/* on_cat - tool_cat */
static void on_cat(struct chan *chan, union msg_any *m, void *arg)
{
	struct tool *t = arg;
	if (!busy(t))
		t->cat = cat_start(chan, m->tool_cat.id, &t->who.owner, on_cat_ended, t);
}

/* free_tool - it is gone and nothing is under way for it */
static void free_tool(struct tool *t)
{
	DL_DELETE(tools.list, t);
	event_free(t->sites);
	free(t);
}

/* on_pause_safe - the change is on disk */
static void on_pause_safe(struct batch_wait *wait)
{
	struct tool *t = (struct tool *)((char *)wait - offsetof(struct tool, wait));
	t->waits = false;
	if (t->gone)
		free_tool(t);
	else
		CHAN_SEND(t->chan, tool_changed, .messages = t->changed, .recipients = t->known,
		    .error = msg_str(""));
}

/* on_pause - tool_pause */
static void on_pause(struct chan *chan, union msg_any *m, void *arg)
{
	const struct msg_tool_pause *p = &m->tool_pause;
	struct tool *t = arg;
	bool known = true;
	if (busy(t))
		return;
	int err = 0;
	if (p->resume)
		t->changed = pause_end(p->kind, p->name);
	else if ((err = pause_begin((enum query_pause)p->kind, p->name, p->for_ms, &known)) == 0)
		t->changed = 1;
	if (err) {
		refuse(chan,
		    err == -EMFILE ? "too many things are paused already" : "that can't be paused");
		return;
	}
	t->known = known;
	t->waits = true;
	t->wait.done = on_pause_safe;
	batch_wait(&t->wait, true);
}

/* on_pauses - tool_pauses */
static void on_pauses(struct chan *chan, union msg_any *m, void *arg)
{
	(void)m;
	if (!busy(arg))
		pause_list(chan);
}

/* add_count - what was counted of one of its destinations */
static void add_count(struct query_site *out, const struct dest *dest)
{
	uint64_t oldest, n = sitecount_of(dest, &oldest);
	out->queued += n;
	if (n && (!out->oldest_ms || oldest < out->oldest_ms))
		out->oldest_ms = oldest;
}

/* view_site - a site as the tools see it */
static void view_site(const struct site *site, struct query_site *out)
{
	*out = (struct query_site){.name = msg_str(site->name),
	    .state = site->paused               ? QUERY_SITE_PAUSED
		     : site->state == SITE_UP   ? QUERY_SITE_UP
		     : site->state == SITE_DOWN ? QUERY_SITE_DOWN
						: QUERY_SITE_PROBING,
	    .connections = site->nconns,
	    .limit = site_limit(site),
	    .configured = site->limits.connections,
	    .rate_count = site->limits.rate.count,
	    .rate_period = site->limits.rate.period,
	    .active = site->flying,
	    .probe_ms = site->probe_at,
	    .trouble_ms = site->trouble ? site->trouble->at_ms : 0,
	    .steps_ms = steps_until(site),
	    .ipv4_ms = site->ipv4_until > now_ms() ? site->ipv4_until : 0,
	    .plain_ms = site->plain_until > now_ms() ? site->plain_until : 0,
	    .trouble = msg_str(site->trouble ? site->trouble->text : "")};
	for (const struct pool *pool = site->pools; pool; pool = pool->next) {
		const struct dest *dest;
		out->ready += pool->nready;
		DL_FOREACH2(pool->dests, dest, pool_next)
		{
			add_count(out, dest);
		}
	}
}

/* view_rest - what waits for destinations whose site isn't known now */
static bool view_rest(struct query_site *out)
{
	*out = (struct query_site){.name = msg_str("(no site yet)"), .trouble = msg_str("")};
	for (const struct dest *dest = dest_first(); dest; dest = dest->hh.next)
		if (dest->state != DEST_BOUND)
			add_count(out, dest);
	return out->queued;
}

/* on_sites_slice - some sites from where the last slice ended */
static void on_sites_slice(evutil_socket_t fd, short what, void *arg)
{
	static unsigned char buf[QUERY_ROWS_MAX];
	struct tool *t = arg;
	struct site *site = site_first();
	struct wire_out out;
	struct query_site row;
	unsigned n = 0;
	(void)fd, (void)what;
	for (unsigned i = 0; site && i < t->site_at; i++)
		site = site->hh.next;
	wire_out_fixed(&out, buf, sizeof(buf));
	for (; site && n < SITES_SLICE; site = site->hh.next, n++) {
		view_site(site, &row);
		if (query_site_put(&out, &row))
			break; /* the packet is full */
	}
	t->site_at += n;
	bool last = !site;
	if (last && view_rest(&row) && query_site_put(&out, &row))
		last = false; /* it alone, next time */
	CHAN_SEND(t->chan, tool_site_rows, .rows = msg_bytes(buf, out.len), .last = last);
	if (!last)
		event_add(t->sites, &(struct timeval){.tv_usec = 1000});
}

/* on_counted - the rows can begin */
static void on_counted(void *arg)
{
	struct tool *t = arg;
	t->counting = false;
	on_sites_slice(-1, 0, t);
}

/* on_sites - tool_sites */
static void on_sites(struct chan *chan, union msg_any *m, void *arg)
{
	struct tool *t = arg;
	(void)chan;
	if (busy(t))
		return;
	t->site_at = 0;
	if (!m->tool_sites.count) {
		on_sites_slice(-1, 0, t);
		return;
	}
	t->counting = true;
	sitecount_start(on_counted, t);
}

/* on_closed - the tool has what it wanted, or not */
static void on_closed(struct chan *chan, void *arg)
{
	struct tool *t = arg;
	if (t->query)
		query_orphan(t->query);
	if (t->explain)
		explain_forget(t->explain);
	if (t->cat)
		cat_forget(t->cat);
	sitecount_forget(t);
	chan_free(chan);
	t->gone = true;
	if (t->waits)
		event_del(t->sites);
	else
		free_tool(t);
}

/* may - the one place where a request is let through or not */
static bool may(struct chan *chan, unsigned type, const union msg_any *m, void *arg)
{
	char text[RIGHTS_TEXT_MAX];
	const struct tool *t = arg;
	if (rights_may(&t->peer, type, m))
		return true;
	log_event(LOG_INFO, 0, "tool_refused", LOG_U64("uid", t->peer.uid),
	    LOG_STR("message", msg_name(type)));
	rights_refusal(child_self()->conf, text);
	CHAN_SEND(chan, tool_refused, .text = msg_str(text));
	return false;
}

static const struct chan_handlers handlers = {
    .may = may,
    .on =
	{
	    [MSG_tool_list] = on_list,
	    [MSG_tool_change] = on_change,
	    [MSG_tool_sites] = on_sites,
	    [MSG_tool_explain] = on_explain,
	    [MSG_tool_cat] = on_cat,
	    [MSG_tool_pause] = on_pause,
	    [MSG_tool_pauses] = on_pauses,
	},
    .closed = on_closed,
};

/* talk - the tool is heard from now on */
static void talk(struct tool *t)
{
	t->chan = chan_new(t->fd, ROLE_QMGR, ROLE_TOOL, 0, &handlers, t);
	if (!t->chan)
		log_fatal("out of memory for a tool");
}

/* on_known - keeper has said who he is, or nobody can */
static void on_known(struct owner_wait *who)
{
	talk((struct tool *)((char *)who - offsetof(struct tool, who)));
}

/* too_many - whether there is no room for one more, which is in the list already */
static bool too_many(const struct tool *t)
{
	const struct tool *other;
	unsigned all = 0, others = 0, his = 0;
	DL_FOREACH (tools.list, other) {
		all++;
		others += !other->peer.admin;
		his += !other->peer.admin && other->peer.uid == t->peer.uid;
	}
	return all > TOOLS_MAX ||
	       (!t->peer.admin && (others > TOOLS_OTHERS_MAX || his > TOOLS_USER_MAX));
}

/* let_in - a channel for one tool, or a word of why not */
static void let_in(int fd)
{
	struct rights_peer peer;
	int err = rights_peer(fd, child_self()->conf, &peer);
	if (err) {
		rights_refuse(fd, ROLE_QMGR, child_self()->conf, NULL);
		return;
	}
	struct tool *t = calloc(1, sizeof(*t));
	if (!t || !(t->sites = evtimer_new(loop_base(), on_sites_slice, t)))
		log_fatal("out of memory for a tool");
	t->fd = fd;
	t->peer = peer;
	t->who.done = on_known;
	t->who.owner.uid = peer.uid;
	t->who.owner.all = peer.admin;
	DL_APPEND(tools.list, t);
	if (too_many(t)) {
		talk(t);
		refuse(t->chan, "too many tools at a time");
		chan_flush(t->chan);
		on_closed(t->chan, t);
	} else if (peer.admin) {
		talk(t);
	} else {
		owner_ask(&t->who);
	}
}

/* on_accept - some at a time */
static void on_accept(evutil_socket_t fd, short what, void *arg)
{
	(void)what, (void)arg;
	for (int i = 0; i < 8; i++) {
		int conn = accept4(fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
		if (conn < 0) {
			if (errno != EAGAIN && errno != ECONNABORTED && errno != EINTR)
				log_warn("the tools' socket");
			return;
		}
		let_in(conn);
	}
}

/* forget_unknown - who is still being asked for isn't answered any more */
static void forget_unknown(void)
{
	struct tool *t, *next;
	DL_FOREACH_SAFE (tools.list, t, next) {
		if (t->chan || t->gone)
			continue;
		owner_forget(&t->who);
		close(t->fd);
		free_tool(t);
	}
}

/* tools_listen - the socket of the tools */
void tools_listen(int fd)
{
	tools_stop();
	tools.fd = fd;
	evutil_make_socket_nonblocking(fd);
	tools.event = event_new(loop_base(), fd, EV_READ | EV_PERSIST, on_accept, NULL);
	if (!tools.event || event_add(tools.event, NULL))
		log_fatal("out of memory for the tools' socket");
}

/* tools_stop - nobody is let in any more */
void tools_stop(void)
{
	if (tools.fd < 0)
		return;
	event_free(tools.event);
	close(tools.fd);
	tools.fd = -1;
	forget_unknown();
}
