/* SPDX-License-Identifier: ISC */
/*
 * States: WAITING for a segment; FILLING (nothing with the thread); WRITING (one buffer with the
 * thread, the other fills); LAST (the final job is with the thread); FAILED. The buffer that fills
 * is the parcel's own; the first one also holds the envelope, which a copy is kept of for the last
 * write.
 */
#include "smtpd/stream.h"

#include <endian.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "lib/counters.h"
#include "lib/log.h"
#include "lib/loop.h"
#include "smtpd/segments.h"
#include "smtpd/syncer.h"

enum stream_state { STREAM_WAITING, STREAM_FILLING, STREAM_WRITING, STREAM_LAST, STREAM_FAILED };

struct stream {
	struct sync_job job; /* first: the job's address is the stream's */
	struct parcel *parcel;
	struct stream *next; /* of those that wait for a segment */
	enum stream_state state;
	bool abandoned;
	bool wants_room;      /* the session was told 0 */
	bool finishing;       /* stream_finish() was called while a buffer is with the thread */
	unsigned char *other; /* the buffer that isn't the parcel's, NULL until it is needed */
	size_t other_size;
	uint64_t written; /* bytes of the body given to the thread or written */
	size_t flags_at;
	uint32_t flags;
	struct record_sum *sum;
	struct iovec iov[2];
	unsigned char *head; /* header and envelope, for the last write */
};

static struct stream *waiting;

static void write_last(struct stream *s);

/* stream_destroy - all of it, the parcel included when nobody else has it */
static void stream_destroy(struct stream *s)
{
	struct parcel *p = s->parcel;
	if (s->state == STREAM_WAITING) {
		struct stream **w = &waiting;
		while (*w && *w != s)
			w = &(*w)->next;
		if (*w)
			*w = s->next;
		segments_single_cancel();
	}
	/* Sealed at its good end: 0 unless the message is in it. */
	if (p->segment)
		segments_seal(p->segment);
	p->segment = NULL;
	p->stream = NULL;
	parcel_buffer_free(s->other, s->other_size);
	record_sum_free(s->sum);
	free(s->head);
	free(s);
}

/* fail - tell the session, which frees the parcel */
static void fail(struct stream *s, int error)
{
	struct parcel *p = s->parcel;
	stream_destroy(s);
	p->callback(p, PARCEL_FAILED, error);
}

/* on_written - a buffer came back from the thread */
static void on_written(struct sync_job *job)
{
	struct stream *s = (struct stream *)job;
	struct parcel *p = s->parcel;

	counter_add(C_intake_writes, 1);
	s->state = STREAM_FILLING;
	if (s->abandoned) {
		stream_destroy(s);
		parcel_free(p);
	} else if (job->error) {
		counter_add(C_intake_errors, 1);
		log_warnc(job->error, "cannot write a message into segment %016llx",
		    (unsigned long long)p->segment->name);
		fail(s, job->error);
	} else if (s->finishing) {
		write_last(s);
	} else if (s->wants_room) {
		s->wants_room = false;
		p->callback(p, PARCEL_ROOM, 0);
	}
}

/* body_at - where in the file the body begins */
static uint64_t body_at(const struct stream *s)
{
	return RECORD_HEADER + s->parcel->envelope_len;
}

/* write_chunk - give the filled buffer to the thread, take the other one; 0 or -E... */
static int write_chunk(struct stream *s)
{
	struct parcel *p = s->parcel;
	/* What still comes may be as much as this again, and a trailer. */
	if (body_at(s) + s->written + (p->end - p->body) + STREAM_BUFFER + PARCEL_SLACK >
	    p->segment->limit)
		return -EMSGSIZE;
	if (!s->other) {
		s->other = parcel_buffer_new(STREAM_BUFFER + PARCEL_SLACK);
		s->other_size = STREAM_BUFFER + PARCEL_SLACK;
	}
	if (!s->other)
		return -ENOMEM;
	unsigned char *buf = p->buf;
	size_t size = p->size, begin = p->body, len = p->end - p->body;
	record_sum_add(s->sum, buf + begin, len);
	s->iov[0] = (struct iovec){.iov_base = buf + begin, .iov_len = len};
	s->job.fd = p->segment->fd;
	s->job.write[0] =
	    (struct sync_write){.iov = s->iov, .iovs = 1, .offset = body_at(s) + s->written};
	s->job.write[1] = (struct sync_write){0};
	s->job.how = SYNC_START;
	s->job.wipe_len = 0;
	s->job.done = on_written;
	s->written += len;
	p->buf = s->other;
	p->size = s->other_size;
	p->body = p->end = 0;
	s->other = buf;
	s->other_size = size;
	s->state = STREAM_WRITING;
	syncer_put(&s->job);
	return 0;
}

/* give_segment - a stream gets its segment and can write */
static void give_segment(struct stream *s, struct segment *seg)
{
	struct parcel *p = s->parcel;
	p->segment = seg;
	parcel_put_id(p, seg->next_id++);
	record_sum_reset(s->sum, seg->nonce);
	s->state = STREAM_FILLING;
	/* The envelope was copied into `head`; what is written first is the body so far. */
	p->body -= p->lines_len;
}

