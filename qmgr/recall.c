/* SPDX-License-Identifier: ISC */
/* One work item a question; the done list's other messages are left out on the thread. */
#include "qmgr/recall.h"

#include <stdlib.h>

#include "lib/log.h"
#include "lib/wire.h"
#include "qmgr/donefile.h"
#include "qmgr/index.h"
#include "qmgr/keys.h"
#include "qmgr/message.h"
#include "qmgr/segments.h"
#include "qmgr/work.h"

#define RECALL_MAX (64u << 20) /* bytes of addresses: ENVELOPE_RCPTS_MAX of them are less */

struct recall {
	struct work work; /* first */
	uint64_t id, segment, offset;
	struct wire_out rows; /* flags, address */
	struct done *ended;
	size_t nended;
	int err;
	bool kept, telling;
	recall_done *done;
	void *arg;
};

/* add_row - one row of the table, as long as it is the message's */
static int add_row(struct msg_bytes key, struct msg_bytes value, struct msg_bytes *seek, void *arg)
{
	struct recall *r = arg;
	struct row_rcpt row;
	uint64_t id;
	uint32_t number;
	(void)seek;
	int err = keys_get_rcpt(key.data, key.len, &id, &number);
	if (err || id != r->id)
		return err ? err : 1;
	err = keys_get_rcpt_row(value.data, value.len, &row);
	if (err)
		return err;
	wire_put_u8(&r->rows, row.flags);
	wire_put_bytes(&r->rows, row.address.data, row.address.len);
	return wire_out_end(&r->rows);
}

/* read_rows - all recipients of the message */
static int read_rows(struct recall *r)
{
	unsigned char key[12];
	int err = index_read_begin();
	if (err)
		return err;
	err = index_walk(TABLE_RCPT, key, keys_rcpt(key, r->id, 0), add_row, r);
	index_read_end();
	return err > 0 ? 0 : err;
}

/* read_ended - what the done list has of the record */
static int read_ended(struct recall *r)
{
	struct done *all = NULL;
	size_t n = 0;
	int err = donefile_read(r->segment, &all, &n);
	for (size_t i = 0; i < n && !err; i++)
		if (all[i].offset == r->offset)
			all[r->nended++] = all[i];
	r->ended = all;
	return err;
}

/* run - on the index thread */
static void run(struct work *work)
{
	struct recall *r = (struct recall *)work;
	r->err = read_rows(r);
	if (!r->err)
		r->err = read_ended(r);
}

/* finished - in the loop */
static void finished(struct work *work)
{
	struct recall *r = (struct recall *)work;
	r->telling = true;
	r->done(r, r->arg);
	r->telling = false;
	if (!r->kept)
		recall_free(r);
}

/* recall_keep - whoever needs it longer */
void recall_keep(const struct recall *r)
{
	((struct recall *)r)->kept = true;
}

/* recall_free - all of it */
void recall_free(const struct recall *kept)
{
	struct recall *r = (struct recall *)kept;
	if (!r)
		return;
	if (r->telling) { /* kept and given back in one call: finished() still looks at it */
		r->kept = false;
		return;
	}
	wire_out_free(&r->rows);
	free(r->ended);
	free(r);
}

/* recall - onto the index thread */
void recall(const struct message *msg, recall_done *done, void *arg)
{
	struct recall *r = calloc(1, sizeof(*r));
	if (!r)
		log_fatal("out of memory");
	r->work.run = run;
	r->work.done = finished;
	r->id = msg->id;
	r->segment = msg->segment->name;
	r->offset = msg->offset;
	r->done = done;
	r->arg = arg;
	wire_out_grow(&r->rows, RECALL_MAX);
	work_submit(work_index, &r->work);
}

/* recall_error - of reading */
int recall_error(const struct recall *r)
{
	return r->err;
}

/* recall_next - the next row */
int recall_next(const struct recall *r, size_t *pos, struct msg_bytes *address, uint8_t *flags)
{
	struct wire_in in;
	size_t len;
	if (*pos >= r->rows.len)
		return 0;
	wire_in_init(&in, r->rows.base + *pos, r->rows.len - *pos);
	*flags = wire_get_u8(&in);
	const char *data = wire_get_bytes(&in, &len);
	*address = msg_bytes(data, len);
	*pos = r->rows.len - wire_left(&in);
	return in.err ? 0 : 1;
}

/* recall_ended - they are in the order of the list */
bool recall_ended(const struct recall *r, struct msg_bytes address)
{
	const struct done d = {.offset = r->offset, .who = donefile_who(address)};
	return r->nended && bsearch(&d, r->ended, r->nended, sizeof(d), donefile_compare);
}
