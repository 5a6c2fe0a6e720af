/* SPDX-License-Identifier: ISC */
/* dnscache/saved: what is written comes back with its times; what is changed is refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>
#include <xxhash.h>

#include "dnscache/saved.h"
#include "lib/clock.h"
#include "lib/loop.h"

enum { NOW = 1000000000, HEAD = 24 };
static const int64_t WALL = INT64_C(1700000000000);

/* put - an entry that is good for ttl_s from at_ms on */
static void put(struct cache *c, uint16_t type, const char *name, enum dns_verdict verdict,
    enum dns_security security, int64_t at_ms)
{
	struct cache_fact fact = {
	    .verdict = verdict, .security = security, .ttl_s = 600, .why = ""};

	if (verdict == DNS_OK) {
		fact.records =
		    (const uint8_t *)(type == DNS_MX ? "\0\6\0\12mx.x" : "\0\4\xc0\0\2\1");
		fact.len = type == DNS_MX ? 8 : 6;
	}
	assert_int_equal(cache_put(c, type, name, &fact, at_ms), 0);
}

/* again - into a new cache, so many ms later by both clocks */
static struct cache *again(const struct cache *c, int64_t later_ms, long want)
{
	struct cache *d = cache_new(1 << 20);
	uint8_t *data;
	long len = saved_encode(c, NOW, WALL, &data);

	assert_true(len >= HEAD);
	assert_int_equal(saved_decode(d, data, (size_t)len, 5000, WALL + later_ms), want);
	free(data);
	return d;
}

static void test_round_trip(void **state)
{
	struct cache *c = cache_new(1 << 20), *d;
	const struct cache_entry *e;

	(void)state;
	put(c, DNS_MX, "a.example", DNS_OK, DNS_SECURE, NOW);
	put(c, DNS_MX, "no.example", DNS_NODOMAIN, DNS_INSECURE, NOW);
	put(c, DNS_MX, "null.example", DNS_NULLMX, DNS_INSECURE, NOW);
	put(c, DNS_A, "mx.example", DNS_OK, DNS_INSECURE, NOW - 300000);
	put(c, DNS_A, "old.example", DNS_OK, DNS_INSECURE, NOW - 900000);
	put(c, DNS_A, "oldno.example", DNS_NODATA, DNS_INSECURE, NOW - 900000);
	put(c, DNS_A, "failed.example", DNS_TEMPFAIL, DNS_BOGUS, NOW);
	d = again(c, 100000, 5);
	e = cache_find(d, DNS_MX, "a.example");
	assert_int_equal(cache_left_s(e, 5000), 500);
	assert_int_equal(e->fact.security, DNS_SECURE);
	assert_memory_equal(e->fact.records, "\0\6\0\12mx.x", 8);
	assert_int_equal(cache_find(d, DNS_MX, "no.example")->fact.verdict, DNS_NODOMAIN);
	assert_int_equal(cache_find(d, DNS_MX, "null.example")->fact.verdict, DNS_NULLMX);
	assert_int_equal(cache_left_s(cache_find(d, DNS_A, "mx.example"), 5000), 200);
	/* ran out: for the case that nobody answers */
	assert_int_equal(cache_left_s(cache_find(d, DNS_A, "old.example"), 5000), 0);
	assert_non_null(cache_prolong(d, DNS_A, "old.example", 5000));
	assert_null(cache_find(d, DNS_A, "oldno.example"));
	assert_null(cache_find(d, DNS_A, "failed.example"));
	cache_free(d);
	/* after days nothing is good any more; a clock that went back makes nothing good for longer
	 */
	cache_free(again(c, INT64_C(10) * 86400000, 0));
	d = again(c, -INT64_C(10) * 86400000, 3);
	assert_int_equal(cache_left_s(cache_find(d, DNS_MX, "a.example"), 5000), 0);
	cache_free(d);
	cache_free(c);
}

/* The file holds what was used last, and a small cache keeps that. */
static void test_hot(void **state)
{
	struct cache *c = cache_new(64 << 20), *d = cache_new(100000);
	struct cache_stats stats;
	char name[32];
	uint8_t *data;
	long len;

	(void)state;
	for (int i = 0; i < 150000; i++) {
		snprintf(name, sizeof(name), "n%d.example", i);
		put(c, DNS_A, name, DNS_OK, DNS_INSECURE, NOW);
	}
	assert_non_null(cache_find(c, DNS_A, "n0.example"));
	len = saved_encode(c, NOW, WALL, &data);
	assert_in_range(len, SAVED_BYTES_MAX - 100, SAVED_BYTES_MAX + HEAD);
	assert_in_range(saved_decode(d, data, (size_t)len, NOW, WALL), 80000, 140000);
	assert_non_null(cache_find(d, DNS_A, "n0.example"));
	assert_non_null(cache_find(d, DNS_A, "n149999.example"));
	assert_null(cache_find(d, DNS_A, "n100000.example"));
	cache_stats(d, &stats);
	assert_true(stats.bytes <= 100000);
	free(data);
	cache_free(c);
	cache_free(d);
}

