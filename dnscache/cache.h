/* SPDX-License-Identifier: ISC */
/*
 * What dnscache knows: one entry for each (type, name), bounded in bytes, least recently used out
 * first. It holds facts (records, "no such name", "no such records") and, briefly, that nobody
 * could answer. An entry past its time stays until it is thrown out or replaced, so that it can
 * serve on when nobody answers any more (cache_prolong()); the caller compares expires_ms with his
 * clock.
 *
 * Times are milliseconds of the monotonic clock and always given by the caller, so that tests turn
 * it as they like. An entry belongs to the cache; a pointer to one is good until the next
 * cache_put(), cache_resize() or cache_drop(). Names are those of dns_name_clean(), or aliases
 * with a slash (RFC 2317).
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/dns.h"

#define CACHE_TTL_MAX_S      86400u /* a record's time is cut to a day, */
#define CACHE_NEGATIVE_MAX_S 3600u  /* that of "no" to an hour (RFC 2308 §5), */
#define CACHE_TTL_MIN_S      5u     /* and nothing is forgotten within one delivery */
#define CACHE_PROLONG_S      30u    /* RFC 8767 §5 */
#define CACHE_STALE_MAX_S    (3 * 86400u)

struct cache;

/* What is known of one question. */
struct cache_fact {
	enum dns_verdict verdict;
	enum dns_security security;
	uint32_t ttl_s; /* as received; cache_put() keeps it within the bounds above */
	size_t len;     /* octets of records, at most DNS_RECORDS_BYTES */
	const uint8_t *records;
	const char *why; /* of DNS_TEMPFAIL: static text for people; else "" or NULL */
};

struct cache_entry {
	struct cache_fact fact; /* fact.ttl_s: the whole time it was given */
	int64_t expires_ms;     /* it serves until then */
	int64_t good_ms; /* when its TTL ran out or will; before expires_ms when it was prolonged */
	unsigned hits;   /* finds since it was put */
};

struct cache_stats {
	uint64_t hits, misses, puts, evicted;
	size_t entries;
	size_t bytes; /* with what each entry costs beside its octets */
};

/* Makes a cache of at most `bytes`; NULL without memory. */
struct cache *cache_new(size_t bytes);
void cache_free(struct cache *cache);

/* Changes the bound; what is too much goes at once. */
void cache_resize(struct cache *cache, size_t bytes);

/* Finds an entry, expired or not, and makes it the most recently used; NULL when there is none. */
const struct cache_entry *cache_find(struct cache *cache, uint16_t type, const char *name);

/*
 * Puts or replaces an entry. A failure (DNS_TEMPFAIL) has its ttl_s as given, without the minimum.
 * Returns 0, -E2BIG for records longer than allowed or than the whole cache, -ENOMEM.
 */
int cache_put(struct cache *cache, uint16_t type, const char *name, const struct cache_fact *fact,
    int64_t now_ms);

/*
 * Lets records that are past their time serve for another CACHE_PROLONG_S, because no upstream
 * answers (RFC 8767); only DNS_OK, and at most CACHE_STALE_MAX_S behind their TTL's end. Returns
 * the entry, or NULL when there is nothing to prolong.
 */
const struct cache_entry *cache_prolong(
    struct cache *cache, uint16_t type, const char *name, int64_t now_ms);

/*
 * Calls fn for each entry, the most recently used first, until it returns false. fn must not change
 * the cache.
 */
typedef bool cache_visit(
    uint16_t type, const char *name, const struct cache_entry *entry, void *arg);
void cache_walk(const struct cache *cache, cache_visit *fn, void *arg);

/* Forgets what is known under a name, all types of lib/dns.h. Returns how many entries went. */
unsigned cache_drop(struct cache *cache, const char *name);

/* The time that cache_put() gives a fact: ttl_s within the bounds. */
uint32_t cache_ttl(const struct cache_fact *fact);

/* Whole seconds that the entry is still good for; 0 when it is past its time. */
uint32_t cache_left_s(const struct cache_entry *entry, int64_t now_ms);

void cache_stats(const struct cache *cache, struct cache_stats *out);
