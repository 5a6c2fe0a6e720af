/* SPDX-License-Identifier: ISC */
/*
 * A table by name. What a writer says is checked against what it was given: it speaks only for its
 * own segments, places only move forward and stay inside the limit. Files are opened on the helper
 * thread when a record is to be read or sent, and closed when nothing in memory rests on them.
 */
#include "qmgr/segments.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "lib/log.h"
#include "qmgr/batch.h"
#include "qmgr/cat.h"
#include "qmgr/dispatch.h"
#include "qmgr/intake.h"
#include "qmgr/links.h"
#include "qmgr/livemap.h"
#include "qmgr/message.h"
#include "qmgr/now.h"
#include "qmgr/reclaim.h"
#include "qmgr/spool.h"
#include "qmgr/work.h"

static struct segment *table;

static const char *const state_names[] = {
    [SEGMENT_GRANTED] = "granted",
    [SEGMENT_ORPHAN] = "orphan",
    [SEGMENT_SCANNED] = "scanned",
    [SEGMENT_CLOSED] = "closed",
    [SEGMENT_DEAD] = "dead",
};

/* From which state which may be entered. */
static const unsigned allowed[] = {
    [SEGMENT_GRANTED] = 1u << SEGMENT_CLOSED,
    [SEGMENT_ORPHAN] = 1u << SEGMENT_GRANTED | 1u << SEGMENT_SCANNED | 1u << SEGMENT_CLOSED,
    [SEGMENT_SCANNED] = 1u << SEGMENT_CLOSED,
    [SEGMENT_CLOSED] = 1u << SEGMENT_DEAD,
    [SEGMENT_DEAD] = 0,
};

/* segment_state_name - for logs */
const char *segment_state_name(enum segment_state state)
{
	return state_names[state];
}

/* segment_add - into the table */
struct segment *segment_add(uint64_t name, enum segment_kind kind, enum segment_state state)
{
	struct segment *seg = calloc(1, sizeof(*seg));
	if (segment_find(name))
		log_bug("segment %016llx is added twice", (unsigned long long)name);
	if (!seg)
		log_fatal("out of memory for a segment");
	seg->name = name;
	seg->kind = kind;
	seg->state = state;
	seg->fd = -1;
	seg->limit = kind == SEGMENT_SHARED ? SEGMENT_SIZE : RECORD_BODY_MAX;
	seg->first_id = name;
	seg->last_id = name - 1;
	HASH_ADD(hh, table, name, sizeof(seg->name), seg);
	if (!hash_added(seg))
		log_fatal("out of memory for a segment");
	return seg;
}

/* segment_find - by name */
struct segment *segment_find(uint64_t name)
{
	struct segment *seg;
	HASH_FIND(hh, table, &name, sizeof(name), seg);
	return seg;
}

/* segment_first - for walks over all */
struct segment *segment_first(void)
{
	return table;
}

/* segment_count - known ones */
unsigned segment_count(void)
{
	return HASH_COUNT(table);
}

/* segment_enter - change the state */
void segment_enter(struct segment *seg, enum segment_state state)
{
	if (!(allowed[seg->state] & 1u << state))
		log_bug("segment %016llx goes from %s to %s", (unsigned long long)seg->name,
		    state_names[seg->state], state_names[state]);
	log_debug("segment %016llx: %s to %s, submitted %llu read %llu taken %llu",
	    (unsigned long long)seg->name, state_names[seg->state], state_names[state],
	    (unsigned long long)seg->submitted, (unsigned long long)seg->read,
	    (unsigned long long)seg->taken);
	seg->state = state;
	if (state == SEGMENT_CLOSED) {
		seg->writer = NULL;
		seg->closed_ms = now_ms();
	}
	batch_segment(seg);
}

/* adopt - the segment a writer speaks of, if it is its own */
static struct segment *adopt(struct smtpd_link *link, uint64_t name)
{
	struct segment *seg = segment_find(name);
	if (!seg)
		return NULL;
	if (seg->state == SEGMENT_ORPHAN) {
		segment_enter(seg, SEGMENT_GRANTED);
		seg->writer = link;
		link_say_taken(seg, link);
	}
	return seg;
}

/* submit - the writer's place in its own segment */
static int submit(struct segment *seg, struct smtpd_link *link, uint64_t end)
{
	if (seg->state == SEGMENT_GRANTED && seg->writer != link) {
		log_warnx("smtpd/%u submits segment %016llx, which is another's", link->instance,
		    (unsigned long long)seg->name);
		return -EBADMSG;
	}
	if (end > seg->limit) {
		log_warnx("smtpd/%u submits %llu bytes of segment %016llx, which has %llu",
		    link->instance, (unsigned long long)end, (unsigned long long)seg->name,
		    (unsigned long long)seg->limit);
		return -EBADMSG;
	}
	if (end <= seg->submitted)
		return 0; /* heard before */
	if (seg->state != SEGMENT_GRANTED) {
		log_error(
		    "smtpd/%u submits %llu bytes of segment %016llx, which was closed at %llu",
		    link->instance, (unsigned long long)end, (unsigned long long)seg->name,
		    (unsigned long long)seg->submitted);
		return -EBADMSG;
	}
	seg->submitted = end;
	intake_more(seg);
	return 0;
}