/* refused - how many entries are taken when one octet of the only one is another, sum made anew */
static long taken(size_t at, uint8_t octet)
{
	struct cache *c = cache_new(1 << 20), *d = cache_new(1 << 20);
	uint8_t *data;
	long len, n;
	uint64_t sum;

	put(c, DNS_MX, "a.example", DNS_OK, DNS_INSECURE, NOW);
	len = saved_encode(c, NOW, WALL, &data);
	data[HEAD + at] = octet;
	sum = htobe64(XXH3_64bits(data + HEAD, (size_t)len - HEAD));
	memcpy(data + 16, &sum, 8);
	n = saved_decode(d, data, (size_t)len, NOW, WALL);
	free(data);
	cache_free(c);
	cache_free(d);
	return n;
}

/* Checked like an answer from the network, entry by entry. */
static void test_entries(void **state)
{
	static const struct {
		size_t at;
		uint8_t octet;
		long taken;
	} rows[] = {
	    {1, DNS_MX, 1}, /* as it was */
	    {1, 99, 0},     /* no type */
	    {1, DNS_A, 0},  /* whose records have another form */
	    {2, 200, 0},    /* a name longer than there is */
	    {3, 'A', 1},    /* cleaned */
	    {3, ' ', 0},    /* no name */
	    {12, 7, 0},     /* no verdict */
	    {12, 4, 0},     /* a failure */
	    {12, 1, 0},     /* "no", with records */
	    {13, 2, 0},     /* bogus */
	    {29, 200, 0},   /* records longer than there are */
	    {31, 3, 0},     /* a record that ends elsewhere */
	    {34, '/', 0},   /* a host of no possible name */
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		if (taken(rows[i].at, rows[i].octet) != rows[i].taken)
			fail_msg("octet %zu as %u", rows[i].at, rows[i].octet);
}

/* A file that was cut short, or damaged, or isn't one. */
static void test_damaged(void **state)
{
	struct cache *c = cache_new(1 << 20), *d = cache_new(1 << 20);
	uint8_t *data;
	long len;

	(void)state;
	put(c, DNS_MX, "a.example", DNS_OK, DNS_INSECURE, NOW);
	len = saved_encode(c, NOW, WALL, &data);
	for (long n = 0; n < len; n++)
		assert_int_equal(saved_decode(d, data, (size_t)n, NOW, WALL), -74);
	for (long n = 0; n < len; n++) {
		data[n] ^= 1;
		assert_int_equal(saved_decode(d, data, (size_t)len, NOW, WALL), -74);
		data[n] ^= 1;
	}
	assert_int_equal(saved_decode(d, data, (size_t)len, NOW, WALL), 1);
	free(data);
	cache_free(c);
	cache_free(d);
}

/* size - of a file */
static long size(int fd)
{
	struct stat st;

	assert_int_equal(fstat(fd, &st), 0);
	return (long)st.st_size;
}

/* Saved by the clock without being asked, and at the end. */
static void test_file(void **state)
{
	int fd = memfd_create("saved", 0), mine = dup(fd);
	struct cache *c = cache_new(1 << 20), *d = cache_new(1 << 20);
	uint8_t data[1000];
	int64_t end = clock_ms() + 10000;
	long first;

	(void)state;
	loop_init();
	saved_start(fd, c, 50);
	put(c, DNS_A, "a.example", DNS_OK, DNS_INSECURE, clock_ms());
	while (size(mine) == 0 && clock_ms() < end)
		loop_turn();
	first = size(mine);
	assert_true(first > HEAD);
	put(c, DNS_A, "b.example", DNS_OK, DNS_INSECURE, clock_ms());
	saved_finish();
	assert_true(size(mine) > first);
	assert_int_equal(pread(mine, data, sizeof(data), 0), size(mine));
	assert_int_equal(saved_decode(d, data, (size_t)size(mine), clock_ms(), clock_wall_ms()), 2);
	close(mine);
	cache_free(c);
	cache_free(d);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_round_trip),
	    cmocka_unit_test(test_hot),
	    cmocka_unit_test(test_entries),
	    cmocka_unit_test(test_damaged),
	    cmocka_unit_test(test_file),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
