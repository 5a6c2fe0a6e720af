/* SPDX-License-Identifier: ISC */
/*
 * A window of the file is read at a time, so records of a few KiB cost a fraction of a system call
 * each; an envelope that doesn't fit makes the window larger. A message and its recipients come
 * into memory whole, then each recipient is routed.
 */
#include "qmgr/intake.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "lib/clock.h"
#include "lib/counters.h"
#include "lib/envelope.h"
#include "lib/log.h"
#include "lib/loop.h"
#include "qmgr/batch.h"
#include "qmgr/claims.h"
#include "qmgr/class.h"
#include "qmgr/classify.h"
#include "qmgr/donelist.h"
#include "qmgr/labels.h"
#include "qmgr/livemap.h"
#include "qmgr/message.h"
#include "qmgr/now.h"
#include "qmgr/route.h"
#include "qmgr/segments.h"
#include "qmgr/trace.h"

#define WINDOW (16u << 10)

static struct {
	struct segment *list; /* with records to read */
	struct event *again;
	unsigned char *buf; /* the window */
	size_t size, len;
	const struct segment *of;
	uint64_t at;
	bool stopped; /* too much isn't committed */
} in;

/* stop_reading - the segment is damaged: nothing behind this place is taken, unless a map leads on
 */
static void stop_reading(struct segment *seg, const char *why)
{
	log_error("segment %016llx: %s at offset %llu of %llu; %s, the file is kept",
	    (unsigned long long)seg->name, why, (unsigned long long)seg->read,
	    (unsigned long long)seg->submitted,
	    seg->map ? "left out" : "nothing behind it is read");
	seg->damaged = true;
	if (seg->map)
		seg->read++;
}

/* stopped - whether nothing more of it can be read */
static bool stopped(const struct segment *seg)
{
	return seg->read == seg->submitted || (seg->damaged && !seg->map);
}

/* window - n bytes at the segment's place, or NULL */
static const unsigned char *window(struct segment *seg, size_t n)
{
	if (in.of == seg && seg->read >= in.at && seg->read + n <= in.at + in.len)
		return in.buf + (seg->read - in.at);
	if (n > in.size) {
		size_t size = n > WINDOW ? n : WINDOW;
		unsigned char *buf = realloc(in.buf, size);
		if (!buf)
			log_fatal("out of memory for an envelope");
		in.buf = buf;
		in.size = size;
	}
	size_t want = in.size;
	if (want > seg->submitted - seg->read)
		want = (size_t)(seg->submitted - seg->read);
	ssize_t got = pread(seg->fd, in.buf, want, (off_t)seg->read);
	in.of = seg;
	in.at = seg->read;
	in.len = got > 0 ? (size_t)got : 0;
	if (got < 0)
		log_warn("segment %016llx", (unsigned long long)seg->name);
	return in.len >= n ? in.buf : NULL;
}

/* add_rcpts - the recipients of the envelope that haven't ended in an earlier run */
static void add_rcpts(struct message *msg, const unsigned char *envelope, size_t len)
{
	struct envelope_rcpt er;
	size_t pos = 0;
	for (uint32_t n = 0; envelope_next_rcpt(envelope, len, &pos, &er); n++) {
		if (donelist_has_rcpt(msg->segment, msg->offset, er.address)) {
			msg->next_number = n + 1;
			claims_ended_rcpt(msg->segment->name, msg->offset, n);
			continue;
		}
		struct rcpt *rcpt = rcpt_new(msg, n, er.address);
		if (!rcpt)
			log_fatal("out of memory for a recipient");
		rcpt->notify = er.notify;
		rcpt->class = classify_rcpt(rcpt->address);
		rcpt->lane = class_lane(rcpt->class, msg->sender);
		rcpt_set_orcpt(rcpt, er.orcpt);
	}
}

/* route_all - each recipient where it goes; the last one may free the message */
static void route_all(struct message *msg)
{
	struct rcpt *rcpt, *next;
	for (rcpt = msg->rcpts; rcpt; rcpt = next) {
		next = rcpt->sib_next;
		route_rcpt(rcpt);
	}
}

/* skip - a record that was done in an earlier run, or that a copy stands for */
static void skip(struct segment *seg, const struct record *rec)
{
	claims_ended(seg->name, seg->read);
	seg->last_id = rec->id;
	seg->read += record_len(rec);
	batch_segment(seg);
}

/* count_classes - of its recipients, for the figures */
static void count_classes(const struct message *msg)
{
	const struct rcpt *rcpt;
	DL_FOREACH2(msg->rcpts, rcpt, sib_next)
	{
		labels_count(NULL, rcpt->class->name, BOARD_ACCEPTED);
	}
}

