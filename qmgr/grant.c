/* SPDX-License-Identifier: ISC */
/*
 * A spare is a segment with its files open that nobody has yet. Wants stand in one line per kind.
 * Making a spare: a name from the range below the mark (else the mark is raised first), the files,
 * one sync of the folder.
 */
#include "qmgr/grant.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include "lib/clock.h"
#include "lib/counters.h"
#include "lib/hash.h"
#include "lib/log.h"
#include "lib/loop.h"
#include "qmgr/batch.h"
#include "qmgr/links.h"
#include "qmgr/reclaim.h"
#include "qmgr/segments.h"
#include "qmgr/spool.h"
#include "qmgr/work.h"

struct spare {
	struct work work;
	struct spare *next, *prev;
	uint64_t name, nonce, old, size;
	enum segment_kind kind;
	bool reused;
	int wfd, rfd, err;
};

struct want {
	struct want *next, *prev;
	struct smtpd_link *link;
};

static struct {
	uint64_t last, mark;     /* the last ID given, the mark of the index */
	struct spare *spares[2]; /* by kind */
	unsigned nspares[2], making[2];
	struct want *wants[2];
	unsigned nwants[2];
	bool raising;
	struct batch_wait raised;
	uint64_t raise_to;
	struct event *retry;
} g;

static const unsigned ahead[2] = {GRANT_AHEAD_SHARED, GRANT_AHEAD_SINGLE};
static const uint32_t id_range[2] = {SEGMENT_IDS, SEGMENT_SINGLE_IDS};

static void refill(void);

/* on_raised - the mark is safe */
static void on_raised(struct batch_wait *wait)
{
	(void)wait;
	g.raising = false;
	g.mark = g.raise_to;
	refill();
}

/* raise_mark - before a name beyond it is used */
static void raise_mark(uint64_t to)
{
	if (g.raising)
		return;
	g.raising = true;
	g.raise_to = to + GRANT_MARK_US;
	batch_ids(g.raise_to);
	g.raised.done = on_raised;
	batch_wait(&g.raised, true);
}

/* take_name - the next name and its range of IDs; 0: the mark has to be raised first */
static uint64_t take_name(enum segment_kind kind)
{
	uint64_t now = (uint64_t)clock_wall_us();
	uint64_t name = now > g.last ? now : g.last + 1;
	if (name + id_range[kind] > g.mark) {
		raise_mark(name + id_range[kind]);
		return 0;
	}
	g.last = name + id_range[kind] - 1;
	return name;
}

/* grant_name - its range of IDs isn't used */
uint64_t grant_name(void)
{
	return take_name(SEGMENT_SINGLE);
}

/* serve - spares to whom wants them */
static void serve(enum segment_kind kind)
{
	while (g.wants[kind] && g.spares[kind]) {
		struct want *want = g.wants[kind];
		struct spare *s = g.spares[kind];
		DL_DELETE(g.wants[kind], want);
		DL_DELETE(g.spares[kind], s);
		g.nwants[kind]--;
		g.nspares[kind]--;
		struct segment *seg = segment_add(s->name, kind, SEGMENT_GRANTED);
		seg->nonce = s->nonce;
		seg->size = s->size;
		seg->writer = want->link;
		seg->fd = s->rfd;
		seg->file = FILE_OPEN;
		batch_segment(seg);
		counter_add(C_segments_granted, 1);
		counter_add(C_segments_recycled, s->reused);
		int err = CHAN_SEND(want->link->chan, qmgr_segment, .segment = s->name,
		    .nonce = s->nonce, .first_id = s->name, .ids = id_range[kind], .size = s->size,
		    .limit = seg->limit, .kind = (uint8_t)kind, .file = s->wfd);
		if (err && err != -EPIPE)
			log_warnc(err, "a segment for smtpd/%u", want->link->instance);
		close(s->wfd);
		free(s);
		free(want);
	}
}

/* run_make - on the helper thread */
static void run_make(struct work *work)
{
	struct spare *s = (struct spare *)work;
	s->err = s->reused ? spool_reuse(s->old, s->name, &s->wfd, &s->rfd, &s->size)
			   : spool_create(s->kind, s->name, &s->wfd, &s->rfd);
	if (s->err)
		return;
	s->err = spool_sync();
	if (!s->err)
		return;
	close(s->wfd);
	close(s->rfd);
	spool_unlink(s->name, SPOOL_SEGMENT);
}

