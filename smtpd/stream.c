/* SPDX-License-Identifier: ISC */
/*
 * States: WAITING for a segment; FILLING (nothing with the thread); WRITING (one buffer with the
 * thread, the other fills); LAST (the final job is with the thread); FAILED.
 *
 * The buffer that fills is the parcel's own. Each stands for a place of the file, `base`, and all
 * writes are of whole pages from aligned memory: a new file takes nothing else (O_DIRECT, see
 * qmgr/spool.h), and the page cache takes such writes for half the price. The first pages, those
 * that header and envelope lie in, are kept in `head` for the last write.
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

#define PAGE   PARCEL_PAGE
#define MARGIN (2 * PAGE) /* of a buffer, for what fills the last page and PARCEL_SLACK */

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
	uint64_t base;    /* where in the file the buffer that fills begins; a page's */
	uint64_t fill_to; /* where in the file it is to end */
	size_t summed;    /* what lies before in it is in the sum */
	size_t flags_at;
	uint32_t flags;
	struct record_sum *sum;
	struct iovec iov[2];
	unsigned char *head; /* header, envelope, the body's first bytes: for the last write */
	size_t head_len;     /* whole pages */
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

/* whole_pages - the next larger number of bytes that is */
static uint64_t whole_pages(uint64_t bytes)
{
	return (bytes + PAGE - 1) / PAGE * PAGE;
}

/* filled_to - where in the file what is in the buffer ends */
static uint64_t filled_to(const struct stream *s)
{
	return s->base + s->parcel->end;
}

/* sum_up - what was added last, while it is in the processor's cache */
static void sum_up(struct stream *s)
{
	struct parcel *p = s->parcel;
	record_sum_add(s->sum, p->buf + s->summed, p->end - s->summed);
	s->summed = p->end;
}

/* buffer_size - of the next buffer */
static size_t buffer_size(void)
{
	return (parcel_bytes() > STREAM_MANY ? STREAM_SMALL : STREAM_BUFFER) + MARGIN;
}

/* get_other - a buffer to go on in: 0 or -ENOMEM */
static int get_other(struct stream *s)
{
	size_t size = buffer_size();
	if (s->other && s->other_size >= size)
		return 0;
	parcel_buffer_free(s->other, s->other_size);
	s->other = parcel_buffer_new(size);
	s->other_size = s->other ? size : 0;
	return s->other ? 0 : -ENOMEM;
}

/*
 * aim - where in the file the buffer that fills is to end, so that the next write begins with a
 * large block
 */
static void aim(struct stream *s)
{
	uint64_t room = s->parcel->size - MARGIN;
	s->fill_to = (s->base + room) / STREAM_SMALL * STREAM_SMALL;
	if (s->fill_to < s->base + room / 2)
		s->fill_to = s->base + room;
}

/* next_write - what of the buffer that fills is to be written, up to `end` in the file */
static struct sync_write next_write(struct stream *s, uint64_t end)
{
	struct parcel *p = s->parcel;
	size_t skip = 0;
	if (!s->base) {
		memcpy(s->head, p->buf, s->head_len);
		skip = s->head_len;
	}
	s->iov[0] =
	    (struct iovec){.iov_base = p->buf + skip, .iov_len = (size_t)(end - s->base) - skip};
	return (struct sync_write){.iov = s->iov, .iovs = 1, .offset = s->base + skip};
}

/* swap - go on in the other buffer, which stands for the file from `base` on */
static void swap(struct stream *s, uint64_t base)
{
	struct parcel *p = s->parcel;
	unsigned char *buf = p->buf;
	size_t size = p->size, carry = (size_t)(filled_to(s) - base);

	memcpy(s->other, buf + p->end - carry, carry);
	p->buf = s->other;
	p->size = s->other_size;
	p->body = 0;
	p->end = s->summed = carry;
	s->other = buf;
	s->other_size = size;
	s->base = base;
	aim(s);
}

/* write_chunk - give the filled buffer to the thread, take the other one; 0 or -E... */
static int write_chunk(struct stream *s)
{
	uint64_t end = filled_to(s) / PAGE * PAGE;
	/* What still comes may be as much as this again, and a trailer. */
	if (end + STREAM_BUFFER + MARGIN > s->parcel->segment->limit)
		return -EMSGSIZE;
	if (get_other(s) < 0)
		return -ENOMEM;
	s->job.fd = s->parcel->segment->fd;
	s->job.write[0] = next_write(s, end);
	s->job.write[1] = (struct sync_write){0};
	s->job.how = SYNC_START;
	s->job.wipe_len = 0;
	s->job.done = on_written;
	swap(s, end);
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
}

