/* SPDX-License-Identifier: ISC */
/*
 * A message too large to gather: its record is written into a segment of its own while it comes in
 * (DESIGN §2). Two buffers take turns: one fills, the other is with the sync thread. When both are
 * full, or no segment has been granted yet, parcel_room() is 0 and the session stops reading.
 *
 * All writes are of whole pages, the last one filled up with zeros: so a new file can be written
 * past the page cache (qmgr/spool.h), and through it such writes cost half of what others do. Where
 * a write past it is refused, smtpd/syncer.c goes on through it.
 *
 * The header is written last, together with the trailer and before the sync: until then nothing in
 * the segment is a valid record, so giving up needs no clean-up beyond SEALED at 0.
 */
#pragma once

#include "smtpd/parcel.h"

/*
 * A large write that begins and ends with a large block costs the page cache half of what small or
 * crooked ones do. Where many stream, the memory is worth more.
 */
#define STREAM_BUFFER      (1u << 20)
#define STREAM_SMALL       (256u << 10) /* each of the two, with over STREAM_MANY in parcels */
#define STREAM_MANY        (PARCEL_CROWDED / 2)
#define STREAM_WAIT_MAX_MS 30000 /* for a segment; then PARCEL_FAILED with -ETIMEDOUT */

/*
 * Turns a parcel whose front is put into a stream. flags_at: where in the envelope the four bytes
 * of its flags are, which are known only at the end. Returns 0, or -ENOMEM and the parcel is as it
 * was.
 */
int stream_begin(struct parcel *parcel, size_t flags_at);

/*
 * The body is whole, plain_len is set: writes what is left, the trailer, the header with the final
 * flags, syncs, tells qmgr. PARCEL_DONE follows.
 */
void stream_finish(struct parcel *parcel, uint32_t flags);

/* For parcel.c: as parcel_room(), parcel_body_len(); and the end of an unfinished stream. */
ssize_t stream_room(struct parcel *parcel);
uint64_t stream_body_len(const struct parcel *parcel);
/* True: the sync thread has a part of it, it is freed when that comes back. */
bool stream_abandon(struct parcel *parcel);

/* A segment came: give it to the stream that waits longest. Called by intake. */
void stream_granted(void);
/* Ends the wait of streams that have waited too long. Called by intake once a second. */
void stream_tick(void);
/* Whether any stream waits. */
bool stream_waiting(void);
