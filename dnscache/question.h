/* SPDX-License-Identifier: ISC */
/*
 * Questions in flight: the part of resolve.c that waits. Nobody else includes this; resolve.h is
 * what others see, and has the limits.
 *
 * A question is one struct in a hash by type and name, with those who wait in a list; all of them
 * have the same deadline, so the list of questions in the order asked is also the order of
 * deadlines, and one timer serves them all. The same holds for those that have an old answer to
 * give after RESOLVE_STALE_MS. It frees itself when it has ended.
 */
#pragma once

#include <event2/event.h>
#include <event2/event_struct.h>

#include "dnscache/resolve.h"
#include "lib/hash.h"
#include "lib/loop.h"

struct question {
	UT_hash_handle hh;
	struct question *prev, *next;             /* in the order asked */
	struct question *stale_prev, *stale_next; /* of those with an old answer */
	struct resolver *resolver;
	struct query_question key; /* what was asked */
	struct query_question now; /* what is being asked: the key, or an alias behind it */
	enum resolver_use use;
	bool has_stale; /* it is in the list of those */
	bool insecure;  /* an alias so far was */
	unsigned chain;
	uint32_t chain_ttl_s; /* the least TTL of the aliases so far */
	int64_t stale_ms, deadline_ms;
	struct upstream_ask *ask;
	struct resolver_wait *waits;
};

struct resolver {
	struct cache *cache[RESOLVE_USES];
	struct upstream *upstream;
	struct hosts *hosts;
	struct question *table;
	struct question *order, *stale;
	unsigned side; /* questions in flight of RESOLVE_SIDE */
	struct event timer, stale_timer;
	struct loop_task back_task;
	int64_t back_ms; /* when the upstreams were last back after a silence */
	resolver_back *back;
	void *back_arg;
	struct resolver_stats stats;
};

/* Type and name as a key. */
void question_make(struct query_question *q, uint16_t type, const char *name);

/* The question in flight, or NULL. */
struct question *question_find(struct resolver *r, const struct query_question *key);

/* A new one, for nobody yet; NULL when there are too many, or no memory. */
struct question *question_new(
    struct resolver *r, const struct query_question *key, enum resolver_use use);

/* The one in flight, which is for mail then if `use` is; or a new one. */
struct question *question_get(
    struct resolver *r, const struct query_question *key, enum resolver_use use);

/* The upstreams are back: what waits for the end of their silence is put to them anew. */
void questions_again(struct resolver *r);

/* The timers of a resolver that was just made, and the end of all questions; nobody is called. */
void questions_start(struct resolver *r);
void questions_stop(struct resolver *r);

/* An entry of a cache as an answer; good until that cache changes. */
struct resolver_answer answer_cached(const struct cache_entry *e, int64_t now);

/* Nobody could say. */
struct resolver_answer answer_failed(uint32_t ttl_s, const char *why, enum dns_security security);
