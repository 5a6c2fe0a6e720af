/* SPDX-License-Identifier: ISC */
#include "qmgr/living.h"

#include <errno.h>
#include <stdlib.h>

#include "lib/record.h"
#include "qmgr/batch.h"
#include "qmgr/index.h"
#include "qmgr/keys.h"
#include "qmgr/segments.h"

/* row_of - one message of the range */
static int row_of(struct msg_bytes key, struct msg_bytes value, struct msg_bytes *seek, void *arg)
{
	struct living *l = arg;
	struct row_msg row;
	uint64_t id;
	(void)seek;
	if (keys_get_msg(key.data, key.len, &id))
		return -EBADMSG;
	if (id > l->last_id)
		return 1;
	l->next_id = id;
	if (l->slice++ == LIVING_ROWS) {
		l->more = true;
		return 1;
	}
	if (keys_get_msg_row(value.data, value.len, &row))
		return -EBADMSG;
	if (row.segment != l->name)
		return 0; /* a copy of it lives */
	if (l->n == l->room) {
		size_t room = l->room ? l->room * 2 : 64;
		struct living_record *v = realloc(l->v, room * sizeof(*v));
		if (!v)
			return -ENOMEM;
		l->v = v;
		l->room = room;
	}
	l->v[l->n++] = (struct living_record){.id = id,
	    .at = row.offset,
	    .end = row.body_at + row.body_len + row.late_len + RECORD_TRAILER};
	return 0;
}

/* run - a slice, on the index thread */
static void run(struct work *work)
{
	struct living *l = (struct living *)work;
	unsigned char key[8];
	l->more = false;
	l->slice = 0;
	l->err = index_read_begin();
	if (!l->err)
		l->err = index_walk(TABLE_MSG, key, keys_msg(key, l->next_id), row_of, l);
	if (l->err > 0)
		l->err = 0;
	index_read_end();
}

/* compare - by place */
static int compare(const void *a, const void *b)
{
	const struct living_record *x = a, *y = b;
	return x->at < y->at ? -1 : x->at > y->at;
}

/* plausible - no fewer than memory counts, none over another */
static bool plausible(const struct living *l)
{
	for (size_t i = 0; i < l->n; i++) {
		if (l->v[i].end > l->seg->submitted || (i && l->v[i].at < l->v[i - 1].end))
			return false;
	}
	return l->n >= l->seg->rows;
}

/* sliced - in the loop: go on, or that was all */
static void sliced(struct work *work)
{
	struct living *l = (struct living *)work;
	if (!l->err && l->more) {
		work_submit(work_index, work);
		return;
	}
	if (l->n)
		qsort(l->v, l->n, sizeof(*l->v), compare);
	if (l->err || !plausible(l))
		batch_give_up(l->err ? l->err : -EBADMSG, "reading what lives of a segment");
	l->done(l);
}

/* living_read - from the first ID of the range on */
void living_read(struct living *l, struct segment *seg)
{
	living_clear(l);
	l->seg = seg;
	l->name = seg->name;
	l->next_id = seg->first_id;
	l->last_id = seg->first_id + SEGMENT_IDS - 1;
	l->work.run = run;
	l->work.done = sliced;
	work_submit(work_index, &l->work);
}

/* living_clear - its memory */
void living_clear(struct living *l)
{
	free(l->v);
	l->v = NULL;
	l->n = l->room = 0;
}

/* living_has - a binary search */
bool living_has(const struct living *l, uint64_t at)
{
	const struct living_record r = {.at = at};
	return l->n && bsearch(&r, l->v, l->n, sizeof(r), compare);
}
