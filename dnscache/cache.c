/* SPDX-License-Identifier: ISC */
/*
 * A hash of entries that also hang in one list, the most recently used in front. Key and records
 * stand behind the entry in the same piece of memory: one malloc an entry, and the count of bytes
 * can say what an entry costs. The count takes in what the allocator and the hash add, so that the
 * configured bound is close to what the process really uses.
 */
#include "dnscache/cache.h"

#include <errno.h>
#include <malloc.h>
#include <stdlib.h>
#include <string.h>

#include "lib/hash.h"

/*
 * Beside the block itself: the allocator's head, this entry's share of the hash's buckets, and what
 * is lost between blocks of different sizes. Measured with ten million random names of changing
 * size in 32 MiB: so the process grows by the bound and no more.
 */
#define ENTRY_OVERHEAD 84
#define KEY_MAX        (2 + DNS_NAME_SIZE)

struct node {
	struct cache_entry entry;
	UT_hash_handle hh;
	struct node *prev, *next;
	size_t bytes;
	uint16_t key_len;
	uint8_t data[]; /* key, records */
};

struct cache {
	struct node *table;
	struct node *used; /* the most recently used in front */
	size_t max;
	struct cache_stats stats;
};

/* key_make - the hash's key: type, then name; returns its length */
static uint16_t key_make(uint16_t type, const char *name, uint8_t key[KEY_MAX])
{
	size_t len = strnlen(name, DNS_NAME_MAX);

	key[0] = (uint8_t)(type >> 8);
	key[1] = (uint8_t)type;
	memcpy(key + 2, name, len);
	return (uint16_t)(2 + len);
}

/* node_find - the node of a question */
static struct node *node_find(struct cache *cache, uint16_t type, const char *name)
{
	uint8_t key[KEY_MAX];
	uint16_t len = key_make(type, name, key);
	struct node *node;

	HASH_FIND(hh, cache->table, key, len, node);
	return node;
}

/* node_free - take a node out of everything */
static void node_free(struct cache *cache, struct node *node)
{
	HASH_DEL(cache->table, node);
	DL_DELETE(cache->used, node);
	cache->stats.bytes -= node->bytes;
	cache->stats.entries--;
	free(node);
}

/* node_use - bring a node to the list's front */
static void node_use(struct cache *cache, struct node *node)
{
	if (cache->used == node)
		return;
	DL_DELETE(cache->used, node);
	DL_PREPEND(cache->used, node);
}

/* shrink - throw out the least recently used until `bytes` are left at most */
static void shrink(struct cache *cache, size_t bytes)
{
	while (cache->stats.bytes > bytes && cache->used != NULL) {
		node_free(cache, cache->used->prev); /* a utlist head's prev is the tail */
		cache->stats.evicted++;
	}
}

/* cache_new - an empty cache */
struct cache *cache_new(size_t bytes)
{
	struct cache *cache = calloc(1, sizeof(*cache));

	if (cache != NULL)
		cache->max = bytes;
	return cache;
}

/* cache_free - the cache with all it holds */
void cache_free(struct cache *cache)
{
	if (cache == NULL)
		return;
	while (cache->used != NULL)
		node_free(cache, cache->used);
	free(cache);
}

/* cache_resize - change the bound */
void cache_resize(struct cache *cache, size_t bytes)
{
	cache->max = bytes;
	shrink(cache, bytes);
}

/* cache_find - what is known of a question */
const struct cache_entry *cache_find(struct cache *cache, uint16_t type, const char *name)
{
	struct node *node = node_find(cache, type, name);

	if (node == NULL) {
		cache->stats.misses++;
		return NULL;
	}
	cache->stats.hits++;
	node->entry.hits++;
	node_use(cache, node);
	return &node->entry;
}

/* cache_ttl - a fact's time within the bounds */
uint32_t cache_ttl(const struct cache_fact *fact)
{
	uint32_t max = fact->verdict == DNS_OK ? CACHE_TTL_MAX_S : CACHE_NEGATIVE_MAX_S;
	uint32_t ttl = fact->ttl_s < max ? fact->ttl_s : max;

	return fact->verdict != DNS_TEMPFAIL && ttl < CACHE_TTL_MIN_S ? CACHE_TTL_MIN_S : ttl;
}

