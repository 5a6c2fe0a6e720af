/* SPDX-License-Identifier: ISC */
/* A slice of a request, on the index thread. */
#include "qmgr/index.h"
#include "qmgr/query_state.h"

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

/* query_slice - some more rows */
void query_slice(struct work *work)
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
