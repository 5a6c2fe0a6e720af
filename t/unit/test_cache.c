/* SPDX-License-Identifier: ISC */
/* dnscache/cache: times, bounds and what goes first, with a clock that the test turns. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "dnscache/cache.h"

/* put - one entry with a few octets */
static int put(
    struct cache *c, const char *name, enum dns_verdict verdict, uint32_t ttl, int64_t now)
{
	struct cache_fact fact = {.verdict = verdict,
	    .ttl_s = ttl,
	    .len = strlen(name),
	    .records = (const uint8_t *)name};

	return cache_put(c, DNS_MX, name, &fact, now);
}

static void test_find(void **state)
{
	struct cache *c = cache_new(1 << 20);
	const struct cache_entry *e;
	struct cache_stats stats;

	(void)state;
	assert_null(cache_find(c, DNS_MX, "example"));
	assert_int_equal(put(c, "example", DNS_OK, 60, 1000), 0);
	assert_null(cache_find(c, DNS_A, "example"));
	assert_null(cache_find(c, DNS_MX, "exampl"));
	e = cache_find(c, DNS_MX, "example");
	assert_non_null(e);
	assert_int_equal(e->fact.len, 7);
	assert_memory_equal(e->fact.records, "example", 7);
	assert_int_equal(cache_left_s(e, 1000), 60);
	assert_int_equal(cache_left_s(e, 60999), 1);
	assert_int_equal(cache_left_s(e, 61000), 0);
	/* put again: replaced, not doubled */
	assert_int_equal(put(c, "example", DNS_NODOMAIN, 100, 2000), 0);
	e = cache_find(c, DNS_MX, "example");
	assert_int_equal(e->fact.verdict, DNS_NODOMAIN);
	cache_stats(c, &stats);
	assert_int_equal(stats.entries, 1);
	assert_int_equal(stats.hits, 2);
	assert_int_equal(stats.misses, 3);
	assert_int_equal(cache_drop(c, "example"), 1);
	assert_null(cache_find(c, DNS_MX, "example"));
	cache_stats(c, &stats);
	assert_int_equal(stats.bytes, 0);
	cache_free(c);
}

static void test_clamp(void **state)
{
	static const struct {
		enum dns_verdict verdict;
		uint32_t ttl, kept;
	} rows[] = {
	    {DNS_OK, 0, CACHE_TTL_MIN_S},
	    {DNS_OK, 300, 300},
	    {DNS_OK, UINT32_MAX, CACHE_TTL_MAX_S},
	    {DNS_NODOMAIN, 0, CACHE_TTL_MIN_S},
	    {DNS_NODATA, 86400, CACHE_NEGATIVE_MAX_S},
	    {DNS_NULLMX, 86400, CACHE_NEGATIVE_MAX_S},
	    {DNS_TEMPFAIL, 1, 1},
	};
	struct cache *c = cache_new(1 << 20);

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		assert_int_equal(put(c, "x", rows[i].verdict, rows[i].ttl, 5), 0);
		assert_int_equal(cache_left_s(cache_find(c, DNS_MX, "x"), 5), rows[i].kept);
	}
	cache_free(c);
}

static void test_prolong(void **state)
{
	struct cache *c = cache_new(1 << 20);
	const struct cache_entry *e;
	int64_t end = (60 + (int64_t)CACHE_STALE_MAX_S) * 1000;

	(void)state;
	assert_null(cache_prolong(c, DNS_MX, "x", 0));
	put(c, "x", DNS_OK, 60, 0);
	e = cache_prolong(c, DNS_MX, "x", 1000); /* not needed yet: nothing changes */
	assert_int_equal(e->expires_ms, 60000);
	e = cache_prolong(c, DNS_MX, "x", 70000);
	assert_int_equal(cache_left_s(e, 70000), CACHE_PROLONG_S);
	assert_int_equal(e->good_ms, 60000);
	assert_non_null(cache_prolong(c, DNS_MX, "x", end));
	assert_null(cache_prolong(c, DNS_MX, "x", end + 1));
	put(c, "x", DNS_NODOMAIN, 60, 0);
	assert_null(cache_prolong(c, DNS_MX, "x", 70000));
	cache_free(c);
}