/* segment_submit - SUBMIT */
int segment_submit(struct smtpd_link *link, uint64_t name, uint64_t end)
{
	struct segment *seg = adopt(link, name);
	if (seg)
		return submit(seg, link, end);
	log_error("smtpd/%u submits segment %016llx up to %llu, which isn't in the spool",
	    link->instance, (unsigned long long)name, (unsigned long long)end);
	return 0;
}

/* segment_sealed - SEALED; of one that is gone the writer only missed our TAKEN */
int segment_sealed(struct smtpd_link *link, uint64_t name, uint64_t end)
{
	struct segment *seg = adopt(link, name);
	if (!seg) {
		CHAN_SEND(link->chan, qmgr_taken, .segment = name, .end = end);
		return 0;
	}
	int err = submit(seg, link, end);
	if (!err && seg->state == SEGMENT_GRANTED) {
		segment_enter(seg, SEGMENT_CLOSED);
		seg->writer = link; /* to be told what is taken */
		if (seg->taken == seg->submitted)
			link_say_taken(seg, link); /* no commit will */
		segment_unused(seg);
	} else if (!err && seg->state == SEGMENT_CLOSED && !seg->writer) {
		seg->writer = link;
		link_say_taken(seg, link);
	}
	return err;
}

/* segment_writer_gone - nothing more will come */
void segment_writer_gone(struct smtpd_link *link)
{
	struct segment *seg, *tmp;
	HASH_ITER (hh, table, seg, tmp) {
		if (seg->writer != link)
			continue;
		seg->writer = NULL;
		if (seg->state == SEGMENT_GRANTED) {
			segment_enter(seg, SEGMENT_CLOSED);
			segment_unused(seg); /* may free it */
		}
	}
}

/* segment_learn_nonce - from the first record */
int segment_learn_nonce(struct segment *seg)
{
	if (seg->nonce)
		return 0;
	int err = spool_peek_nonce(seg->fd, seg->name, &seg->nonce);
	if (!err)
		batch_segment(seg);
	return err;
}

/* -- files */

struct opening {
	struct work work;
	struct segment *seg;
	int fd, err;
	uint64_t size;
};

/* run_open - on the helper thread */
static void run_open(struct work *work)
{
	struct opening *o = (struct opening *)work;
	o->err = spool_open_read(o->seg->name, &o->fd, &o->size);
}

/* opened - in the loop: intake and waiting recipients go on */
static void opened(struct work *work)
{
	struct opening *o = (struct opening *)work;
	struct segment *seg = o->seg;
	seg->refs--;
	seg->file = o->err ? FILE_LOST : FILE_OPEN;
	if (o->err) {
		log_warnc(o->err, "segment %016llx can't be opened", (unsigned long long)seg->name);
	} else {
		seg->fd = o->fd;
		seg->size = o->size;
		if (seg->read < seg->submitted)
			intake_more(seg);
	}
	free(o);
	dispatch_segment_opened(seg);
	cat_segment_opened(seg);
	segment_unused(seg);
}

/* segment_want_file - have it opened */
void segment_want_file(struct segment *seg)
{
	if (seg->file == FILE_OPEN || seg->file == FILE_OPENING)
		return;
	struct opening *o = calloc(1, sizeof(*o));
	if (!o)
		log_fatal("out of memory");
	o->work.run = run_open;
	o->work.done = opened;
	o->seg = seg;
	seg->file = FILE_OPENING;
	seg->refs++;
	work_submit(work_files, &o->work);
}

/* segment_close_file - here and at the workers */
void segment_close_file(struct segment *seg)
{
	if (seg->file != FILE_OPEN)
		return;
	link_release_segment(seg);
	close(seg->fd);
	seg->fd = -1;
	seg->file = FILE_NONE;
}

/* segment_finished - nothing to read, nothing alive, nothing the index doesn't know */
bool segment_finished(const struct segment *seg)
{
	return seg->state == SEGMENT_CLOSED && !seg->damaged && seg->read == seg->submitted &&
	       seg->taken == seg->submitted && !seg->rows && !seg->in_memory && !seg->refs &&
	       !seg->queued && !seg->ndone_new && seg->write == WRITE_CLEAN;
}

/* segment_unused - what is left to do with it */
void segment_unused(struct segment *seg)
{
	if (segment_finished(seg)) {
		segment_close_file(seg);
		segment_enter(seg, SEGMENT_DEAD);
		reclaim_segment(seg);
	} else if (seg->state == SEGMENT_CLOSED && seg->read == seg->submitted && !seg->in_memory &&
		   !seg->opening) {
		segment_close_file(seg);
	}
}

/* segment_remove - forget it */
void segment_remove(struct segment *seg)
{
	segment_close_file(seg);
	HASH_DELETE(hh, table, seg);
	free(seg->done);
	free(seg->done_new);
	if (seg->map)
		livemap_clear(seg->map);
	free(seg->map);
	free(seg);
}
