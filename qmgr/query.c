/* SPDX-License-Identifier: ISC */
/*
 * A slice copies rows whose message and address match what the index thread can judge; state and
 * site are judged in the loop, which knows them. Slices resume by message ID and recipient number,
 * so the index may change between them.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/log.h"
#include "lib/loop.h"
#include "qmgr/dest.h"
#include "qmgr/message.h"
#include "qmgr/now.h"
#include "qmgr/query_state.h"
#include "qmgr/site.h"
#include "qmgr/verbs.h"
#include "qmgr/why.h"

/* send_rows - what is gathered */
static void send_rows(struct query *q, bool last)
{
	query_row_end(&q->out, false);
	q->out_id = 0;
	if (q->chan)
		CHAN_SEND(q->chan, tool_rows, .rows = msg_bytes(q->out_bytes, q->out.out.len),
		    .last = last, .own = !q->owner.all);
	query_rows_init(&q->out, q->out_bytes, sizeof(q->out_bytes));
}

/* open_row - the message's part, in a new packet if this one is full */
static void open_row(struct query *q, const struct row *row)
{
	const struct query_row head = {.id = row->id,
	    .arrival_ms = row->msg.arrival_ms,
	    .size = row->msg.plain_len,
	    .sender = row->msg.sender,
	    .class = row->rcpt.class_name};
	if (query_row_begin(&q->out, &head)) {
		send_rows(q, false);
		query_row_begin(&q->out, &head);
	}
	q->out_id = row->id;
}

/* put_row - one recipient into the answer */
static void put_row(struct query *q, const struct row *row, const struct query_rcpt *rcpt)
{
	if (q->out_id != row->id) {
		query_row_end(&q->out, false);
		open_row(q, row);
	}
	if (query_row_rcpt(&q->out, rcpt) == 0)
		return;
	query_row_end(&q->out, true); /* the rest in another packet */
	send_rows(q, false);
	open_row(q, row);
	query_row_rcpt(&q->out, rcpt);
}

/* wanted - what a filter says that only memory knows, and what the verb is for */
static bool wanted(const struct query *q, const struct query_rcpt *rcpt, const struct verbs_at *at)
{
	const struct query_filter *f = &q->filter;
	if (f->state && f->state != rcpt->state)
		return false;
	if (f->site.data && !query_match(f->site, rcpt->site.data, rcpt->site.len))
		return false;
	if (f->reason.data && !query_match(f->reason, rcpt->reason.data, rcpt->reason.len))
		return false;
	return !q->change || verbs_concern(q->verb, at);
}

/* count - what the answer ends with */
static void count(struct query *q, const struct row *row)
{
	q->totals.recipients++;
	if (row->id != q->last_id) {
		q->totals.messages++;
		q->totals.bytes += row->msg.plain_len;
	}
	q->last_id = row->id;
}

/* one - a row that the index thread found */
static void one(struct query *q, const struct row *row)
{
	char text[WHY_TEXT_MAX];
	struct query_rcpt rcpt;
	struct verbs_at at;
	if (!verbs_view(row, &rcpt, &at)) {
		q->missed = true; /* it has ended meanwhile; perhaps others stand for it */
		return;
	}
	if (!wanted(q, &rcpt, &at))
		return;
	if (!q->everything)
		count(q, row);
	if (q->change && !q->dry_run) {
		if (verbs_wake(q->verb, &at))
			return;
		q->uncommitted++;
		if (!verbs_apply(q->verb, row))
			q->flying++;
	} else if (q->rows_wanted) {
		if (q->why)
			why_fill(row, &at, &rcpt, text, sizeof(text));
		put_row(q, row, &rcpt);
	}
}

/* finish - free, and tell the owner */
static void finish(struct query *q)
{
	void (*ended)(void *arg) = q->chan ? q->ended : NULL;
	void *arg = q->arg;
	event_free(q->timer);
	rows_free(&q->rows);
	free(q);
	if (ended)
		ended(arg);
}

/* on_changed - the change is safe */
static void on_changed(struct batch_wait *wait)
{
	struct query *q = (struct query *)((char *)wait - offsetof(struct query, wait));
	if (q->chan)
		CHAN_SEND(q->chan, tool_changed, .messages = q->totals.messages,
		    .recipients = q->totals.recipients, .flying = q->flying, .error = msg_str(""),
		    .own = !q->owner.all);
	finish(q);
}

/* log_change - who reads the log wants to know where mail went */
static void log_change(const struct query *q)
{
	static const char *const names[QUERY_VERBS] = {
	    "none", "flush", "delete", "hold", "release", "bounce"};
	log_event(LOG_INFO, 0, "tool", LOG_U64("uid", q->owner.uid),
	    LOG_STR("verb", names[q->verb]), LOG_U64("messages", q->totals.messages),
	    LOG_U64("recipients", q->totals.recipients));
}

/* start - after a commit of all that is only in memory */
static void start(struct query *q)
{
	batch_write_all();
	batch_wait(&q->wait, false);
}

/* repeat - a walk that found only what had ended: its members may have come in behind it */
static bool repeat(struct query *q)
{
	if (q->change || q->totals.recipients || !q->missed || ++q->repeats > QUERY_REPEATS)
		return false;
	q->missed = false;
	q->at_id = 0;
	q->at_number = 0;
	q->at_index = 0;
	start(q);
	return true;
}

