/* SPDX-License-Identifier: ISC */
/*
 * Segments with new entries are in a list; a round copies them and leaves the segments alone. The
 * helper thread runs rounds and the reclaiming of files in order, and a segment with entries that
 * aren't in a round yet isn't finished, so no list is written after its segment is gone.
 */
#include "qmgr/donelist.h"

#include <stdlib.h>
#include <string.h>

#include "lib/hash.h"
#include "lib/log.h"
#include "lib/loop.h"
#include "qmgr/donefile.h"
#include "qmgr/segments.h"
#include "qmgr/work.h"

/* The entries of one segment in a round. */
struct part {
	uint64_t name;
	size_t first, n;
};

static struct {
	struct segment *fresh; /* segments with new entries */
	struct part *parts;
	struct done *entries;
	size_t nparts, parts_room, nentries, entries_room;
	struct work work;
	struct event *timer;
	bool running;
	int err; /* of the last round; the thread's */
} dl;

/* run - on the helper thread */
static void run(struct work *work)
{
	int err = 0;
	(void)work;
	for (size_t i = 0; i < dl.nparts && !err; i++) {
		const struct part *p = &dl.parts[i];
		err = donefile_append(p->name, dl.entries + p->first, p->n);
	}
	/* Not worth more than a word: it only spares duplicates after a crash. */
	if (err && !dl.err)
		log_warnc(err, "done lists can't be written");
	dl.err = err;
}

static void start(evutil_socket_t fd, short what, void *arg);

/* arm - the next round, if none is under way */
static void arm(void)
{
	if (!dl.timer && !(dl.timer = evtimer_new(loop_base(), start, NULL)))
		log_fatal("out of memory for a timer");
	if (!dl.running && !evtimer_pending(dl.timer, NULL))
		event_add(dl.timer, &(struct timeval){.tv_usec = DONELIST_MS * 1000});
}

/* finished - in the loop: the next round, if there is one */
static void finished(struct work *work)
{
	(void)work;
	dl.running = false;
	if (dl.fresh)
		arm();
}

/* room - for n entries of size bytes, memory kept */
static void *room(void *v, size_t *have, size_t need, size_t size)
{
	if (need <= *have)
		return v;
	*have = need * 2;
	v = realloc(v, *have * size);
	if (!v)
		log_fatal("out of memory for done lists");
	return v;
}

/* start - a round of all that is new */
static void start(evutil_socket_t fd, short what, void *arg)
{
	(void)fd, (void)what, (void)arg;
	if (dl.running)
		return;
	dl.nparts = dl.nentries = 0;
	while (dl.fresh) {
		struct segment *seg = dl.fresh;
		LL_DELETE2(dl.fresh, seg, done_next);
		dl.parts = room(dl.parts, &dl.parts_room, dl.nparts + 1, sizeof(*dl.parts));
		dl.entries = room(dl.entries, &dl.entries_room, dl.nentries + seg->ndone_new,
		    sizeof(*dl.entries));
		dl.parts[dl.nparts++] =
		    (struct part){.name = seg->name, .first = dl.nentries, .n = seg->ndone_new};
		memcpy(
		    dl.entries + dl.nentries, seg->done_new, seg->ndone_new * sizeof(*dl.entries));
		dl.nentries += seg->ndone_new;
		seg->ndone_new = 0;
		segment_unused(seg);
	}
	if (!dl.nparts)
		return;
	dl.running = true;
	dl.work.run = run;
	dl.work.done = finished;
	work_submit(work_files, &dl.work);
}

/* add - one more entry */
static void add(struct segment *seg, uint64_t offset, uint64_t who)
{
	if (!seg->ndone_new)
		LL_PREPEND2(dl.fresh, seg, done_next);
	seg->done_new =
	    room(seg->done_new, &seg->done_room, seg->ndone_new + 1, sizeof(*seg->done_new));
	seg->done_new[seg->ndone_new++] = (struct done){.offset = offset, .who = who};
	arm();
}

/* donelist_add - a whole record */
void donelist_add(struct segment *seg, uint64_t offset)
{
	add(seg, offset, DONE_ALL);
}

/* donelist_add_rcpt - one recipient of it */
void donelist_add_rcpt(struct segment *seg, uint64_t offset, struct msg_bytes address)
{
	add(seg, offset, donefile_who(address));
}

/* has - a binary search */
static bool has(const struct segment *seg, uint64_t offset, uint64_t who)
{
	const struct done d = {.offset = offset, .who = who};
	return seg->ndone && bsearch(&d, seg->done, seg->ndone, sizeof(d), donefile_compare);
}

/* donelist_has - a whole record */
bool donelist_has(const struct segment *seg, uint64_t offset)
{
	return has(seg, offset, DONE_ALL);
}

/* donelist_has_rcpt - one recipient of it */
bool donelist_has_rcpt(const struct segment *seg, uint64_t offset, struct msg_bytes address)
{
	return seg->ndone && has(seg, offset, donefile_who(address));
}

/* donelist_moved - a whole record, too */
bool donelist_moved(const struct segment *seg, uint64_t offset)
{
	return has(seg, offset, DONE_MOVED);
}
