/* SPDX-License-Identifier: ISC */
/*
 * Layout of the header, 112 bytes: magic u64 | segment u64 | nonce u64 | offset u64 | id u64 |
 * body length u64 | plain length u64 | envelope length u32 | late length u32 | 40 bytes zero, for
 * later versions | checksum u64. The checksum covers the 104 bytes before it and the envelope.
 *
 * The trailer's checksum covers that checksum, the body and the late headers. So a streamed body
 * is summed once, as it comes in, although the header is known only afterwards.
 */
#include "lib/record.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#define XXH_STATIC_LINKING_ONLY /* for the state by value */
#include <xxhash.h>

#include "lib/wire.h"

#define MAGIC    0x4261746f6e2d3031ull /* "Baton-01": the format's name and version */
#define END_MARK 0x9d0d0aa5656e6421ull
#define SUM_AT   (RECORD_HEADER - 8)

struct record_sum {
	XXH3_state_t state;
};

/* record_len - header to trailer */
uint64_t record_len(const struct record *rec)
{
	return record_late_at(rec) + rec->late_len + RECORD_TRAILER - rec->place.offset;
}

/* record_envelope_at - right behind the header */
uint64_t record_envelope_at(const struct record *rec)
{
	return rec->place.offset + RECORD_HEADER;
}

/* record_body_at - right behind the envelope */
uint64_t record_body_at(const struct record *rec)
{
	return record_envelope_at(rec) + rec->envelope_len;
}

/* record_late_at - right behind the body */
uint64_t record_late_at(const struct record *rec)
{
	return record_body_at(rec) + rec->body_len;
}

/* header_sum - over the header's fields and the envelope, seeded with the nonce */
static uint64_t header_sum(
    const unsigned char *header, const void *envelope, size_t len, uint64_t nonce)
{
	/* Two one-shot sums, the first seeding the second: no state of half a KiB to set up. */
	uint64_t seed = XXH3_64bits_withSeed(header, SUM_AT, nonce);

	return XXH3_64bits_withSeed(envelope, len, seed);
}

/* record_put_header - fields, then their sum */
void record_put_header(
    const struct record *rec, const void *envelope, unsigned char out[RECORD_HEADER])
{
	struct wire_out w;

	memset(out, 0, RECORD_HEADER);
	wire_out_fixed(&w, out, SUM_AT);
	wire_put_u64(&w, MAGIC);
	wire_put_u64(&w, rec->place.segment);
	wire_put_u64(&w, rec->place.nonce);
	wire_put_u64(&w, rec->place.offset);
	wire_put_u64(&w, rec->id);
	wire_put_u64(&w, rec->body_len);
	wire_put_u64(&w, rec->plain_len);
	wire_put_u32(&w, rec->envelope_len);
	wire_put_u32(&w, rec->late_len);
	wire_out_fixed(&w, out + SUM_AT, 8);
	wire_put_u64(&w, header_sum(out, envelope, rec->envelope_len, rec->place.nonce));
}

/* record_get_header - only what is of this segment's life, and within limits */
int record_get_header(
    const unsigned char *in, size_t len, const struct record_place *place, struct record *rec)
{
	struct wire_in w;

	if (len < RECORD_HEADER)
		return -ENOENT;
	wire_in_init(&w, in, RECORD_HEADER);
	if (wire_get_u64(&w) != MAGIC)
		return -ENOENT;
	rec->place.segment = wire_get_u64(&w);
	rec->place.nonce = wire_get_u64(&w);
	rec->place.offset = wire_get_u64(&w);
	if (rec->place.segment != place->segment || rec->place.nonce != place->nonce ||
	    rec->place.offset != place->offset)
		return -ENOENT;
	rec->id = wire_get_u64(&w);
	rec->body_len = wire_get_u64(&w);
	rec->plain_len = wire_get_u64(&w);
	rec->envelope_len = wire_get_u32(&w);
	rec->late_len = wire_get_u32(&w);
	if (rec->body_len > RECORD_BODY_MAX || rec->plain_len > rec->body_len ||
	    rec->envelope_len > RECORD_ENVELOPE_MAX || rec->late_len > RECORD_LATE_MAX)
		return -EBADMSG;
	return 0;
}

/* stored_sum - the sum a header carries */
static uint64_t stored_sum(const unsigned char *header)
{
	struct wire_in w;

	wire_in_init(&w, header + SUM_AT, 8);
	return wire_get_u64(&w);
}

/* record_check_envelope - header and envelope belong together */
int record_check_envelope(
    const unsigned char *header, const void *envelope, size_t len, const struct record *rec)
{
	if (len != rec->envelope_len ||
	    header_sum(header, envelope, len, rec->place.nonce) != stored_sum(header))
		return -EBADMSG;
	return 0;
}

