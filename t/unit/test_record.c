/* SPDX-License-Identifier: ISC */
/* Records in a real file: valid in their place only, every flipped bit found, every cut noticed. */
#include "lib/record.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

static unsigned char scratch[65536];
static const char envelope[] = "an envelope of any bytes";
static const char body[] = "Received: by us\r\nSubject: x\r\n\r\n..dots\r\n";
static const char late[] = "DKIM-Signature: v=1\r\n";

/* put_at - bytes at a place of the file */
static void put_at(int fd, const void *data, size_t len, uint64_t at)
{
	assert_int_equal(pwrite(fd, data, len, (off_t)at), len);
}

/* put - one record at `offset` of fd; its end */
static uint64_t put(
    int fd, uint64_t segment, uint64_t nonce, uint64_t offset, uint64_t id, struct record *rec)
{
	unsigned char header[RECORD_HEADER], trailer[RECORD_TRAILER];
	struct record_sum *sum = record_sum_new(nonce);

	*rec = (struct record){.place = {segment, nonce, offset},
	    .id = id,
	    .envelope_len = sizeof(envelope),
	    .body_len = sizeof(body) - 1,
	    .plain_len = sizeof(body) - 2,
	    .late_len = sizeof(late) - 1};
	assert_non_null(sum);
	record_sum_add(sum, body, 10);
	record_sum_add(sum, body + 10, sizeof(body) - 1 - 10);
	record_sum_add(sum, late, sizeof(late) - 1);
	record_put_header(rec, envelope, header);
	record_put_trailer(rec, header, sum, trailer);
	record_sum_free(sum);
	put_at(fd, header, RECORD_HEADER, offset);
	put_at(fd, envelope, sizeof(envelope), record_envelope_at(rec));
	put_at(fd, body, sizeof(body) - 1, record_body_at(rec));
	put_at(fd, late, sizeof(late) - 1, record_late_at(rec));
	put_at(fd, trailer, RECORD_TRAILER, record_late_at(rec) + rec->late_len);
	return offset + record_len(rec);
}

static int check(int fd, uint64_t segment, uint64_t nonce, uint64_t offset, struct record *rec)
{
	const struct record_place place = {segment, nonce, offset};

	return record_check(fd, &place, scratch, sizeof(scratch), rec);
}

static void test_a_walk_over_records(void **state)
{
	int fd = memfd_create("segment", MFD_CLOEXEC);
	struct record rec;
	uint64_t at = 0;

	(void)state;
	for (unsigned i = 0; i < 5; i++)
		at = put(fd, 7, 99, at, 100 + i, &rec);
	for (uint64_t pos = 0, i = 0; i < 5; i++) {
		assert_int_equal(check(fd, 7, 99, pos, &rec), 0);
		assert_int_equal(rec.id, 100 + i);
		assert_int_equal(rec.body_len, sizeof(body) - 1);
		assert_int_equal(rec.plain_len, sizeof(body) - 2);
		pos += record_len(&rec);
		if (i == 4)
			assert_int_equal(pos, at);
	}
	assert_int_equal(check(fd, 7, 99, at, &rec), -ENOENT);
	close(fd);
}

static void test_only_in_its_place(void **state)
{
	int fd = memfd_create("segment", MFD_CLOEXEC);
	struct record rec;
	uint64_t end = put(fd, 7, 99, 0, 1, &rec);

	(void)state;
	assert_int_equal(check(fd, 7, 99, 0, &rec), 0);
	assert_int_equal(check(fd, 8, 99, 0, &rec), -ENOENT);
	assert_int_equal(check(fd, 7, 98, 0, &rec), -ENOENT);
	/* The same bytes elsewhere are no record. */
	assert_int_equal(pread(fd, scratch, end, 0), end);
	put_at(fd, scratch, end, end);
	assert_int_equal(check(fd, 7, 99, end, &rec), -ENOENT);
	close(fd);
}