/* last_slice - the answer's end */
static void last_slice(struct query *q)
{
	if (repeat(q))
		return;
	if (q->change) {
		if (!q->dry_run) {
			verbs_end(q->verb, &q->filter);
			log_change(q);
		}
		q->wait.done = on_changed;
		batch_wait(&q->wait, !q->dry_run);
		return;
	}
	if (!q->rows_wanted) {
		int n = query_totals_put(&q->totals, q->out_bytes, sizeof(q->out_bytes));
		q->out.out.len = n > 0 ? (size_t)n : 0;
	}
	send_rows(q, true);
	finish(q);
}

static void again(evutil_socket_t fd, short what, void *arg);

/* on_wave - what was changed is in the index */
static void on_wave(struct batch_wait *wait)
{
	struct query *q = (struct query *)((char *)wait - offsetof(struct query, wave));
	q->waving = false;
	if (!q->stalled)
		return;
	q->stalled = false;
	again(-1, 0, q);
}

/* order_commit - of what was changed so far, while the walk goes on: so each transaction has some
 */
static void order_commit(struct query *q)
{
	q->uncommitted = 0;
	q->waving = true;
	q->wave.done = on_wave;
	batch_wait(&q->wave, false);
}

/* again - the next slice, once the tool has read */
static void again(evutil_socket_t fd, short what, void *arg)
{
	struct query *q = arg;
	(void)fd, (void)what;
	if (!q->chan && !q->change) {
		finish(q);
	} else if (q->chan && chan_backlog(q->chan) > QUERY_BACKLOG) {
		event_add(q->timer, &(struct timeval){.tv_usec = QUERY_PAUSE_MS * 1000});
	} else if (q->uncommitted >= QUERY_UNCOMMITTED && q->waving) {
		q->stalled = true;
	} else {
		if (q->uncommitted >= QUERY_UNCOMMITTED)
			order_commit(q);
		wire_out_reset(&q->rows.out);
		q->rows.n = 0;
		q->rows.last_id = 0;
		work_submit(work_index, &q->work);
	}
}

/* sliced - in the loop */
static void sliced(struct work *work)
{
	struct query *q = (struct query *)work;
	struct row row;
	size_t pos = 0;
	int err = q->err;
	while (!err && (err = rows_next(&q->rows, &pos, &row)) == 1) {
		one(q, &row);
		err = 0;
	}
	if (err)
		batch_give_up(err, "a listing");
	if (q->more)
		again(-1, 0, q);
	else
		last_slice(q);
}

/* on_committed - everything is in the index: walk it */
static void on_committed(struct batch_wait *wait)
{
	struct query *q = (struct query *)((char *)wait - offsetof(struct query, wait));
	again(-1, 0, q);
}

/* refuse - say why */
static struct query *refuse(struct chan *chan, const char *why)
{
	CHAN_SEND(chan, tool_changed, .error = msg_str(why));
	return NULL;
}

/* begin - a request with its filter */
static struct query *begin(struct chan *chan, struct msg_bytes filter, const struct owner *owner,
    void (*ended)(void *), void *arg)
{
	if (filter.len > QUERY_FILTER_MAX)
		return refuse(chan, "the filter is too long");
	struct query *q = calloc(1, sizeof(*q));
	if (!q || !(q->timer = evtimer_new(loop_base(), again, q)))
		log_fatal("out of memory for a request");
	memcpy(q->filter_bytes, filter.data, filter.len);
	int err = query_filter_get(msg_bytes(q->filter_bytes, filter.len), &q->filter, q->ids);
	if (err || query_filter_empty(&q->filter)) {
		event_free(q->timer);
		free(q);
		return refuse(chan, err ? "the filter is broken" : "the filter names nothing");
	}
	q->chan = chan;
	q->owner = *owner;
	q->ended = ended;
	q->arg = arg;
	q->now = now_ms();
	q->work.run = query_slice;
	q->work.done = sliced;
	q->wait.done = on_committed;
	rows_init(&q->rows);
	query_rows_init(&q->out, q->out_bytes, sizeof(q->out_bytes));
	return q;
}

/* query_list - tool_list */
struct query *query_list(struct chan *chan, const struct msg_tool_list *m,
    const struct owner *owner, void (*ended)(void *), void *arg)
{
	struct query *q = begin(chan, m->filter, owner, ended, arg);
	if (!q)
		return NULL;
	q->why = m->detail == QUERY_WHY;
	q->rows_wanted = m->detail == QUERY_ROWS || q->why;
	start(q);
	return q;
}

/* query_change - tool_change */
struct query *query_change(struct chan *chan, const struct msg_tool_change *m,
    const struct owner *owner, void (*ended)(void *), void *arg)
{
	if (m->verb < QUERY_FLUSH || m->verb >= QUERY_VERBS)
		return refuse(chan, "no such verb");
	struct query *q = begin(chan, m->filter, owner, ended, arg);
	if (!q)
		return NULL;
	q->change = true;
	q->verb = m->verb;
	q->dry_run = m->dry_run;
	q->everything = m->verb == QUERY_FLUSH && owner->all && query_filter_everything(&q->filter);
	start(q);
	return q;
}

/* query_orphan - nobody waits for the answer */
void query_orphan(struct query *q)
{
	q->chan = NULL;
}
