/* SPDX-License-Identifier: ISC */
/* Encodes at once: what is changed in memory afterwards belongs to the next transaction. */
#include "qmgr/batch_rows.h"

#include "lib/log.h"
#include "qmgr/batch.h"
#include "qmgr/dest.h"
#include "qmgr/message.h"
#include "qmgr/segments.h"

/* rows_put_message - its row, or its end */
void rows_put_message(struct index_ops *ops, struct message *msg)
{
	unsigned char key[8], buf[KEYS_ROW_MAX];
	size_t key_len = keys_msg(key, msg->id);
	struct row_msg row;
	msg->write = WRITE_WRITING;
	if (!msg->left) {
		index_del(ops, TABLE_MSG, key, key_len);
		msg->segment->rows--;
		msg->segment->live_bytes -= message_record_len(msg);
		batch_segment(msg->segment);
		return;
	}
	message_row(msg, &row);
	int len = keys_put_msg_row(&row, buf);
	if (len < 0)
		log_bug("row of a message: %d", len);
	index_put(ops, TABLE_MSG, key, key_len, buf, (size_t)len);
}

/* put_due - its key of the schedule, if that changed */
static void put_due(struct index_ops *ops, struct rcpt *rcpt, struct dest *dest)
{
	unsigned char key[KEYS_DUE_MAX];
	struct due_key at = {.id = rcpt->msg->id, .number = rcpt->number};
	if (rcpt->row_dest == dest && (!dest || rcpt_due_known(rcpt)))
		return;
	if (rcpt->row_dest) {
		at.lane = rcpt->row_lane;
		at.due = rcpt->row_due;
		size_t len = keys_due(key, rcpt->row_dest->name, rcpt->row_dest->name_len, &at);
		index_del(ops, TABLE_DUE, key, len);
		rcpt->row_dest->refs--;
	}
	rcpt->row_dest = dest;
	if (!dest)
		return;
	dest->refs++;
	at.due = rcpt->row_due = rcpt->due_ms;
	at.lane = rcpt->row_lane = rcpt->lane;
	size_t len = keys_due(key, dest->name, dest->name_len, &at);
	index_put(ops, TABLE_DUE, key, len, NULL, 0);
}

/* rows_put_rcpt - its row, or its end */
void rows_put_rcpt(struct index_ops *ops, struct rcpt *rcpt)
{
	unsigned char key[12], buf[KEYS_ROW_MAX];
	size_t key_len = keys_rcpt(key, rcpt->msg->id, rcpt->number);
	struct row_rcpt row;
	rcpt->write = WRITE_WRITING;
	if (rcpt->state == RCPT_DONE) {
		put_due(ops, rcpt, NULL);
		if (rcpt->rowed)
			index_del(ops, TABLE_RCPT, key, key_len);
		return;
	}
	rcpt->rowed = true;
	put_due(ops, rcpt, rcpt_set_aside(rcpt) ? NULL : rcpt->dest);
	rcpt_row(rcpt, &row);
	int len = keys_put_rcpt_row(&row, buf);
	if (len < 0)
		log_bug("row of a recipient: %d", len);
	index_put(ops, TABLE_RCPT, key, key_len, buf, (size_t)len);
}

/* rows_put_segment - its row */
void rows_put_segment(struct index_ops *ops, struct segment *seg)
{
	unsigned char key[8], buf[KEYS_ROW_MAX];
	seg->write = WRITE_WRITING;
	struct row_seg row = {.nonce = seg->nonce,
	    .kind = (uint8_t)seg->kind,
	    .size = seg->size,
	    .limit = seg->limit,
	    .taken = seg->taking,
	    .end = seg->state >= SEGMENT_CLOSED ? seg->submitted : 0,
	    .live = seg->rows,
	    .live_bytes = seg->live_bytes};
	int len = keys_put_seg_row(&row, buf);
	if (len < 0)
		log_bug("row of a segment: %d", len);
	index_put(ops, TABLE_SEG, key, keys_seg(key, seg->name), buf, (size_t)len);
}