static void test_every_flipped_byte_is_found(void **state)
{
	int fd = memfd_create("segment", MFD_CLOEXEC);
	struct record rec;
	uint64_t end = put(fd, 7, 99, 0, 1, &rec);

	(void)state;
	for (uint64_t i = 0; i < end; i++) {
		unsigned char c;

		assert_int_equal(pread(fd, &c, 1, (off_t)i), 1);
		c ^= 0x10;
		put_at(fd, &c, 1, i);
		if (check(fd, 7, 99, 0, &rec) == 0)
			fail_msg("byte %lu of %lu", (unsigned long)i, (unsigned long)end);
		c ^= 0x10;
		put_at(fd, &c, 1, i);
	}
	assert_int_equal(check(fd, 7, 99, 0, &rec), 0);
	close(fd);
}

static void test_every_cut_is_found(void **state)
{
	int fd = memfd_create("segment", MFD_CLOEXEC);
	struct record rec;
	uint64_t end = put(fd, 7, 99, 0, 1, &rec);

	(void)state;
	while (end-- > 0) {
		assert_int_equal(ftruncate(fd, (off_t)end), 0);
		assert_int_not_equal(check(fd, 7, 99, 0, &rec), 0);
	}
	close(fd);
}

static void test_lengths_out_of_range(void **state)
{
	struct record rec = {.place = {7, 99, 0}, .envelope_len = RECORD_ENVELOPE_MAX + 1};
	unsigned char header[RECORD_HEADER];
	unsigned char *env = calloc(1, RECORD_ENVELOPE_MAX + 1);
	struct record got;

	(void)state;
	record_put_header(&rec, env, header);
	assert_int_equal(record_get_header(header, sizeof(header), &rec.place, &got), -EBADMSG);
	rec.envelope_len = 1;
	rec.plain_len = 2;
	rec.body_len = 1;
	record_put_header(&rec, env, header);
	assert_int_equal(record_get_header(header, sizeof(header), &rec.place, &got), -EBADMSG);
	rec.body_len = 2;
	record_put_header(&rec, env, header);
	assert_int_equal(record_get_header(header, sizeof(header), &rec.place, &got), 0);
	assert_int_equal(record_get_header(header, sizeof(header) - 1, &rec.place, &got), -ENOENT);
	assert_int_equal(record_check_envelope(header, env, 1, &got), 0);
	env[0] = 1;
	assert_int_equal(record_check_envelope(header, env, 1, &got), -EBADMSG);
	free(env);
}

/* sum_of - the trailer of one body under one nonce */
static void sum_of(unsigned char trailer[RECORD_TRAILER])
{
	const struct record rec = {.body_len = sizeof(body) - 1};
	const unsigned char header[RECORD_HEADER] = {0};
	struct record_sum *sum = record_sum_new(0x1234567);
	assert_non_null(sum);
	for (int i = 0; i < 100; i++)
		record_sum_add(sum, body, sizeof(body) - 1);
	record_put_trailer(&rec, header, sum, trailer);
	record_sum_free(sum);
}

/* What other users of the memory left there has no part in a sum. */
static void test_a_sum_in_used_memory(void **state)
{
	unsigned char first[RECORD_TRAILER], again[RECORD_TRAILER];
	void *held[64] = {NULL};
	unsigned random = 1;
	(void)state;
	sum_of(first);
	for (int i = 0; i < 20000; i++) {
		random = random * 1103515245 + 12345;
		void **place = &held[random >> 8 & 63];
		size_t size = 32 + (random >> 16) % 1500;
		free(*place);
		*place = malloc(size);
		assert_non_null(*place);
		memset(*place, 0xaa, size / 2);
		sum_of(again);
		assert_memory_equal(first, again, sizeof(first));
	}
	for (int i = 0; i < 64; i++)
		free(held[i]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_a_walk_over_records),
	    cmocka_unit_test(test_only_in_its_place),
	    cmocka_unit_test(test_every_flipped_byte_is_found),
	    cmocka_unit_test(test_every_cut_is_found),
	    cmocka_unit_test(test_lengths_out_of_range),
	    cmocka_unit_test(test_a_sum_in_used_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