static void test_bound(void **state)
{
	enum { BOUND = 100000 };
	struct cache *c = cache_new(BOUND);
	struct cache_stats stats;
	char name[32];

	(void)state;
	for (int i = 0; i < 20000; i++) {
		snprintf(name, sizeof(name), "n%d.example", i);
		assert_int_equal(put(c, name, DNS_OK, 60, 0), 0);
		assert_non_null(cache_find(c, DNS_MX, "n0.example")); /* always in use */
		cache_stats(c, &stats);
		assert_true(stats.bytes <= BOUND);
	}
	assert_true(stats.entries > BOUND / 400);
	assert_int_equal(stats.evicted, 20000 - stats.entries);
	assert_non_null(cache_find(c, DNS_MX, "n19999.example"));
	assert_null(cache_find(c, DNS_MX, "n1.example"));
	cache_resize(c, 1000);
	cache_stats(c, &stats);
	assert_true(stats.bytes <= 1000 && stats.entries > 0);
	assert_non_null(cache_find(c, DNS_MX, "n19999.example"));
	cache_resize(c, 0);
	assert_int_equal(put(c, "x", DNS_OK, 60, 0), -7);
	cache_free(c);
}

/* resident - octets that this process holds in memory */
static long resident(void)
{
	long pages = 0;
	FILE *f = fopen("/proc/self/statm", "re");

	assert_non_null(f);
	assert_int_equal(fscanf(f, "%*d %ld", &pages), 1);
	fclose(f);
	return pages * sysconf(_SC_PAGESIZE);
}

/* Random names of changing lengths with answers of changing sizes: the process grows by the bound.
 * With BATON_SOAK ten million of them. */
static void test_random_names(void **state)
{
	enum { BOUND = 16 << 20 };
	static const uint8_t records[600];
	unsigned long names = getenv("BATON_SOAK") != NULL ? 10000000 : 300000;
	struct cache *c = cache_new(BOUND);
	struct cache_stats stats;
	long before = resident(), grown;
	char name[DNS_NAME_SIZE];
	uint64_t x = 88172645463325252u;

	(void)state;
	for (unsigned long i = 0; i < names; i++) {
		struct cache_fact fact = {.verdict = DNS_OK, .ttl_s = 60, .records = records};

		x ^= x << 13;
		x ^= x >> 7;
		x ^= x << 17;
		fact.len = x % sizeof(records);
		snprintf(name, sizeof(name), "%llx%0*lu.example", (unsigned long long)x,
		    (int)(x >> 32) % 60, i);
		assert_int_equal(cache_put(c, DNS_A, name, &fact, 0), 0);
	}
	cache_stats(c, &stats);
	grown = resident() - before;
	printf("%lu names: %zu entries, %zu of %d octets, the process grew by %ld\n", names,
	    stats.entries, stats.bytes, BOUND, grown);
	assert_true(stats.bytes <= BOUND && stats.bytes > BOUND - 4096);
#ifndef BATON_SANITIZE
	assert_true(grown < BOUND + BOUND / 8);
#endif
	cache_free(c);
}

static void test_too_large(void **state)
{
	static const uint8_t records[DNS_RECORDS_BYTES + 1];
	struct cache *c = cache_new(1 << 20);
	struct cache_fact fact = {.verdict = DNS_OK, .len = sizeof(records), .records = records};

	(void)state;
	assert_int_equal(cache_put(c, DNS_TXT, "x", &fact, 0), -7);
	fact.len--;
	assert_int_equal(cache_put(c, DNS_TXT, "x", &fact, 0), 0);
	cache_resize(c, 4096);
	assert_int_equal(cache_put(c, DNS_TXT, "x", &fact, 0), -7);
	cache_free(c);
	cache_free(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_find),
	    cmocka_unit_test(test_clamp),
	    cmocka_unit_test(test_prolong),
	    cmocka_unit_test(test_bound),
	    cmocka_unit_test(test_random_names),
	    cmocka_unit_test(test_too_large),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
