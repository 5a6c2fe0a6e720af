/* SPDX-License-Identifier: ISC */
/*
 * A question in flight is one struct in a hash by type and name, with those who wait in a list;
 * all of them have the same deadline, so the list of questions in the order asked is also the order
 * of deadlines, and one timer serves them all.
 */
#include "dnscache/resolve.h"

#include <event2/event.h>
#include <event2/event_struct.h>
#include <stdlib.h>
#include <string.h>

#include "dnscache/builtin.h"
#include "lib/clock.h"
#include "lib/hash.h"
#include "lib/loop.h"

struct question {
	UT_hash_handle hh;
	struct question *prev, *next; /* in the order asked */
	struct resolver *resolver;
	struct query_question key; /* what was asked */
	struct query_question now; /* what is being asked: the key, or an alias behind it */
	unsigned chain;
	uint32_t chain_ttl_s; /* the least TTL of the aliases so far */
	int64_t deadline_ms;
	struct upstream_ask *ask;
	struct resolver_wait *waits;
};

struct resolver {
	struct cache *cache;
	struct upstream *upstream;
	struct question *table;
	struct question *order;
	struct event timer;
	struct resolver_stats stats;
};

static upstream_done question_heard;

/* question_key_len - the octets of a question that make it unique */
static unsigned question_key_len(const struct query_question *q)
{
	return (unsigned)(offsetof(struct query_question, name) + strlen(q->name));
}

/* question_make - type and name as a key */
static void question_make(struct query_question *q, uint16_t type, const char *name)
{
	memset(q, 0, sizeof(*q));
	q->type = type;
	memcpy(q->name, name, strnlen(name, DNS_NAME_MAX));
}

/* answer_cached - an entry of the cache as an answer */
static struct resolver_answer answer_cached(const struct cache_entry *e, int64_t now)
{
	return (struct resolver_answer){
	    .verdict = e->fact.verdict,
	    .authentic = e->fact.authentic,
	    .cached = true,
	    .ttl_s = cache_left_s(e, now),
	    .len = e->fact.len,
	    .records = e->fact.records,
	    .why = e->fact.why,
	};
}

/* timer_arm - set the one timer to the first deadline */
static void timer_arm(struct resolver *r)
{
	int64_t ms;
	struct timeval tv;

	if (r->order == NULL || evtimer_pending(&r->timer, NULL))
		return;
	ms = r->order->deadline_ms - clock_ms();
	ms = ms < 1 ? 1 : ms;
	tv.tv_sec = (time_t)(ms / 1000);
	tv.tv_usec = (suseconds_t)(ms % 1000 * 1000);
	event_add(&r->timer, &tv);
}

/* question_end - answer all who wait; the question is gone afterwards */
static void question_end(struct question *q, const struct resolver_answer *answer)
{
	struct resolver *r = q->resolver;

	HASH_DEL(r->table, q);
	DL_DELETE(r->order, q);
	r->stats.inflight--;
	upstream_cancel(q->ask);
	while (q->waits != NULL) {
		struct resolver_wait *w = q->waits;

		DL_DELETE(q->waits, w);
		w->question = NULL;
		w->done(w, answer);
	}
	free(q);
}

/* question_fail - nobody could say: an old answer serves on, or the failure is remembered */
static void question_fail(struct question *q, uint32_t ttl_s, const char *why)
{
	struct resolver *r = q->resolver;
	int64_t now = clock_ms();
	const struct cache_entry *old = cache_prolong(r->cache, q->key.type, q->key.name, now);
	struct cache_fact fact = {.verdict = DNS_TEMPFAIL, .ttl_s = ttl_s, .why = why};
	struct resolver_answer answer = {.verdict = DNS_TEMPFAIL, .ttl_s = ttl_s, .why = why};

	r->stats.failed++;
	if (old != NULL) {
		r->stats.stale++;
		answer = answer_cached(old, now);
	} else {
		/* Without room for it the next one asks again. */
		(void)cache_put(r->cache, q->key.type, q->key.name, &fact, now);
	}
	question_end(q, &answer);
}