/* stream_begin - the front is put, the record's length isn't known yet */
int stream_begin(struct parcel *parcel, size_t flags_at)
{
	struct stream *s = calloc(1, sizeof(*s));
	struct segment *seg;

	if (!s)
		return -ENOMEM;
	s->sum = record_sum_new(0);
	s->head = malloc(RECORD_HEADER + parcel->envelope_len);
	if (!s->sum || !s->head) {
		record_sum_free(s->sum);
		free(s->head);
		free(s);
		return -ENOMEM;
	}
	memcpy(s->head + RECORD_HEADER, parcel->buf + parcel->start + RECORD_HEADER,
	    parcel->envelope_len);
	s->parcel = parcel;
	s->flags_at = flags_at;
	parcel->stream = s;
	parcel->waits_since = loop_ms();
	seg = segments_single();
	if (seg) {
		give_segment(s, seg);
		return 0;
	}
	s->state = STREAM_WAITING;
	struct stream **w = &waiting;
	while (*w)
		w = &(*w)->next;
	*w = s;
	return 0;
}

/* stream_room - what the filling buffer takes, or turn to the other one */
ssize_t stream_room(struct parcel *parcel)
{
	struct stream *s = parcel->stream;
	size_t used = parcel->end - parcel->body;
	size_t room = 0;

	/* The first buffer may be larger than others, by its headroom, or smaller. */
	if (parcel->size > parcel->end + PARCEL_SLACK)
		room = parcel->size - parcel->end - PARCEL_SLACK;
	if (used < STREAM_BUFFER && room > 0)
		return (ssize_t)room;
	if (s->state == STREAM_FILLING) {
		int error = write_chunk(s);
		return error < 0 ? error : (ssize_t)STREAM_BUFFER;
	}
	s->wants_room = true;
	return 0;
}

/* stream_body_len - our lines and all that came */
uint64_t stream_body_len(const struct parcel *parcel)
{
	const struct stream *s = parcel->stream;
	uint64_t lines = s->state == STREAM_WAITING ? parcel->lines_len : 0;
	return s->written + lines + (parcel->end - parcel->body);
}

/* on_last - the message is safe, or not taken */
static void on_last(struct sync_job *job)
{
	struct stream *s = (struct stream *)job;
	struct parcel *p = s->parcel;
	int error = job->error;

	counter_add(C_intake_writes, 1);
	counter_add(C_intake_syncs, 1);
	counter_add(C_intake_sync_us, job->sync_us);
	if (error) {
		counter_add(C_intake_errors, 1);
		log_warnc(error, "cannot write a message into segment %016llx",
		    (unsigned long long)p->segment->name);
	} else {
		p->segment->end = body_at(s) + s->written + RECORD_TRAILER;
	}
	/* SEALED says what SUBMIT does and leaves before the 250. */
	bool abandoned = s->abandoned;
	stream_destroy(s);
	if (abandoned)
		parcel_free(p);
	else
		p->callback(p, PARCEL_DONE, error);
}

/* write_last - the rest, the trailer, then the header, then the sync */
static void write_last(struct stream *s)
{
	struct parcel *p = s->parcel;
	struct segment *seg = p->segment;
	uint32_t flags = htobe32(s->flags);
	size_t len = p->end - p->body;

	record_sum_add(s->sum, p->buf + p->body, len);
	struct record rec = {
	    .place = {.segment = seg->name, .nonce = seg->nonce, .offset = 0},
	    .id = p->id,
	    .envelope_len = p->envelope_len,
	    .body_len = s->written + len,
	    .plain_len = p->plain_len,
	};
	memcpy(s->head + RECORD_HEADER + s->flags_at, &flags, sizeof(flags));
	record_put_header(&rec, s->head + RECORD_HEADER, s->head);
	record_put_trailer(&rec, s->head, s->sum, p->buf + p->end);
	s->iov[0] = (struct iovec){.iov_base = p->buf + p->body, .iov_len = len + RECORD_TRAILER};
	s->iov[1] =
	    (struct iovec){.iov_base = s->head, .iov_len = RECORD_HEADER + (size_t)p->envelope_len};
	s->job.fd = seg->fd;
	s->job.write[0] =
	    (struct sync_write){.iov = &s->iov[0], .iovs = 1, .offset = body_at(s) + s->written};
	s->job.write[1] = (struct sync_write){.iov = &s->iov[1], .iovs = 1, .offset = 0};
	s->job.how = SYNC_DATA;
	s->job.wipe_at = 0;
	s->job.wipe_len = RECORD_HEADER;
	s->job.done = on_last;
	s->written += len;
	s->state = STREAM_LAST;
	syncer_put(&s->job);
}

/* stream_finish - now, or when the buffer with the thread is back */
void stream_finish(struct parcel *parcel, uint32_t flags)
{
	struct stream *s = parcel->stream;
	s->flags = flags;
	s->finishing = true;
	if (s->state == STREAM_FILLING)
		write_last(s);
}

/* stream_abandon - what the thread has must stay until it is done with it */
bool stream_abandon(struct parcel *parcel)
{
	struct stream *s = parcel->stream;
	if (s->state == STREAM_WRITING || s->state == STREAM_LAST) {
		s->abandoned = true;
		return true;
	}
	stream_destroy(s);
	return false;
}

/* stream_granted - the one that has waited longest goes on */
void stream_granted(void)
{
	while (waiting) {
		struct stream *s = waiting;
		struct segment *seg = segments_single_granted();
		if (!seg)
			return;
		waiting = s->next;
		s->next = NULL;
		give_segment(s, seg);
		if (s->finishing) {
			write_last(s);
		} else if (s->wants_room) {
			s->wants_room = false;
			s->parcel->callback(s->parcel, PARCEL_ROOM, 0);
		}
	}
}

/* stream_tick - the list is in the order of arrival */
void stream_tick(void)
{
	while (waiting && loop_ms() - waiting->parcel->waits_since > STREAM_WAIT_MAX_MS)
		fail(waiting, -ETIMEDOUT);
}

/* stream_waiting - for intake's timer */
bool stream_waiting(void)
{
	return waiting != NULL;
}
