/* SPDX-License-Identifier: ISC */
/*
 * A short list (two to four segments, more while qmgr is away or lags), walked linearly. What is
 * asked for and not granted yet is counted per kind, so that a WANT goes out once; a lost link
 * makes the count void, the next link asks again.
 */
#include "smtpd/segments.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "lib/log.h"

#define SHARED_HELD 2 /* one in use, one spare */

static struct {
	struct segment *list;
	struct chan *qmgr;
	unsigned wanted[2];      /* WANTs on their way, by kind */
	unsigned singles_waited; /* callers that wait for a single segment */
	void (*granted)(void);
	enum pressure pressure;
	uint64_t free_bytes;
} segs = {.free_bytes = UINT64_MAX};

/* count - segments of a kind in a use */
static unsigned count(enum segment_kind kind, enum segment_use use)
{
	unsigned n = 0;
	for (const struct segment *s = segs.list; s; s = s->next)
		n += s->kind == kind && s->use == use;
	return n;
}

/* first - some segment of a kind in a use */
static struct segment *first(enum segment_kind kind, enum segment_use use)
{
	struct segment *s = segs.list;
	while (s && (s->kind != kind || s->use != use))
		s = s->next;
	return s;
}

/* by_name - the segment qmgr speaks of */
static struct segment *by_name(uint64_t name)
{
	struct segment *s = segs.list;
	while (s && s->name != name)
		s = s->next;
	return s;
}

/* forget - take off the list and free */
static void forget(struct segment *seg)
{
	struct segment **p = &segs.list;
	while (*p != seg)
		p = &(*p)->next;
	*p = seg->next;
	if (seg->fd >= 0)
		close(seg->fd);
	free(seg);
}

/* want - ask qmgr for what lacks of one kind */
static void want(enum segment_kind kind, unsigned need)
{
	unsigned have = segs.wanted[kind] + count(kind, SEGMENT_SPARE);
	if (!segs.qmgr || need <= have)
		return;
	unsigned n = need - have > 16 ? 16 : need - have;
	if (CHAN_SEND(segs.qmgr, smtpd_want, .kind = (uint8_t)kind, .count = (uint8_t)n) == 0)
		segs.wanted[kind] += n;
}

/* refill - keep a spare shared segment and serve who waits for a single one */
static void refill(void)
{
	want(SEGMENT_SHARED, SHARED_HELD - count(SEGMENT_SHARED, SEGMENT_IN_USE));
	want(SEGMENT_SINGLE, segs.singles_waited);
}

/* segments_on_grant - one listener */
void segments_on_grant(void (*granted)(void))
{
	segs.granted = granted;
}

/* segments_shared - the one in use, else the spare */
struct segment *segments_shared(void)
{
	struct segment *s = first(SEGMENT_SHARED, SEGMENT_IN_USE);
	if (!s) {
		s = first(SEGMENT_SHARED, SEGMENT_SPARE);
		if (s)
			s->use = SEGMENT_IN_USE;
		refill();
	}
	return s;
}

/* segments_single_granted - a spare one */
struct segment *segments_single_granted(void)
{
	struct segment *s = first(SEGMENT_SINGLE, SEGMENT_SPARE);
	if (s)
		s->use = SEGMENT_IN_USE;
	return s;
}

/* segments_single - one that was granted, or ask */
struct segment *segments_single(void)
{
	struct segment *s = segments_single_granted();
	if (!s) {
		segs.singles_waited++;
		refill();
	}
	return s;
}

/* segments_single_cancel - one less waits; a segment that comes all the same stays as a spare */
void segments_single_cancel(void)
{
	if (segs.singles_waited)
		segs.singles_waited--;
}

/* submit - say how far a segment is good */
static void submit(const struct segment *seg)
{
	if (segs.qmgr)
		CHAN_SEND(segs.qmgr, smtpd_submit, .segment = seg->name, .end = seg->end);
}

/*
 * sealed - say that it ends there. What was taken whole before, or never written, is forgotten as
 * soon as this is said: nothing of it is left to be repeated. Returns true when seg is gone.
 */
static bool sealed(struct segment *seg)
{
	if (!segs.qmgr)
		return false;
	CHAN_SEND(segs.qmgr, smtpd_sealed, .segment = seg->name, .end = seg->end);
	if (seg->taken < seg->end)
		return false;
	forget(seg);
	return true;
}

/* segments_submit - must be with the kernel before a 250 that rests on it */
void segments_submit(struct segment *seg)
{
	submit(seg);
	if (segs.qmgr)
		chan_flush(segs.qmgr);
}