/* take - a message of a good record */
static void take(struct segment *seg, const struct record *rec, const struct envelope *env,
    const unsigned char *envelope)
{
	struct message *msg = message_new(rec->id, seg, env->sender);
	if (!msg) {
		stop_reading(seg, "a queue ID that is in use");
		return;
	}
	msg->offset = rec->place.offset;
	msg->body_at = record_body_at(rec);
	msg->body_len = rec->body_len;
	msg->plain_len = rec->plain_len;
	msg->late_len = rec->late_len;
	msg->arrival_ms = env->arrival_ms;
	msg->read_ms = now_ms();
	msg->took_ms = env->took_ms;
	msg->lag_ms = msg->read_ms > env->arrival_ms && msg->read_ms - env->arrival_ms < UINT32_MAX
			  ? (uint32_t)(msg->read_ms - env->arrival_ms)
			  : 0;
	msg->flags = env->flags;
	msg->ret = env->ret;
	if (env->envid.len)
		message_set_envid(msg, env->envid);
	message_set_owner(msg, env->uid, env->user);
	classify_message(env, envelope, rec->envelope_len);
	add_rcpts(msg, envelope, rec->envelope_len);
	if (!msg->left) {
		message_release(msg);
		skip(seg, rec);
		return;
	}
	DL_APPEND(seg->messages, msg);
	counter_add(C_queue_messages, 1);
	counter_add(C_queue_messages_taken, 1);
	count_classes(msg);
	seg->last_id = rec->id;
	seg->read += record_len(rec);
	batch_segment(seg);
	trace_taken(msg);
	route_all(msg);
}

/* read_record - the next record of the segment */
static void read_record(struct segment *seg)
{
	if (seg->map && (seg->read = livemap_next(seg->map, seg->read)) == seg->submitted) {
		batch_segment(seg);
		return;
	}
	const struct record_place place = {
	    .segment = seg->name, .nonce = seg->nonce, .offset = seg->read};
	uint64_t ids = seg->kind == SEGMENT_SINGLE ? SEGMENT_SINGLE_IDS : SEGMENT_IDS;
	struct record rec;
	struct envelope env;
	const unsigned char *p = window(seg, RECORD_HEADER);
	if (!p || record_get_header(p, RECORD_HEADER, &place, &rec)) {
		stop_reading(seg, "no record");
		return;
	}
	if (record_len(&rec) > seg->submitted - seg->read) {
		stop_reading(seg, "a record longer than what was submitted");
		return;
	}
	if (rec.id <= seg->last_id || rec.id - seg->first_id >= ids) {
		stop_reading(seg, "a queue ID that isn't the segment's");
		return;
	}
	p = window(seg, RECORD_HEADER + rec.envelope_len);
	if (!p || record_check_envelope(p, p + RECORD_HEADER, rec.envelope_len, &rec) ||
	    envelope_read(p + RECORD_HEADER, rec.envelope_len, &env)) {
		stop_reading(seg, "a broken envelope");
		return;
	}
	if (donelist_has(seg, seg->read) || donelist_moved(seg, seg->read)) {
		skip(seg, &rec);
		return;
	}
	take(seg, &rec, &env, p + RECORD_HEADER);
}

/* ready_to_read - its file is open and its nonce known */
static bool ready_to_read(struct segment *seg)
{
	if (seg->file == FILE_LOST) {
		stop_reading(seg, "the file can't be opened");
		return false;
	}
	if (seg->file != FILE_OPEN) {
		segment_want_file(seg); /* comes back through intake_more() */
		return false;
	}
	int err = segment_learn_nonce(seg);
	if (err)
		stop_reading(seg, "no first record");
	return !err;
}

/* finish - out of the list; whether anything is left of it is to be seen */
static void finish(struct segment *seg)
{
	DL_DELETE(in.list, seg);
	seg->queued = false;
	segment_unused(seg); /* may close its file */
}

/* run - a slice of reading */
static void run(evutil_socket_t fd, short what, void *arg)
{
	int64_t until = clock_ms() + INTAKE_SLICE_MS;
	(void)fd, (void)what, (void)arg;
	in.of = NULL; /* what was beyond the end then may be written now */
	while (in.list) {
		struct segment *seg = in.list;
		bool full = message_young() >= INTAKE_UNCOMMITTED;
		in.stopped = full || batch_stuck();
		if (full)
			batch_write_all();
		if (in.stopped)
			return;
		if (stopped(seg) || !ready_to_read(seg)) {
			finish(seg);
			continue;
		}
		read_record(seg);
		if (clock_ms() >= until) {
			event_active(in.again, 0, 0);
			return;
		}
	}
}

/* intake_more - into the list, and begin */
void intake_more(struct segment *seg)
{
	if (!in.again) {
		in.again = event_new(loop_base(), -1, 0, run, NULL);
		if (!in.again)
			log_fatal("out of memory for an event");
	}
	if (!seg->queued) {
		DL_APPEND(in.list, seg);
		seg->queued = true;
	}
	event_active(in.again, 0, 0);
}

/* intake_resume - something was committed */
void intake_resume(void)
{
	if (in.stopped)
		event_active(in.again, 0, 0);
}

/* intake_idle - nothing is left to read */
int intake_idle(void)
{
	return !in.list;
}
