/* SPDX-License-Identifier: ISC */
/* A ring that doubles when it is full; what is settled leaves it at the front only. */
#include "qmgr/unsettled.h"

#include <stdbool.h>
#include <stdlib.h>

#include "lib/hash.h"
#include "lib/log.h"
#include "qmgr/batch.h"
#include "qmgr/dispatch.h"
#include "qmgr/links.h"
#include "qmgr/segments.h"

/* unsettled_at - an entry of the ring */
struct unsettled *unsettled_at(struct worker *w, uint64_t position)
{
	return &w->unsettled.entries[position % w->unsettled.size];
}

/* unsettled_count - entries of the ring */
unsigned unsettled_count(const struct worker *w)
{
	return (unsigned)(w->unsettled.tail - w->unsettled.head);
}

/* grow - a ring twice as large, entries where their positions say */
static void grow(struct worker *w)
{
	size_t size = w->unsettled.size ? w->unsettled.size * 2 : 256;
	struct unsettled *ring = calloc(size, sizeof(*ring));
	if (!ring)
		log_fatal("out of memory for results");
	for (uint64_t p = w->unsettled.head; p < w->unsettled.tail; p++)
		ring[p % size] = *unsettled_at(w, p);
	free(w->unsettled.entries);
	w->unsettled.entries = ring;
	w->unsettled.size = size;
}

/* unsettled_add - one more */
uint64_t unsettled_add(
    struct worker *w, uint64_t seq, struct segment *seg, uint64_t offset, uint64_t batch)
{
	if (w->unsettled.tail - w->unsettled.head == w->unsettled.size)
		grow(w);
	*unsettled_at(w, w->unsettled.tail) =
	    (struct unsettled){.seq = seq, .segment = seg, .offset = offset, .batch = batch};
	if (seg)
		seg->refs++;
	return w->unsettled.tail++;
}

/* settled - the index knows it, or need not */
static bool settled(const struct unsettled *u)
{
	return !u->claims && u->batch <= batch_committed() &&
	       (!u->segment || u->segment->taken > u->offset);
}

/* unsettled_commit - COMMITTED for the settled ones at the front of each ring */
void unsettled_commit(void)
{
	struct worker *w;
	DL_FOREACH (links_workers(), w) {
		uint64_t seq = 0;
		bool any = false;
		for (; w->unsettled.head < w->unsettled.tail; w->unsettled.head++) {
			struct unsettled *u = unsettled_at(w, w->unsettled.head);
			if (!settled(u))
				break;
			seq = u->seq;
			any = true;
			if (u->segment && --u->segment->refs == 0)
				segment_unused(u->segment);
		}
		if (any)
			CHAN_SEND(w->chan, deliver_committed, .seq = seq);
		if (w->unsettled.head < w->unsettled.tail)
			batch_result(); /* what waits for an older record of its segment */
	}
	dispatch_held();
}

/* unsettled_drop - the worker is gone */
void unsettled_drop(struct worker *w)
{
	while (w->unsettled.head < w->unsettled.tail) {
		struct unsettled *u = unsettled_at(w, w->unsettled.head++);
		if (u->segment && --u->segment->refs == 0)
			segment_unused(u->segment);
	}
	free(w->unsettled.entries);
}
