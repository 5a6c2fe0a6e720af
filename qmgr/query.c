/* SPDX-License-Identifier: ISC */
/*
 * A slice copies rows whose message and address match what the index thread can judge; state and
 * site are judged in the loop, which knows them. Slices resume by message ID and recipient number,
 * so the index may change between them.
 */
#include "qmgr/query.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/log.h"
#include "lib/loop.h"
#include "lib/query.h"
#include "qmgr/batch.h"
#include "qmgr/dest.h"
#include "qmgr/index.h"
#include "qmgr/load.h"
#include "qmgr/message.h"
#include "qmgr/now.h"
#include "qmgr/site.h"
#include "qmgr/verbs.h"
#include "qmgr/why.h"
#include "qmgr/work.h"

struct query {
	struct work work;
	struct batch_wait wait;
	struct chan *chan; /* NULL: the tool is gone */
	void (*ended)(void *arg);
	void *arg;
	struct event *timer;
	bool change, dry_run, rows_wanted, why;
	bool
	    everything; /* a flush of all mail of all users: what is due anyway stays where it is */
	enum query_verb verb;
	struct owner owner;
	struct query_filter filter;
	unsigned char filter_bytes[QUERY_FILTER_MAX];
	uint64_t ids[QUERY_IDS_MAX];
	/* the walk: where it stands, what the slice found */
	uint64_t now, at_id;
	uint32_t at_number;
	size_t at_index; /* in ids */
	struct rows rows;
	unsigned slow;   /* of them: those to be changed */
	unsigned passed; /* not among them: due anyway */
	bool more;
	int err;
	bool missed;      /* rows that had ended by the time they were looked at */
	unsigned repeats; /* walks that found nothing but those */
	/* the answer */
	struct query_totals totals;
	uint64_t flying;        /* changed, but a worker has them */
	unsigned uncommitted;   /* changed since the last commit that was ordered */
	struct batch_wait wave; /* that commit */
	bool waving, stalled;   /* it isn't through; and enough was changed for another one */
	uint64_t last_id;
	struct query_rows out;
	uint64_t out_id; /* of the open row; 0: none */
	unsigned char out_bytes[QUERY_ROWS_MAX];
};

/* -- on the index thread */

/* domain_of - what stands behind the last @ */
static struct msg_bytes domain_of(struct msg_bytes address)
{
	size_t n = address.len;
	while (n && address.data[n - 1] != '@')
		n--;
	return (struct msg_bytes){
	    .data = address.data + n, .len = (uint32_t)(n ? address.len - n : 0)};
}

/* message_matches - what a filter says of the message */
static bool message_matches(const struct query *q, const struct row_msg *row)
{
	const struct query_filter *f = &q->filter;
	if (!owner_has(&q->owner, row))
		return false;
	if (f->sender.data && !query_match(f->sender, row->sender.data, row->sender.len))
		return false;
	if (f->older_ms && row->arrival_ms + f->older_ms > q->now)
		return false;
	return row->plain_len >= f->larger;
}

/* rcpt_matches - what it says of the recipient as it is in the index */
static bool rcpt_matches(const struct query *q, const struct row_rcpt *row)
{
	const struct query_filter *f = &q->filter;
	struct msg_bytes domain = domain_of(row->address);
	if (f->recipient.data && !query_match(f->recipient, row->address.data, row->address.len))
		return false;
	if (f->class.data && !query_match(f->class, row->class_name.data, row->class_name.len))
		return false;
	return !f->domain.data || query_match(f->domain, domain.data, domain.len);
}

/* full - whether the slice has enough: what is changed takes the loop longer than what is shown */
static bool full(const struct query *q)
{
	uint32_t most = q->verb == QUERY_FLUSH ? QUERY_SLICE_FLUSH : QUERY_SLICE_RCPTS;
	return q->rows.n >= most || q->slow >= QUERY_SLICE_APPLY || q->passed >= QUERY_SLICE_PASS;
}

/*
 * passes - of a flush of everything all is counted here, and what is due is left alone: the loop
 * would find it, look up its destination and do no more than verbs_end() does for all of them.
 */
static bool passes(struct query *q, uint64_t id, const struct row_rcpt *rcpt)
{
	if (!q->everything)
		return false;
	if (!stage_aside(rcpt->stage) && rcpt->order != ORDER_HOLD) {
		q->totals.recipients++;
		q->totals.messages += id != q->last_id;
		q->last_id = id;
	}
	bool due = rcpt->due_ms <= q->now;
	q->passed += due;
	return due;
}

/* on_rcpt - a recipient's row in order; the message is looked at with its first one */
static int on_rcpt(struct msg_bytes key, struct msg_bytes value, struct msg_bytes *seek, void *arg)
{
	static unsigned char next[12];
	struct query *q = arg;
	uint64_t id;
	uint32_t number;
	struct row_rcpt rcpt;
	struct row_msg row;
	struct msg_bytes msg;
	unsigned char mkey[8];
	int err = keys_get_rcpt(key.data, key.len, &id, &number);
	if (!err)
		err = keys_get_rcpt_row(value.data, value.len, &rcpt);
	if (err)
		return err;
	if (q->filter.nids && id != q->at_id)
		return 1; /* the next one of the list */
	if (full(q)) {
		q->at_id = id;
		q->at_number = number;
		q->more = true;
		return 1;
	}
	if (passes(q, id, &rcpt))
		return 0;
	err = index_get(TABLE_MSG, mkey, keys_msg(mkey, id), &msg);
	if (!err)
		err = keys_get_msg_row(msg.data, msg.len, &row);
	if (err)
		return err == -ENOENT ? -EBADMSG : err;
	if (!message_matches(q, &row)) {
		*seek = (struct msg_bytes){
		    .data = (char *)next, .len = (uint32_t)keys_rcpt(next, id + 1, 0)};
		return 0;
	}
	if (!rcpt_matches(q, &rcpt))
		return 0;
	if (q->change && (q->verb != QUERY_FLUSH || rcpt.due_ms > q->now))
		q->slow++; /* verbs_wake() is all that a flush does to the others */
	return rows_add_row(&q->rows, id, number, value);
}

/* walk_from - recipients from where the walk stands */
static int walk_from(struct query *q)
{
	unsigned char key[12];
	int err = index_walk(TABLE_RCPT, key, keys_rcpt(key, q->at_id, q->at_number), on_rcpt, q);
	return err > 0 ? 0 : err;
}

/* run_slice - some more rows */
static void run_slice(struct work *work)
{
	struct query *q = (struct query *)work;
	q->more = false;
	q->slow = q->passed = 0;
	q->err = index_read_begin();
	if (q->err)
		return;
	if (!q->filter.nids) {
		q->err = walk_from(q);
	} else {
		while (!q->err && !q->more && q->at_index < q->filter.nids) {
			if (q->at_id != q->ids[q->at_index]) {
				q->at_id = q->ids[q->at_index];
				q->at_number = 0;
			}
			q->err = walk_from(q);
			if (!q->more)
				q->at_index++;
		}
	}
	index_read_end();
}

/* -- in the loop */

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
	q->work.run = run_slice;
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