/* segments_seal - no more writes there */
void segments_seal(struct segment *seg)
{
	if (seg->use == SEGMENT_SEALED)
		return;
	seg->use = SEGMENT_SEALED;
	close(seg->fd);
	seg->fd = -1;
	sealed(seg);
	if (segs.qmgr)
		chan_flush(segs.qmgr);
	refill();
}

/* segments_seal_all - at the end of the worker */
void segments_seal_all(void)
{
	struct segment *next;
	for (struct segment *s = segs.list; s; s = next) {
		next = s->next;
		if (s->use == SEGMENT_SEALED)
			continue;
		s->use = SEGMENT_SEALED;
		sealed(s);
	}
	if (segs.qmgr)
		chan_flush(segs.qmgr);
}

/* segments_linked - repeat what a new qmgr must know, then ask for what lacks */
void segments_linked(struct chan *qmgr)
{
	segs.qmgr = qmgr;
	segs.wanted[SEGMENT_SHARED] = segs.wanted[SEGMENT_SINGLE] = 0;
	/* Also those that nothing was written to: they are ours, not to be given to another. */
	struct segment *next;
	for (struct segment *s = segs.list; s; s = next) {
		next = s->next;
		if (s->use == SEGMENT_SEALED)
			sealed(s);
		else
			submit(s);
	}
	CHAN_SEND(qmgr, smtpd_repeated);
	refill();
	chan_flush(qmgr);
}

/* segments_unlinked - what was asked for will not come */
void segments_unlinked(struct chan *qmgr)
{
	if (segs.qmgr == qmgr)
		segs.qmgr = NULL;
}

/* segments_has_link - is there a qmgr */
bool segments_has_link(void)
{
	return segs.qmgr != NULL;
}

/* segments_granted - SEGMENT */
void segments_granted(struct chan *chan, union msg_any *msg, void *arg)
{
	struct msg_qmgr_segment *m = &msg->qmgr_segment;
	struct segment *s;

	(void)arg;
	if (m->kind > SEGMENT_SINGLE || by_name(m->segment) || m->ids == 0) {
		log_warnx("qmgr/%u granted a segment that makes no sense", chan_instance(chan));
		return;
	}
	s = calloc(1, sizeof(*s));
	if (!s)
		log_fatal("out of memory");
	*s = (struct segment){.name = m->segment,
	    .nonce = m->nonce,
	    .next_id = m->first_id,
	    .ids_end = m->first_id + m->ids,
	    .limit = m->limit,
	    .kind = (enum segment_kind)m->kind,
	    .use = SEGMENT_SPARE,
	    .fd = m->file,
	    .next = segs.list};
	m->file = -1;
	segs.list = s;
	if (segs.wanted[s->kind])
		segs.wanted[s->kind]--;
	if (s->kind == SEGMENT_SINGLE && segs.singles_waited)
		segs.singles_waited--;
	log_debug("segment %016llx granted", (unsigned long long)s->name);
	if (segs.granted)
		segs.granted();
}

/* segments_taken - TAKEN; a segment that is taken whole and sealed is qmgr's business alone */
void segments_taken(struct chan *chan, union msg_any *msg, void *arg)
{
	(void)chan;
	(void)arg;
	struct segment *s = by_name(msg->qmgr_taken.segment);
	if (!s)
		return;
	if (msg->qmgr_taken.end > s->end)
		log_warnx(
		    "qmgr took more of segment %016llx than there is", (unsigned long long)s->name);
	s->taken = msg->qmgr_taken.end;
	if (s->use == SEGMENT_SEALED && s->taken >= s->end)
		forget(s);
}

/* segments_pressed - PRESSURE */
void segments_pressed(struct chan *chan, union msg_any *msg, void *arg)
{
	(void)chan, (void)arg;
	if (msg->qmgr_pressure.level > PRESSURE_PAUSED)
		return;
	segs.pressure = (enum pressure)msg->qmgr_pressure.level;
	segs.free_bytes = msg->qmgr_pressure.free_bytes;
}

/* segments_pressure - the last word */
enum pressure segments_pressure(uint64_t *free_bytes)
{
	*free_bytes = segs.free_bytes;
	return segs.pressure;
}

/* segments_count - all */
unsigned segments_count(void)
{
	unsigned n = 0;
	for (const struct segment *s = segs.list; s; s = s->next)
		n++;
	return n;
}

/* segments_reset - for tests */
void segments_reset(void)
{
	while (segs.list)
		forget(segs.list);
	segs.qmgr = NULL;
	segs.wanted[SEGMENT_SHARED] = segs.wanted[SEGMENT_SINGLE] = 0;
	segs.singles_waited = 0;
	segs.granted = NULL;
	segs.pressure = PRESSURE_NONE;
	segs.free_bytes = UINT64_MAX;
}
