/* SPDX-License-Identifier: ISC */
#include "qmgr/copies.h"

#include <stdlib.h>

#include "lib/log.h"
#include "qmgr/batch.h"
#include "qmgr/compact.h"
#include "qmgr/donefile.h"
#include "qmgr/livemap.h"
#include "qmgr/segments.h"
#include "qmgr/spool.h"

/* carry - entries about the records at places `at` become some about those at `to`, pair by pair */
static void carry(struct segment *into, const struct segment *out, const uint64_t *at,
    const uint64_t *to, size_t n)
{
	struct done *v = realloc(into->done, (into->ndone + out->ndone + 1) * sizeof(*v));
	if (!v)
		log_fatal("out of memory for a done list");
	into->done = v;
	for (size_t i = 0; i < out->ndone; i++) {
		size_t k = livemap_find(at, n, out->done[i].offset);
		if (k < n && out->done[i].who != DONE_MOVED)
			v[into->ndone++] =
			    (struct done){.offset = to[k], .who = out->done[i].who};
	}
	qsort(v, into->ndone, sizeof(*v), donefile_compare);
}

/* copies_carry - from the source */
void copies_carry(struct segment *copies, const struct segment *source, const struct livemap *map)
{
	carry(copies, source, map->from, map->places, map->n);
}

/* hide - the source's records that have copies: intake leaves them out */
static void hide(struct segment *source, const struct livemap *map)
{
	struct done *v = realloc(source->done, (source->ndone + map->n + 1) * sizeof(*v));
	if (!v)
		log_fatal("out of memory for a done list");
	source->done = v;
	for (size_t i = 0; i < map->n; i++)
		v[source->ndone++] = (struct done){.offset = map->from[i], .who = DONE_MOVED};
	qsort(v, source->ndone, sizeof(*v), donefile_compare);
}

/* discard - the file first: without it the map is worth nothing, the other way round it isn't so */
static void discard(struct segment *seg)
{
	uint64_t name = seg->name;
	log_info("segment %016llx: copies that were never moved to; thrown away",
	    (unsigned long long)name);
	segment_remove(seg);
	int err = spool_unlink(name, SPOOL_SEGMENT);
	if (!err)
		err = spool_sync();
	if (!err)
		err = spool_unlink(name, SPOOL_DONE);
	if (!err)
		err = spool_unlink(name, SPOOL_LIVE);
	if (err)
		log_warnc(err, "segment %016llx", (unsigned long long)name);
}

/* sort_out - one segment of copies */
static void sort_out(struct segment *seg)
{
	struct segment *source = seg->map->source ? segment_find(seg->map->source) : NULL;
	if (source && !source->found)
		source = NULL;
	if (source && source->known && !seg->known) {
		discard(seg);
		return;
	}
	if (!seg->known) /* its row goes with the first transaction: with the source's, or before */
		batch_segment(seg);
	if (!source)
		return;
	copies_carry(seg, source, seg->map);
	carry(source, seg, seg->map->places, seg->map->from, seg->map->n);
	hide(source, seg->map);
	if (!seg->map->settled)
		compact_resume(seg, source);
}

/* copies_sort_out - all that were found */
void copies_sort_out(void)
{
	struct segment *seg, *next;
	for (seg = segment_first(); seg; seg = next) {
		next = seg->hh.next;
		if (seg->kind == SEGMENT_COPIED && seg->map && seg->found)
			sort_out(seg);
	}
}
