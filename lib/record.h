/* SPDX-License-Identifier: ISC */
/*
 * The record: one message as it lies in a segment file (DESIGN §2). smtpd writes records, qmgr
 * reads their headers and envelopes, deliver reads bodies. All numbers are big-endian.
 *
 *     header (RECORD_HEADER bytes) | envelope | body | late headers | trailer
 *
 *   header   magic and version, the segment's name and random nonce, the record's own offset,
 *            its queue ID, the lengths of all parts, a checksum over header and envelope
 *   envelope typed attributes (lib/envelope.h)
 *   body     as it leaves: our Received line first, CRLF, dot-stuffed, without the final mark
 *   late     header lines computed after the body was seen (a DKIM signature); sent first
 *   trailer  a checksum over everything before it, and an end mark
 *
 * A record is valid only in its place: name, nonce and offset in the header must be those of
 * where it was found, so what an earlier life of a recycled segment left behind is never taken
 * for a record. A reader that knows the place to be synced (SUBMIT) needs header and envelope
 * only: one pread; a scan after a crash checks the trailer too (record_check()).
 *
 * Lengths stand in the header although a streamed message learns them last: its header is
 * written last, in the write before the sync, and until then nothing valid lies there.
 *
 * Checksums are XXH3 (64 bits) seeded with the nonce; they find torn and rotten bytes, they are
 * no protection against a writer that lies.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#define RECORD_HEADER       112
#define RECORD_TRAILER      16
#define RECORD_ENVELOPE_MAX (1u << 20) /* 1,000 recipients and their attributes fit several times \
					*/
#define RECORD_BODY_MAX (1ull << 40)
#define RECORD_LATE_MAX (1u << 16)
#define SEGMENT_SIZE    (64ull << 20) /* where a shared segment ends */
#define SEGMENT_IDS     (1u << 18)    /* queue IDs that come with a shared segment */

/*
 * shared: many gathered records; single: one large message that streams in; copied: what lived of a
 * shared one, copied by qmgr, under the IDs of that one. Numbers are on disk: append only.
 */
enum segment_kind { SEGMENT_SHARED = 0, SEGMENT_SINGLE = 1, SEGMENT_COPIED = 2 };
/*
 * Of the spool: none; low: 452 to whom isn't local; full: 452 to all. Paused: 452 by word of the
 * administrator, to all but our own notices.
 */
enum pressure { PRESSURE_NONE = 0, PRESSURE_LOW = 1, PRESSURE_FULL = 2, PRESSURE_PAUSED = 3 };

/* The place of a record, and what a reader must know of the segment beforehand. */
struct record_place {
	uint64_t segment;
	uint64_t nonce;
	uint64_t offset; /* bytes from the start of the file */
};

/* What a header says. Offsets of the parts follow from the lengths: record_*_at(). */
struct record {
	struct record_place place;
	uint64_t id;
	uint32_t envelope_len;
	uint64_t body_len;  /* as stored, dot-stuffed */
	uint64_t plain_len; /* unstuffed: what SIZE and BDAT count */
	uint32_t late_len;
};

/* Length of the whole record, and where its parts begin in the file. */
uint64_t record_len(const struct record *rec);
uint64_t record_envelope_at(const struct record *rec);
uint64_t record_body_at(const struct record *rec);
uint64_t record_late_at(const struct record *rec);

/* Writes the header for rec and its envelope (rec->envelope_len bytes) into out. */
void record_put_header(
    const struct record *rec, const void *envelope, unsigned char out[RECORD_HEADER]);

/*
 * Reads the header that lies at `place`. Returns 0; -ENOENT when no header of this segment's life
 * is here (the end of a scan); -EBADMSG when it claims to be one but lengths are out of range.
 * The checksum isn't looked at: that needs the envelope, see record_check_envelope().
 */
int record_get_header(
    const unsigned char *in, size_t len, const struct record_place *place, struct record *rec);

/* Whether header and envelope belong together: 0 or -EBADMSG. `header` is the raw header. */
int record_check_envelope(
    const unsigned char *header, const void *envelope, size_t len, const struct record *rec);

/* The running checksum over a record from its header on; an opaque XXH3 state. */
struct record_sum;
struct record_sum *record_sum_new(uint64_t nonce); /* NULL when out of memory */
void record_sum_reset(struct record_sum *sum, uint64_t nonce);
void record_sum_add(struct record_sum *sum, const void *data, size_t len);
void record_sum_free(struct record_sum *sum);

/*
 * Writes the trailer. `body_sum` has been fed with body and late headers in that order; the header
 * is bound in by its own checksum, so that a streamed record needs no second pass.
 */
void record_put_trailer(const struct record *rec, const unsigned char header[RECORD_HEADER],
    struct record_sum *body_sum, unsigned char out[RECORD_TRAILER]);

/*
 * Reads a whole record from fd and checks every sum: what a scan does. buf is scratch of at least
 * 64 KiB. Returns 0 and fills rec; -ENOENT at the end of the segment (no valid header here);
 * -EBADMSG for a record that is torn or rotten; -EIO and other errors of pread().
 */
int record_check(
    int fd, const struct record_place *place, unsigned char *buf, size_t size, struct record *rec);
