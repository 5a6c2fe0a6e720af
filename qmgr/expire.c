/* SPDX-License-Identifier: ISC */
/*
 * Lifetimes of parked mail: it stays in the index while its site is down, so those whose time is
 * over are looked for there, in slices, each time the site fails again.
 */
#include <stdlib.h>
#include <string.h>

#include "lib/log.h"
#include "qmgr/batch.h"
#include "qmgr/class.h"
#include "qmgr/dest.h"
#include "qmgr/index.h"
#include "qmgr/load.h"
#include "qmgr/message.h"
#include "qmgr/now.h"
#include "qmgr/route.h"
#include "qmgr/schedule.h"
#include "qmgr/settle.h"
#include "qmgr/work.h"

#define EXPIRE_KEYS 20000 /* looked at in one slice */

struct expire {
	struct work work;
	struct dest *dest;
	struct due_key at;    /* where the next slice begins */
	uint64_t before[256]; /* arrivals that are over, by the lane's class */
	uint64_t oldest;      /* arrival */
	uint32_t looked;
	struct rows rows;
	bool more;
	int err;
};

/* expire_key - one due key */
static int expire_key(
    struct msg_bytes key, struct msg_bytes value, struct msg_bytes *seek, void *arg)
{
	struct expire *e = arg;
	struct msg_bytes dest;
	(void)value, (void)seek;
	int err = keys_get_due(key.data, key.len, &dest, &e->at);
	if (err)
		return err;
	if (dest.len != e->dest->name_len || memcmp(dest.data, e->dest->name, dest.len))
		return 1;
	e->more = e->rows.n == REFILL_ROWS || e->looked++ == EXPIRE_KEYS;
	if (e->more)
		return 1;
	uint64_t arrival = e->at.id / 1000;
	if (arrival < e->oldest)
		e->oldest = arrival;
	if (arrival > e->before[class_rank(e->at.lane)])
		return 0;
	return rows_add(&e->rows, e->at.id, e->at.number);
}

/* run_expire - on the index thread; the destination's name never changes */
static void run_expire(struct work *work)
{
	struct expire *e = (struct expire *)work;
	unsigned char key[KEYS_DUE_MAX];
	size_t len = keys_due(key, e->dest->name, e->dest->name_len, &e->at);
	e->more = false;
	e->looked = 0;
	e->err = index_read_begin();
	if (!e->err)
		e->err = index_walk(TABLE_DUE, key, len, expire_key, e);
	index_read_end();
}

/* settle_rows - whose time is over ends, others go where they belong */
static void settle_rows(const struct rows *rows)
{
	struct row row;
	size_t pos = 0;
	int err;
	while ((err = rows_next(rows, &pos, &row)) == 1) {
		struct rcpt *rcpt = row_load(&row);
		if (!rcpt)
			continue;
		route_assign(rcpt);
		if (rcpt->stage == STAGE_MAIL && schedule_expired(rcpt, now_ms()))
			settle_expired(rcpt);
		else
			schedule_place(rcpt);
	}
	if (err)
		batch_give_up(err, "reading the schedule");
}

/* expired - in the loop */
static void expired(struct work *work)
{
	struct expire *e = (struct expire *)work;
	struct dest *dest = e->dest;
	if (e->err < 0)
		batch_give_up(e->err, "reading the schedule");
	settle_rows(&e->rows);
	rows_free(&e->rows);
	if (e->more) {
		rows_init(&e->rows);
		work_submit(work_index, work);
		return;
	}
	dest->oldest_ms = e->oldest;
	dest->expiring = false;
	free(e);
	schedule_refill(dest);
}

/* schedule_expire - all of one destination, if any can be that old */
void schedule_expire(struct dest *dest)
{
	uint64_t now = now_ms();
	if (dest->expiring || dest->index_due == DEST_NEVER ||
	    (dest->oldest_ms && dest->oldest_ms + class_shortest_lifetime() > now))
		return;
	struct expire *e = calloc(1, sizeof(*e));
	if (!e)
		log_fatal("out of memory");
	e->work.run = run_expire;
	e->work.done = expired;
	e->dest = dest;
	e->oldest = UINT64_MAX;
	for (unsigned rank = 0; rank < 256; rank++) {
		uint64_t lifetime = class_rank_lifetime((uint8_t)rank);
		e->before[rank] = now > lifetime ? now - lifetime : 0;
	}
	rows_init(&e->rows);
	dest->expiring = true;
	work_submit(work_index, &e->work);
}