/* node_new - a node with key and records, in no list yet */
static struct node *node_new(uint16_t type, const char *name, const struct cache_fact *fact)
{
	uint8_t key[KEY_MAX];
	uint16_t key_len = key_make(type, name, key);
	struct node *node = malloc(sizeof(*node) + key_len + fact->len);

	if (node == NULL)
		return NULL;
	memset(node, 0, sizeof(*node));
	node->key_len = key_len;
	memcpy(node->data, key, key_len);
	if (fact->len > 0)
		memcpy(node->data + key_len, fact->records, fact->len);
	node->entry.fact = *fact;
	node->entry.fact.ttl_s = cache_ttl(fact);
	node->entry.fact.records = node->data + key_len;
	node->bytes = malloc_usable_size(node) + ENTRY_OVERHEAD;
	return node;
}

/* cache_put - put or replace an entry */
int cache_put(struct cache *cache, uint16_t type, const char *name, const struct cache_fact *fact,
    int64_t now_ms)
{
	struct node *node, *old;

	if (fact->len > DNS_RECORDS_BYTES)
		return -E2BIG;
	node = node_new(type, name, fact);
	if (node == NULL)
		return -ENOMEM;
	if (node->bytes > cache->max) {
		free(node);
		return -E2BIG;
	}
	node->entry.good_ms = now_ms + (int64_t)node->entry.fact.ttl_s * 1000;
	node->entry.expires_ms = node->entry.good_ms;
	old = node_find(cache, type, name);
	if (old != NULL)
		node_free(cache, old);
	shrink(cache, cache->max - node->bytes);
	HASH_ADD_KEYPTR(hh, cache->table, node->data, node->key_len, node);
	if (!hash_added(node)) {
		free(node);
		return -ENOMEM;
	}
	DL_PREPEND(cache->used, node);
	cache->stats.bytes += node->bytes;
	cache->stats.entries++;
	cache->stats.puts++;
	return 0;
}

/* cache_prolong - let old records serve on */
const struct cache_entry *cache_prolong(
    struct cache *cache, uint16_t type, const char *name, int64_t now_ms)
{
	struct node *node = node_find(cache, type, name);

	if (node == NULL || node->entry.fact.verdict != DNS_OK ||
	    now_ms - node->entry.good_ms > (int64_t)CACHE_STALE_MAX_S * 1000)
		return NULL;
	if (node->entry.expires_ms <= now_ms)
		node->entry.expires_ms = now_ms + (int64_t)CACHE_PROLONG_S * 1000;
	return &node->entry;
}

/* cache_drop - forget a name */
unsigned cache_drop(struct cache *cache, const char *name)
{
	static const uint16_t types[] = {
	    DNS_A, DNS_AAAA, DNS_MX, DNS_CNAME, DNS_PTR, DNS_TXT, DNS_TLSA, DNS_SOA};
	unsigned dropped = 0;

	for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
		struct node *node = node_find(cache, types[i], name);

		if (node != NULL) {
			node_free(cache, node);
			dropped++;
		}
	}
	return dropped;
}

/* cache_walk - visit all entries */
void cache_walk(const struct cache *cache, cache_visit *fn, void *arg)
{
	const struct node *node;
	char name[DNS_NAME_SIZE];

	DL_FOREACH (cache->used, node) {
		size_t len = node->key_len - 2u;

		memcpy(name, node->data + 2, len);
		name[len] = '\0';
		if (!fn((uint16_t)(node->data[0] << 8 | node->data[1]), name, &node->entry, arg))
			return;
	}
}

/* cache_left_s - how long an entry still serves */
uint32_t cache_left_s(const struct cache_entry *entry, int64_t now_ms)
{
	if (entry->expires_ms <= now_ms)
		return 0;
	return (uint32_t)((entry->expires_ms - now_ms + 999) / 1000);
}

/* cache_stats - counters and sizes */
void cache_stats(const struct cache *cache, struct cache_stats *out)
{
	*out = cache->stats;
}