/* question_fact - a fact is known: remember it under the name asked for, tell all */
static void question_fact(struct question *q, struct cache_fact *fact)
{
	struct resolver *r = q->resolver;
	int64_t now = clock_ms();
	struct resolver_answer answer;

	fact->ttl_s = fact->ttl_s < q->chain_ttl_s ? fact->ttl_s : q->chain_ttl_s;
	fact->why = "";
	(void)cache_put(r->cache, q->key.type, q->key.name, fact, now);
	answer = (struct resolver_answer){
	    .verdict = fact->verdict,
	    .authentic = fact->authentic,
	    .ttl_s = cache_ttl(fact),
	    .len = fact->len,
	    .records = fact->records,
	    .why = "",
	};
	question_end(q, &answer);
}

/* question_put - ask the upstreams for q->now */
static int question_put(struct question *q)
{
	q->resolver->stats.upstream++;
	q->ask = upstream_ask(q->resolver->upstream, &q->now, question_heard, q);
	return q->ask != NULL ? 0 : -1;
}

/* question_alias - the name is another's alias: go on with that one */
static void question_alias(struct question *q, const struct query_answer *a)
{
	q->chain += a->chain;
	q->chain_ttl_s = a->ttl_s < q->chain_ttl_s ? a->ttl_s : q->chain_ttl_s;
	if (q->chain > QUERY_CHAIN_MAX) {
		question_fail(q, RESOLVE_FAILED_S, "the chain of aliases is too long");
		return;
	}
	question_make(&q->now, q->key.type, a->alias);

	const struct cache_entry *e = cache_find(q->resolver->cache, q->now.type, q->now.name);
	uint32_t left = e != NULL ? cache_left_s(e, clock_ms()) : 0;

	if (left > 0 && e->fact.verdict != DNS_TEMPFAIL) {
		/* Copied: putting it under the other name may throw out the entry. */
		static uint8_t records[DNS_RECORDS_BYTES];
		struct cache_fact fact = e->fact;

		fact.ttl_s = left;
		memcpy(records, fact.records, fact.len);
		fact.records = records;
		question_fact(q, &fact);
	} else if (question_put(q) != 0) {
		question_fail(q, RESOLVE_SILENT_S, "out of memory");
	}
}

/* question_heard - the upstreams have answered, or haven't */
static void question_heard(const struct query_answer *a, void *arg)
{
	struct question *q = arg;
	struct cache_fact fact;

	q->ask = NULL;
	if (a == NULL) {
		q->resolver->stats.silent++;
		question_fail(q, RESOLVE_SILENT_S, "no resolver answers");
		return;
	}
	switch (a->status) {
	case QUERY_ANSWER:
		fact = (struct cache_fact){
		    .verdict = a->verdict,
		    .authentic = a->authentic,
		    .ttl_s = a->ttl_s,
		    .len = a->len,
		    .records = a->records,
		};
		question_fact(q, &fact);
		break;
	case QUERY_ALIAS:
		question_alias(q, a);
		break;
	case QUERY_BROKEN:
		question_fail(q, RESOLVE_FAILED_S, "the resolver's answer makes no sense");
		break;
	default:
		question_fail(q, RESOLVE_FAILED_S, query_rcode_text(a->rcode));
	}
}

/* question_new - a question in flight; NULL when there are too many or no memory */
static struct question *question_new(struct resolver *r, const struct query_question *key)
{
	struct question *q;

	if (r->stats.inflight >= RESOLVE_QUESTIONS_MAX || (q = calloc(1, sizeof(*q))) == NULL)
		return NULL;
	q->resolver = r;
	q->key = *key;
	q->now = *key;
	q->chain_ttl_s = UINT32_MAX;
	q->deadline_ms = clock_ms() + RESOLVE_DEADLINE_MS;
	HASH_ADD_KEYPTR(hh, r->table, &q->key, question_key_len(&q->key), q);
	if (!hash_added(q)) {
		free(q);
		return NULL;
	}
	DL_APPEND(r->order, q);
	r->stats.inflight++;
	if (question_put(q) != 0) {
		HASH_DEL(r->table, q);
		DL_DELETE(r->order, q);
		r->stats.inflight--;
		free(q);
		return NULL;
	}
	timer_arm(r);
	return q;
}