/* record_sum_new - a running sum */
struct record_sum *record_sum_new(uint64_t nonce)
{
	/* XXH3 wants its state aligned to 64 bytes. */
	struct record_sum *sum = aligned_alloc(64, (sizeof(*sum) + 63) / 64 * 64);

	if (!sum)
		return NULL;
	/*
	 * A reset with the seed that it finds in the state keeps the secret that it finds there: in
	 * memory that held another sum once, and something else since, that is a wrong one.
	 */
	XXH3_INITSTATE(&sum->state);
	record_sum_reset(sum, nonce);
	return sum;
}

/* record_sum_reset - begin anew */
void record_sum_reset(struct record_sum *sum, uint64_t nonce)
{
	XXH3_64bits_reset_withSeed(&sum->state, nonce);
}

/* record_sum_add - more of the body */
void record_sum_add(struct record_sum *sum, const void *data, size_t len)
{
	XXH3_64bits_update(&sum->state, data, len);
}

/* record_sum_free - NULL is allowed */
void record_sum_free(struct record_sum *sum)
{
	free(sum);
}

/* trailer_sum - the body's sum bound to the header's */
static uint64_t trailer_sum(uint64_t body, const unsigned char *header)
{
	return XXH3_64bits_withSeed(header + SUM_AT, 8, body);
}

/* record_put_trailer - the record is whole */
void record_put_trailer(const struct record *rec, const unsigned char header[RECORD_HEADER],
    struct record_sum *body_sum, unsigned char out[RECORD_TRAILER])
{
	struct wire_out w;

	(void)rec;
	wire_out_fixed(&w, out, RECORD_TRAILER);
	wire_put_u64(&w, trailer_sum(XXH3_64bits_digest(&body_sum->state), header));
	wire_put_u64(&w, END_MARK);
}

/* read_all - pread() until len bytes are there; -ENODATA at the file's end */
static int read_all(int fd, unsigned char *buf, size_t len, uint64_t at)
{
	while (len > 0) {
		ssize_t n = pread(fd, buf, len, (off_t)at);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0)
			return -ENODATA;
		buf += n;
		len -= (size_t)n;
		at += (uint64_t)n;
	}
	return 0;
}

/* sum_file - feed `len` bytes of the file from `at` to the sum */
static int sum_file(
    int fd, struct record_sum *sum, uint64_t at, uint64_t len, unsigned char *buf, size_t size)
{
	while (len > 0) {
		size_t n = len < size ? (size_t)len : size;
		int r = read_all(fd, buf, n, at);

		if (r)
			return r;
		record_sum_add(sum, buf, n);
		at += n;
		len -= n;
	}
	return 0;
}

/* check_envelope_file - the envelope by its own buffer when it is larger than the scratch */
static int check_envelope_file(
    int fd, const unsigned char *header, const struct record *rec, unsigned char *buf, size_t size)
{
	unsigned char *env = rec->envelope_len <= size ? buf : malloc(rec->envelope_len);
	int r;

	if (!env)
		return -ENOMEM;
	r = read_all(fd, env, rec->envelope_len, record_envelope_at(rec));
	if (r == 0)
		r = record_check_envelope(header, env, rec->envelope_len, rec);
	if (env != buf)
		free(env);
	return r;
}

/* check_body_file - body, late headers and trailer */
static int check_body_file(
    int fd, const unsigned char *header, const struct record *rec, unsigned char *buf, size_t size)
{
	struct record_sum *sum = record_sum_new(rec->place.nonce);
	unsigned char want[RECORD_TRAILER];
	int r;

	if (!sum)
		return -ENOMEM;
	r = sum_file(fd, sum, record_body_at(rec), rec->body_len + rec->late_len, buf, size);
	if (r)
		goto out;
	record_put_trailer(rec, header, sum, want);
	r = read_all(fd, buf, RECORD_TRAILER, record_late_at(rec) + rec->late_len);
	if (r == 0 && memcmp(buf, want, RECORD_TRAILER) != 0)
		r = -EBADMSG;
out:
	record_sum_free(sum);
	return r;
}

/* record_check - one whole record, as a scan finds it */
int record_check(
    int fd, const struct record_place *place, unsigned char *buf, size_t size, struct record *rec)
{
	unsigned char header[RECORD_HEADER];
	int r = read_all(fd, header, sizeof(header), place->offset);

	if (r == -ENODATA)
		return -ENOENT;
	if (r == 0)
		r = record_get_header(header, sizeof(header), place, rec);
	if (r == 0)
		r = check_envelope_file(fd, header, rec, buf, size);
	if (r == 0)
		r = check_body_file(fd, header, rec, buf, size);
	return r == -ENODATA ? -EBADMSG : r;
}