/* made - in the loop */
static void made(struct work *work)
{
	struct spare *s = (struct spare *)work;
	enum segment_kind kind = s->kind;
	g.making[kind]--;
	if (s->err) {
		log_warnc(s->err, "a new segment");
		free(s);
		event_add(g.retry, &(struct timeval){.tv_sec = GRANT_RETRY_MS / 1000});
		return;
	}
	DL_APPEND(g.spares[kind], s);
	g.nspares[kind]++;
	serve(kind);
	refill();
}

/* make - begin to make one; false when it can't be now */
static bool make(enum segment_kind kind)
{
	uint64_t name = take_name(kind);
	if (!name)
		return false;
	struct spare *s = calloc(1, sizeof(*s));
	if (!s || getrandom(&s->nonce, sizeof(s->nonce), 0) != sizeof(s->nonce))
		log_fatal("no memory or no random numbers for a segment");
	s->nonce |= 1; /* 0 means that it isn't known */
	s->work.run = run_make;
	s->work.done = made;
	s->name = name;
	s->kind = kind;
	s->reused = kind == SEGMENT_SHARED && pool_take(&s->old);
	g.making[kind]++;
	work_submit(work_files, &s->work);
	return true;
}

/* refill - make what lacks */
static void refill(void)
{
	if (evtimer_pending(g.retry, NULL))
		return;
	for (int kind = SEGMENT_SHARED; kind <= SEGMENT_SINGLE; kind++) {
		while (g.nspares[kind] + g.making[kind] < ahead[kind] + g.nwants[kind]) {
			if (!make((enum segment_kind)kind))
				return;
		}
	}
}

/* run_trim - on the helper thread; nobody has the file yet */
static void run_trim(struct work *work)
{
	struct spare *s = (struct spare *)work;
	if (fallocate(s->wfd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, (off_t)s->size))
		log_debug("a spare segment keeps its space: %s", strerror(errno));
}

/* grant_trim - spares out of the pool give their space back; meanwhile they are none */
void grant_trim(void)
{
	struct spare *s, *tmp;
	DL_FOREACH_SAFE (g.spares[SEGMENT_SHARED], s, tmp) {
		if (!s->reused)
			continue;
		DL_DELETE(g.spares[SEGMENT_SHARED], s);
		g.nspares[SEGMENT_SHARED]--;
		g.making[SEGMENT_SHARED]++;
		s->reused = false;
		s->work.run = run_trim;
		work_submit(work_files, &s->work);
	}
}

/* on_retry - try again after an error */
static void on_retry(evutil_socket_t fd, short what, void *arg)
{
	(void)fd, (void)what, (void)arg;
	refill();
}

/* grant_want - into the line */
void grant_want(struct smtpd_link *link, unsigned kind, unsigned count)
{
	if (kind > SEGMENT_SINGLE || count > GRANT_WANTS_MAX) {
		log_warnx("smtpd/%u wants %u segments of kind %u", link->instance, count, kind);
		return;
	}
	for (unsigned i = 0; i < count; i++) {
		struct want *want = calloc(1, sizeof(*want));
		if (!want)
			log_fatal("out of memory");
		want->link = link;
		DL_APPEND(g.wants[kind], want);
		g.nwants[kind]++;
	}
	serve((enum segment_kind)kind);
	refill();
}

/* grant_link_gone - it wants nothing any more */
void grant_link_gone(struct smtpd_link *link)
{
	for (int kind = SEGMENT_SHARED; kind <= SEGMENT_SINGLE; kind++) {
		struct want *want, *tmp;
		DL_FOREACH_SAFE (g.wants[kind], want, tmp) {
			if (want->link != link)
				continue;
			DL_DELETE(g.wants[kind], want);
			g.nwants[kind]--;
			free(want);
		}
	}
}

/* grant_init - names from here on; the first spares */
void grant_init(uint64_t last)
{
	memset(&g, 0, sizeof(g));
	g.last = g.mark = last;
	g.retry = evtimer_new(loop_base(), on_retry, NULL);
	if (!g.retry)
		log_fatal("out of memory for a timer");
	refill();
}
