/* SPDX-License-Identifier: ISC */
/* What is known, and what has to be asked; questions in flight are question.c's. */
#include "dnscache/resolve.h"

#include <stdlib.h>
#include <string.h>

#include "dnscache/builtin.h"
#include "dnscache/hosts.h"
#include "dnscache/question.h"
#include "lib/clock.h"
#include "lib/hash.h"
#include "lib/loop.h"

/* ask_ahead - a popular answer that is about to run out is asked for again, for nobody yet */
static void ask_ahead(struct resolver *r, const struct query_question *key, enum resolver_use use,
    const struct cache_entry *e, uint32_t left)
{
	if (e->fact.verdict != DNS_OK || e->hits < RESOLVE_POPULAR_HITS ||
	    left > e->fact.ttl_s / 10 || r->stats.inflight > RESOLVE_QUESTIONS_MAX / 2)
		return;
	if (question_find(r, key) == NULL && question_new(r, key, use) != NULL)
		r->stats.ahead++;
}

/* ask_stale - an old answer at once, while no server answers; they are asked all the same */
static const struct cache_entry *ask_stale(
    struct resolver *r, const struct query_question *key, enum resolver_use use, int64_t now)
{
	const struct cache_entry *e;

	if (!upstream_lost(r->upstream))
		return NULL;
	e = cache_prolong(r->cache[use], key->type, key->name, now);
	if (e == NULL)
		return NULL;
	r->stats.stale++;
	if (question_find(r, key) == NULL)
		(void)question_new(r, key, use);
	return cache_find(r->cache[use], key->type, key->name);
}

/* failed_before - whether an entry is a failure from before the upstreams' return */
static bool failed_before(const struct cache_entry *e, int64_t back_ms)
{
	return e->fact.verdict == DNS_TEMPFAIL &&
	       e->expires_ms - (int64_t)e->fact.ttl_s * 1000 <= back_ms;
}

/* known_cached - answer from one of the caches */
static bool known_cached(struct resolver *r, const struct query_question *key,
    enum resolver_use use, struct resolver_answer *answer)
{
	int64_t now = clock_ms();
	const struct cache_entry *e = cache_find(r->cache[use], key->type, key->name);
	uint32_t left = e != NULL ? cache_left_s(e, now) : 0;

	if (left > 0 && failed_before(e, r->back_ms))
		return false;
	if (left > 0)
		ask_ahead(r, key, use, e, left);
	else if (e != NULL && (e = ask_stale(r, key, use, now)) != NULL)
		left = cache_left_s(e, now);
	if (left == 0)
		return use == RESOLVE_SIDE && known_cached(r, key, RESOLVE_MAIL, answer);
	*answer = answer_cached(e, now);
	return true;
}

/* known - answer from what needs no question */
static bool known(struct resolver *r, const struct query_question *key, enum resolver_use use,
    struct resolver_answer *answer)
{
	return builtin_answer(key->type, key->name, answer) ||
	       hosts_answer(r->hosts, key->type, key->name, answer) ||
	       known_cached(r, key, use, answer);
}

/* resolver_ask - ask a question */
void resolver_ask(struct resolver *r, uint16_t type, const char *name, struct resolver_wait *wait)
{
	struct resolver_answer answer;
	struct query_question key;
	struct question *q;

	question_make(&key, type, name);
	wait->question = NULL;
	r->stats.asked++;
	if (known(r, &key, wait->use, &answer)) {
		r->stats.hits++;
		wait->done(wait, &answer);
		return;
	}
	q = question_get(r, &key, wait->use);
	if (q == NULL) {
		answer =
		    answer_failed(RESOLVE_SILENT_S, "too many questions at once", DNS_INSECURE);
		r->stats.refused++;
		wait->done(wait, &answer);
		return;
	}
	wait->question = q;
	DL_APPEND(q->waits, wait);
}

/* resolver_fetch - ask for nobody */
void resolver_fetch(struct resolver *r, uint16_t type, const char *name)
{
	struct resolver_answer answer;
	struct query_question key;

	question_make(&key, type, name);
	if (r->stats.inflight < RESOLVE_QUESTIONS_MAX / 2 && !known(r, &key, RESOLVE_MAIL, &answer))
		(void)question_get(r, &key, RESOLVE_MAIL);
}

/* resolver_cancel - wait no more */
void resolver_cancel(struct resolver_wait *wait)
{
	if (wait->question == NULL)
		return;
	DL_DELETE(wait->question->waits, wait);
	wait->question = NULL;
}

/* back - at the end of the turn, when no exchange is at work */
static void back(struct loop_task *task)
{
	struct resolver *r =
	    (struct resolver *)((char *)task - offsetof(struct resolver, back_task));

	r->back_ms = clock_ms();
	questions_again(r);
	if (r->back != NULL)
		r->back(r->back_arg);
}

/* on_back - an upstream answers again */
static void on_back(void *arg)
{
	struct resolver *r = arg;

	loop_defer(&r->back_task);
}

/* resolver_on_back - whom to tell */
void resolver_on_back(struct resolver *r, resolver_back *fn, void *arg)
{
	r->back = fn;
	r->back_arg = arg;
}

/* resolver_new - a resolver without servers */
struct resolver *resolver_new(size_t mail_bytes, size_t side_bytes, unsigned sockets)
{
	struct resolver *r = calloc(1, sizeof(*r));

	if (r == NULL)
		return NULL;
	r->cache[RESOLVE_MAIL] = cache_new(mail_bytes);
	r->cache[RESOLVE_SIDE] = cache_new(side_bytes);
	r->upstream = upstream_new(sockets);
	questions_start(r);
	r->back_task.run = back;
	r->back_ms = INT64_MIN;
	if (r->upstream != NULL)
		upstream_on_back(r->upstream, on_back, r);
	if (r->cache[RESOLVE_MAIL] == NULL || r->cache[RESOLVE_SIDE] == NULL ||
	    r->upstream == NULL) {
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
	questions_stop(r);
	loop_cancel(&r->back_task);
	upstream_free(r->upstream);
	cache_free(r->cache[RESOLVE_MAIL]);
	cache_free(r->cache[RESOLVE_SIDE]);
	hosts_free(r->hosts);
	free(r);
}

/* resolver_cache - the cache of that use */
struct cache *resolver_cache(struct resolver *r, enum resolver_use use)
{
	return r->cache[use];
}

/* resolver_hosts - other names of the host's own */
void resolver_hosts(struct resolver *r, struct hosts *hosts)
{
	hosts_free(r->hosts);
	r->hosts = hosts;
}

/* resolver_in_hosts - a name's address stands in the host's own list */
bool resolver_in_hosts(const struct resolver *r, const char *name)
{
	struct resolver_answer answer;

	return hosts_answer(r->hosts, DNS_A, name, &answer);
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