/* deadline - questions that took too long; aliases included */
static void deadline(evutil_socket_t fd, short what, void *arg)
{
	struct resolver *r = arg;
	int64_t now = clock_ms();

	(void)fd;
	(void)what;
	while (r->order != NULL && r->order->deadline_ms <= now) {
		r->stats.silent++;
		question_fail(r->order, RESOLVE_SILENT_S, "no resolver answers in time");
	}
	timer_arm(r);
}

/* ask_ahead - a popular answer that is about to run out is asked for again, for nobody yet */
static void ask_ahead(struct resolver *r, const struct query_question *key,
    const struct cache_entry *e, uint32_t left)
{
	struct question *q;

	if (e->fact.verdict != DNS_OK || e->hits < RESOLVE_POPULAR_HITS ||
	    left > e->fact.ttl_s / 10 || r->stats.inflight > RESOLVE_QUESTIONS_MAX / 2)
		return;
	HASH_FIND(hh, r->table, key, question_key_len(key), q);
	if (q == NULL && question_new(r, key) != NULL)
		r->stats.ahead++;
}

/* known - answer from what needs no question; false when one has to be asked */
static bool known(struct resolver *r, const struct query_question *key, struct resolver_wait *wait)
{
	int64_t now = clock_ms();
	struct resolver_answer answer;
	const struct cache_entry *e;
	uint32_t left;

	if (!builtin_answer(key->type, key->name, &answer)) {
		e = cache_find(r->cache, key->type, key->name);
		left = e != NULL ? cache_left_s(e, now) : 0;
		if (left == 0)
			return false;
		answer = answer_cached(e, now);
		ask_ahead(r, key, e, left);
	}
	r->stats.hits++;
	wait->done(wait, &answer);
	return true;
}

/* resolver_ask - ask a question */
void resolver_ask(struct resolver *r, uint16_t type, const char *name, struct resolver_wait *wait)
{
	struct query_question key;
	struct question *q;

	question_make(&key, type, name);
	wait->question = NULL;
	r->stats.asked++;
	if (known(r, &key, wait))
		return;
	HASH_FIND(hh, r->table, &key, question_key_len(&key), q);
	if (q != NULL)
		r->stats.merged++;
	else
		q = question_new(r, &key);
	if (q == NULL) {
		struct resolver_answer busy = {.verdict = DNS_TEMPFAIL,
		    .ttl_s = RESOLVE_SILENT_S,
		    .why = "too many questions at once"};

		r->stats.refused++;
		wait->done(wait, &busy);
		return;
	}
	wait->question = q;
	DL_APPEND(q->waits, wait);
}

/* resolver_cancel - wait no more */
void resolver_cancel(struct resolver_wait *wait)
{
	if (wait->question == NULL)
		return;
	DL_DELETE(wait->question->waits, wait);
	wait->question = NULL;
}

/* resolver_new - a resolver without servers */
struct resolver *resolver_new(size_t cache_bytes, unsigned sockets)
{
	struct resolver *r = calloc(1, sizeof(*r));

	if (r == NULL)
		return NULL;
	r->cache = cache_new(cache_bytes);
	r->upstream = upstream_new(sockets);
	evtimer_assign(&r->timer, loop_base(), deadline, r);
	if (r->cache == NULL || r->upstream == NULL) {
		resolver_free(r);
		return NULL;
	}
	return r;
}

/* resolver_free - all of it; those who wait are not called */
void resolver_free(struct resolver *r)
{
	if (r == NULL)
		return;
	while (r->order != NULL) {
		struct question *q = r->order;

		HASH_DEL(r->table, q);
		DL_DELETE(r->order, q);
		upstream_cancel(q->ask);
		free(q);
	}
	event_del(&r->timer);
	upstream_free(r->upstream);
	cache_free(r->cache);
	free(r);
}

/* resolver_cache - the cache */
struct cache *resolver_cache(struct resolver *r)
{
	return r->cache;
}

/* resolver_upstream - the upstreams */
struct upstream *resolver_upstream(struct resolver *r)
{
	return r->upstream;
}

/* resolver_stats - the counters */
void resolver_stats(const struct resolver *r, struct resolver_stats *out)
{
	*out = r->stats;
}
