/* SPDX-License-Identifier: ISC */
/*
 * The form between the threads: id u64 | number u32 | recipient's row | message's row | moot u8.
 * The message's row is empty where it is the same message as before; the decoder of the loop keeps
 * it.
 */
#include "qmgr/load.h"

#include <errno.h>

#include "lib/child.h"
#include "lib/log.h"
#include "qmgr/batch.h"
#include "qmgr/donelist.h"
#include "qmgr/index.h"
#include "qmgr/message.h"
#include "qmgr/now.h"
#include "qmgr/segments.h"
#include "qmgr/settle.h"

#define ROWS_MAX (16u << 20)

/* rows_init - none */
void rows_init(struct rows *rows)
{
	wire_out_grow(&rows->out, ROWS_MAX);
	rows->n = 0;
	rows->last_id = 0;
}

/* rows_free - give the memory back */
void rows_free(struct rows *rows)
{
	wire_out_free(&rows->out);
}

/* moot - whether it tells of a delay that is over: the recipient it tells of isn't waiting */
static bool moot(uint64_t id, struct msg_bytes value)
{
	unsigned char key[12];
	struct row_rcpt row, parent;
	if (keys_get_rcpt_row(value.data, value.len, &row) || row.stage != STAGE_DELAYED)
		return false;
	if (index_get(TABLE_RCPT, key, keys_rcpt(key, id, row.parent), &value) ||
	    keys_get_rcpt_row(value.data, value.len, &parent))
		return true;
	return parent.stage != STAGE_MAIL;
}

/* rows_add_row - copy a recipient's row, and its message's if that is another one */
int rows_add_row(struct rows *rows, uint64_t id, uint32_t number, struct msg_bytes row)
{
	struct msg_bytes msg = {0};
	if (id != rows->last_id) {
		unsigned char key[8];
		int err = index_get(TABLE_MSG, key, keys_msg(key, id), &msg);
		if (err)
			return err;
	}
	wire_put_u64(&rows->out, id);
	wire_put_u32(&rows->out, number);
	wire_put_bytes(&rows->out, row.data, row.len);
	wire_put_bytes(&rows->out, msg.data, msg.len);
	wire_put_u8(&rows->out, moot(id, row));
	rows->last_id = id;
	rows->n++;
	return wire_out_end(&rows->out);
}

/* rows_add - look the recipient's row up, then as above */
int rows_add(struct rows *rows, uint64_t id, uint32_t number)
{
	unsigned char key[12];
	struct msg_bytes row;
	int err = index_get(TABLE_RCPT, key, keys_rcpt(key, id, number), &row);
	return err ? err : rows_add_row(rows, id, number, row);
}

/* rows_next - decode one */
int rows_next(const struct rows *rows, size_t *pos, struct row *row)
{
	struct wire_in in;
	size_t rcpt_len, msg_len;
	if (*pos >= rows->out.len)
		return 0;
	wire_in_init(&in, rows->out.base + *pos, rows->out.len - *pos);
	row->id = wire_get_u64(&in);
	row->number = wire_get_u32(&in);
	const char *rcpt = wire_get_bytes(&in, &rcpt_len);
	const char *msg = wire_get_bytes(&in, &msg_len);
	row->moot = wire_get_u8(&in);
	if (in.err)
		return in.err;
	*pos = rows->out.len - wire_left(&in);
	int err = keys_get_rcpt_row(rcpt, rcpt_len, &row->rcpt);
	if (!err && msg_len)
		err = keys_get_msg_row(msg, msg_len, &row->msg);
	return err ? err : 1;
}

/* message_of - the row's message in memory, loaded if needed */
static struct message *message_of(const struct row *row)
{
	struct message *msg = message_find(row->id);
	if (msg)
		return msg;
	struct segment *seg = segment_find(row->msg.segment);
	if (!seg) {
		log_text(LOG_ERROR, row->id, "its segment %016llx is not in the spool",
		    (unsigned long long)row->msg.segment);
		return NULL;
	}
	msg = message_load(row->id, seg, &row->msg);
	if (!msg)
		log_fatal("out of memory for a message");
	return msg;
}

/* row_load - into memory */
struct rcpt *row_load(const struct row *row)
{
	struct message *msg = message_of(row);
	if (!msg || rcpt_find(msg, row->number))
		return NULL;
	struct rcpt *rcpt = rcpt_load(msg, row->number, &row->rcpt);
	if (!rcpt)
		log_fatal("out of memory for a recipient");
	if (donelist_has(msg->segment, msg->offset) ||
	    (!stage_over(row->rcpt.stage) &&
		donelist_has_rcpt(msg->segment, msg->offset, row->rcpt.address))) {
		settle_ended(rcpt); /* the tree was killed before its rows went */
		return NULL;
	}
	if (row->moot && rcpt->stage == STAGE_DELAYED) {
		settle_withdrawn(rcpt);
		return NULL;
	}
	uint64_t latest = now_ms() + child_self()->conf->retry.max;
	if (rcpt->due_ms > latest) {
		rcpt->due_ms = latest;
		batch_rcpt(rcpt);
	}
	return rcpt;
}