/* lay_out - the record as it will be in the file, header to body, into an aligned buffer */
static void lay_out(struct stream *s, unsigned char *buf, size_t size)
{
	struct parcel *p = s->parcel;
	memcpy(buf + RECORD_HEADER, p->buf + p->start + RECORD_HEADER,
	    p->end - p->start - RECORD_HEADER);
	parcel_buffer_free(p->buf, p->size);
	p->buf = buf;
	p->size = size;
	p->end -= p->start;
	if (p->id_at)
		p->id_at -= p->start;
	p->start = 0;
	p->body = s->summed = RECORD_HEADER + p->envelope_len;
	aim(s);
}

/* make - a stream for a parcel, and its first buffer; NULL when out of memory */
static struct stream *make(struct parcel *parcel)
{
	struct stream *s = calloc(1, sizeof(*s));
	size_t used = parcel->end - parcel->start + MARGIN, size = buffer_size();
	if (!s)
		return NULL;
	if (size < used)
		size = used;
	s->parcel = parcel;
	s->head_len = whole_pages(body_at(s));
	s->sum = record_sum_new(0);
	s->head = aligned_alloc(PAGE, s->head_len);
	unsigned char *buf = s->sum && s->head ? parcel_buffer_new(size) : NULL;
	if (buf) {
		lay_out(s, buf, size);
		return s;
	}
	record_sum_free(s->sum);
	free(s->head);
	free(s);
	return NULL;
}

/* stream_begin - the front is put, the record's length isn't known yet */
int stream_begin(struct parcel *parcel, size_t flags_at)
{
	struct stream *s = make(parcel);
	if (!s)
		return -ENOMEM;
	s->flags_at = flags_at;
	parcel->stream = s;
	parcel->waits_since = loop_ms();
	struct segment *seg = segments_single();
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

	if (s->state != STREAM_WAITING)
		sum_up(s);
	if (filled_to(s) < s->fill_to)
		return (ssize_t)(s->fill_to - filled_to(s));
	if (s->state == STREAM_FILLING) {
		int error = write_chunk(s);
		return error < 0 ? error : (ssize_t)(s->fill_to - filled_to(s));
	}
	s->wants_room = true;
	return 0;
}

/* stream_body_len - our lines and all that came */
uint64_t stream_body_len(const struct parcel *parcel)
{
	return filled_to(parcel->stream) - body_at(parcel->stream);
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
		p->segment->end = filled_to(s) + RECORD_TRAILER;
	}
	/* SEALED says what SUBMIT does and leaves before the 250. */
	bool abandoned = s->abandoned;
	stream_destroy(s);
	if (abandoned)
		parcel_free(p);
	else
		p->callback(p, PARCEL_DONE, error);
}

/* complete - trailer, header, flags, zeros up to the last page's end. Where in the file that is */
static uint64_t complete(struct stream *s)
{
	struct parcel *p = s->parcel;
	uint32_t flags = htobe32(s->flags);
	struct record rec = {
	    .place = {.segment = p->segment->name, .nonce = p->segment->nonce, .offset = 0},
	    .id = p->id,
	    .envelope_len = p->envelope_len,
	    .body_len = stream_body_len(p),
	    .plain_len = p->plain_len,
	};
	unsigned char *front = s->base ? s->head : p->buf;

	sum_up(s);
	memcpy(front + RECORD_HEADER + s->flags_at, &flags, sizeof(flags));
	record_put_header(&rec, front + RECORD_HEADER, front);
	record_put_trailer(&rec, front, s->sum, p->buf + p->end);
	size_t end = p->end + RECORD_TRAILER, whole = (size_t)whole_pages(end);
	memset(p->buf + end, 0, whole - end);
	return s->base + whole;
}

/* write_last - the rest, the trailer, then the header, then the sync */
static void write_last(struct stream *s)
{
	uint64_t end = complete(s);
	s->job.fd = s->parcel->segment->fd;
	s->job.write[0] = next_write(s, end);
	s->iov[1] = (struct iovec){.iov_base = s->head, .iov_len = s->head_len};
	s->job.write[1] = (struct sync_write){.iov = &s->iov[1], .iovs = 1, .offset = 0};
	s->job.how = SYNC_DATA;
	s->job.wipe_at = 0;
	s->job.wipe_len = PAGE;
	s->job.done = on_last;
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
