/* SPDX-License-Identifier: ISC */
/*
 * A message on its way into a segment: one buffer in which its record grows in place, so that the
 * bytes a client sent are copied once and written with one vector element.
 *
 *     | unused headroom | header | envelope | our header lines | what the client sent | trailer |
 *
 * The session makes it at DATA, when the recipients are known and with them how long the envelope
 * can get; adds the body as it comes; puts envelope and header lines in front of it at the end, and
 * hands it to intake_commit(). A body over PARCEL_MEMORY_MAX becomes a stream (smtpd/stream.h) on
 * the way: then the front is put when that begins.
 *
 * Owned by the session until intake_commit() or stream_finish(), then by intake until its
 * PARCEL_DONE.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "lib/record.h"

#define PARCEL_MEMORY_MAX (256u << 10) /* body bytes that are gathered; more streams */
#define PARCEL_SMALL      (16u << 10)  /* buffers of this size are kept for the next message */
#define PARCEL_KEPT       64           /* how many of them */
#define PARCEL_SLACK      64           /* behind the body: trailer and what a scanner held back */
#define PARCEL_PAGE       4096         /* what larger buffers are aligned to */
#define PARCEL_CROWDED \
	(64u << 20)              /* bytes of all parcels from which on all but small ones stream */
#define PARCEL_FULL (128u << 20) /* ... from which on no new one is begun */

enum parcel_event {
	PARCEL_ROOM,  /* a stream takes bytes again */
	PARCEL_DONE,  /* synced and told to qmgr (error 0), or not taken (error) */
	PARCEL_FAILED /* a stream can't go on: error; parcel_free() is all that is left */
};

struct segment;
struct stream;
struct parcel;
typedef void parcel_callback(struct parcel *parcel, enum parcel_event event, int error);

struct parcel {
	struct parcel *next;
	parcel_callback *callback;
	void *owner; /* the callback's business */
	unsigned char *buf;
	size_t size;
	size_t start; /* of the header, once the front is put */
	size_t body;  /* of what the client sent */
	size_t end;   /* behind it */
	size_t id_at; /* where the queue ID's text stands; 0: nowhere */
	uint32_t envelope_len;
	uint32_t lines_len;
	uint64_t plain_len; /* unstuffed, our lines included; the session's to set */
	uint64_t id;        /* dealt when the record gets its place */
	struct segment *segment;
	uint64_t waits_since; /* loop_ms() */
	struct stream *stream;
};

/*
 * Makes one. headroom: the most that header, envelope and our lines can take; expect: the body's
 * declared size, 0 when unknown. NULL when out of memory or over PARCEL_FULL.
 */
struct parcel *parcel_new(size_t headroom, uint64_t expect, parcel_callback *callback, void *owner);

/* Gives it up: before it was committed, after PARCEL_DONE or PARCEL_FAILED. NULL is allowed. */
void parcel_free(struct parcel *parcel);

/*
 * How many bytes may be added now, at least 1 unless the body must become a stream (-EFBIG), wait
 * for one (0; PARCEL_ROOM follows), is too large for its segment (-EMSGSIZE), or there is no
 * memory (-ENOMEM). Grows the buffer as needed.
 */
ssize_t parcel_room(struct parcel *parcel);

/* Where those bytes may be put by the caller, and how many were. */
static inline char *parcel_tail(const struct parcel *parcel)
{
	return (char *)parcel->buf + parcel->end;
}
static inline void parcel_added(struct parcel *parcel, size_t len)
{
	parcel->end += len;
}

/* Adds at most parcel_room() bytes, and up to PARCEL_SLACK / 2 that a scanner held back. */
void parcel_add(struct parcel *parcel, const void *data, size_t len);

/*
 * Puts envelope and our header lines in front of the body. id_at: where in lines the QID_WIDTH
 * characters for the queue ID stand. Returns 0 or -EMSGSIZE when the headroom is too small.
 */
int parcel_front(struct parcel *parcel, const void *envelope, size_t envelope_len,
    const char *lines, size_t lines_len, size_t id_at);

/*
 * Puts `text` in the place of the body's first old_len bytes, with at least `headroom` left in
 * front of it. The front must not be put yet. Returns 0 or -ENOMEM and nothing has changed.
 */
int parcel_replace(
    struct parcel *parcel, size_t old_len, const char *text, size_t len, size_t headroom);

/* Bytes of the body so far as stored: our lines (once put) and the client's bytes. */
uint64_t parcel_body_len(const struct parcel *parcel);

/* The record's length in its segment; the front must be put. */
uint64_t parcel_record_len(const struct parcel *parcel);

/* Writes the queue ID's text into our lines. */
void parcel_put_id(struct parcel *parcel, uint64_t id);

/*
 * Makes the record whole for its place: ID, header, trailer. Afterwards buf + start is the record,
 * parcel_record_len() bytes. In-memory parcels only.
 */
void parcel_close(struct parcel *parcel, struct segment *segment, uint64_t offset, uint64_t id);

/*
 * A buffer of `size` bytes, counted, aligned to PARCEL_PAGE if larger than PARCEL_SMALL; and back.
 * For parcel and stream only.
 */
unsigned char *parcel_buffer_new(size_t size);
void parcel_buffer_free(unsigned char *buf, size_t size);
/* Bytes of all buffers now. */
size_t parcel_bytes(void);
