/* SPDX-License-Identifier: ISC */
/*
 * However a question ends, its answer is in the cache before anybody hears it: who asks again from
 * within his answer finds it there.
 */
#include "dnscache/question.h"

#include <stdlib.h>
#include <string.h>

#include "lib/clock.h"
#include "lib/loop.h"

static upstream_done question_heard;

/* question_key_len - the octets of a question that make it unique */
static unsigned question_key_len(const struct query_question *q)
{
	return (unsigned)(offsetof(struct query_question, name) + strlen(q->name));
}

/* question_make - type and name as a key */
void question_make(struct query_question *q, uint16_t type, const char *name)
{
	memset(q, 0, sizeof(*q));
	q->type = type;
	memcpy(q->name, name, strnlen(name, DNS_NAME_MAX));
}

/* answer_cached - an entry of the cache as an answer */
struct resolver_answer answer_cached(const struct cache_entry *e, int64_t now)
{
	return (struct resolver_answer){
	    .verdict = e->fact.verdict,
	    .security = e->fact.security,
	    .source =
		e->good_ms <= now && e->fact.verdict == DNS_OK ? DNS_FROM_STALE : DNS_FROM_CACHE,
	    .ttl_s = cache_left_s(e, now),
	    .len = e->fact.len,
	    .records = e->fact.records,
	    .why = e->fact.why,
	    .server = "",
	};
}

/* answer_failed - nobody could say */
struct resolver_answer answer_failed(uint32_t ttl_s, const char *why, enum dns_security security)
{
	return (struct resolver_answer){.verdict = DNS_TEMPFAIL,
	    .security = security,
	    .source = DNS_FROM_SERVER,
	    .ttl_s = ttl_s,
	    .why = why,
	    .server = ""};
}

/* question_find - the question in flight */
struct question *question_find(struct resolver *r, const struct query_question *key)
{
	struct question *q;

	HASH_FIND(hh, r->table, key, question_key_len(key), q);
	return q;
}

/* timer_arm - set a timer to a time, unless it runs */
static void timer_arm(struct event *timer, int64_t at_ms)
{
	int64_t ms = at_ms - clock_ms();
	struct timeval tv;

	if (evtimer_pending(timer, NULL))
		return;
	ms = ms < 1 ? 1 : ms;
	tv.tv_sec = (time_t)(ms / 1000);
	tv.tv_usec = (suseconds_t)(ms % 1000 * 1000);
	event_add(timer, &tv);
}

/* question_forget_stale - its old answer isn't needed any more, or was given */
static void question_forget_stale(struct question *q)
{
	if (q->has_stale)
		DL_DELETE2(q->resolver->stale, q, stale_prev, stale_next);
	q->has_stale = false;
}

/* question_out - out of all lists */
static void question_out(struct question *q)
{
	struct resolver *r = q->resolver;

	question_forget_stale(q);
	HASH_DEL(r->table, q);
	DL_DELETE(r->order, q);
	r->stats.inflight--;
	r->side -= q->use == RESOLVE_SIDE;
}

/* question_tell - an answer to all who wait */
static void question_tell(struct question *q, const struct resolver_answer *answer)
{
	while (q->waits != NULL) {
		struct resolver_wait *w = q->waits;

		DL_DELETE(q->waits, w);
		w->question = NULL;
		w->done(w, answer);
	}
}

/* question_end - answer all who wait; the question is gone afterwards */
static void question_end(struct question *q, const struct resolver_answer *answer)
{
	question_out(q);
	upstream_cancel(q->ask);
	question_tell(q, answer);
	free(q);
}

/* question_fail - nobody could say: an old answer serves on, or the failure is remembered */
static void question_fail(
    struct question *q, uint32_t ttl_s, const char *why, enum dns_security security)
{
	struct resolver *r = q->resolver;
	struct cache *cache = r->cache[q->use];
	int64_t now = clock_ms();
	struct cache_fact fact = {
	    .verdict = DNS_TEMPFAIL, .security = security, .ttl_s = ttl_s, .why = why};
	struct resolver_answer answer = answer_failed(ttl_s, why, security);
	const struct cache_entry *old = NULL;

	r->stats.failed++;
	/* Where somebody forges, the truth may be new. */
	if (security != DNS_BOGUS)
		old = cache_prolong(cache, q->key.type, q->key.name, now);
	if (old != NULL) {
		r->stats.stale += q->waits != NULL;
		answer = answer_cached(old, now);
	} else {
		/* Without room for it the next one asks again. */
		(void)cache_put(cache, q->key.type, q->key.name, &fact, now);
	}
	question_end(q, &answer);
}

/* question_fact - a fact is known: remember it under the name asked for, tell all */
static void question_fact(struct question *q, struct cache_fact *fact, const char *server)
{
	struct resolver *r = q->resolver;
	int64_t now = clock_ms();
	struct resolver_answer answer;

	fact->ttl_s = fact->ttl_s < q->chain_ttl_s ? fact->ttl_s : q->chain_ttl_s;
	fact->why = "";
	if (q->insecure)
		fact->security = DNS_INSECURE;
	(void)cache_put(r->cache[q->use], q->key.type, q->key.name, fact, now);
	answer = (struct resolver_answer){
	    .verdict = fact->verdict,
	    .security = fact->security,
	    .source = DNS_FROM_SERVER,
	    .ttl_s = cache_ttl(fact),
	    .len = fact->len,
	    .records = fact->records,
	    .why = "",
	    .server = server,
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
static void question_alias(struct question *q, const struct query_answer *a, bool secure)
{
	q->chain += a->chain;
	q->insecure |= !secure;
	q->chain_ttl_s = a->ttl_s < q->chain_ttl_s ? a->ttl_s : q->chain_ttl_s;
	if (q->chain > QUERY_CHAIN_MAX) {
		question_fail(
		    q, RESOLVE_FAILED_S, "the chain of aliases is too long", DNS_INSECURE);
		return;
	}
	question_make(&q->now, q->key.type, a->alias);

	const struct cache_entry *e =
	    cache_find(q->resolver->cache[q->use], q->now.type, q->now.name);
	uint32_t left = e != NULL ? cache_left_s(e, clock_ms()) : 0;

	if (left > 0 && e->fact.verdict != DNS_TEMPFAIL) {
		/* Copied: putting it under the other name may throw out the entry. */
		static uint8_t records[DNS_RECORDS_BYTES];
		struct cache_fact fact = e->fact;

		fact.ttl_s = left;
		memcpy(records, fact.records, fact.len);
		fact.records = records;
		question_fact(q, &fact, "");
	} else if (question_put(q) != 0) {
		question_fail(q, RESOLVE_SILENT_S, "out of memory", DNS_INSECURE);
	}
}

/* question_refused - servers answered, and none could say */
static void question_refused(struct question *q, const struct query_answer *a)
{
	if (a->bogus) {
		q->resolver->stats.bogus++;
		question_fail(q, RESOLVE_FAILED_S, "the answer fails DNSSEC validation", DNS_BOGUS);
	} else if (a->status == QUERY_BROKEN) {
		question_fail(
		    q, RESOLVE_FAILED_S, "the resolver's answer makes no sense", DNS_INSECURE);
	} else {
		question_fail(q, RESOLVE_FAILED_S, query_rcode_text(a->rcode), DNS_INSECURE);
	}
}

/* question_heard - the upstreams have answered, or haven't */
static void question_heard(
    const struct query_answer *a, const struct upstream_server *from, void *arg)
{
	struct question *q = arg;
	bool secure = a != NULL && a->authentic && from != NULL && from->trusted;
	struct cache_fact fact;

	q->ask = NULL;
	if (a == NULL) {
		q->resolver->stats.silent++;
		question_fail(q, RESOLVE_SILENT_S, "no resolver answers", DNS_INSECURE);
		return;
	}
	switch (a->status) {
	case QUERY_ANSWER:
		fact = (struct cache_fact){
		    .verdict = a->verdict,
		    .security = secure ? DNS_SECURE : DNS_INSECURE,
		    .ttl_s = a->ttl_s,
		    .len = a->len,
		    .records = a->records,
		};
		question_fact(q, &fact, from != NULL ? server_text(from) : "");
		break;
	case QUERY_ALIAS:
		question_alias(q, a, secure);
		break;
	default:
		question_refused(q, a);
	}
}

/* question_in - into all lists; 0 or -ENOMEM */
static int question_in(struct question *q)
{
	struct resolver *r = q->resolver;
	const struct cache_entry *old = cache_find(r->cache[q->use], q->key.type, q->key.name);

	HASH_ADD_KEYPTR(hh, r->table, &q->key, question_key_len(&q->key), q);
	if (!hash_added(q))
		return -ENOMEM;
	DL_APPEND(r->order, q);
	r->stats.inflight++;
	r->side += q->use == RESOLVE_SIDE;
	q->has_stale = old != NULL && cache_left_s(old, clock_ms()) == 0;
	if (q->has_stale)
		DL_APPEND2(r->stale, q, stale_prev, stale_next);
	return 0;
}

/* question_new - a question in flight; NULL when there are too many or no memory */
struct question *question_new(
    struct resolver *r, const struct query_question *key, enum resolver_use use)
{
	int64_t now = clock_ms();
	struct question *q;

	if (r->stats.inflight >= RESOLVE_QUESTIONS_MAX ||
	    (use == RESOLVE_SIDE && r->side >= RESOLVE_SIDE_MAX) ||
	    (q = calloc(1, sizeof(*q))) == NULL)
		return NULL;
	q->resolver = r;
	q->key = *key;
	q->now = *key;
	q->use = use;
	q->chain_ttl_s = UINT32_MAX;
	q->stale_ms = now + RESOLVE_STALE_MS;
	q->deadline_ms = now + RESOLVE_DEADLINE_MS;
	if (question_in(q) != 0) {
		free(q);
		return NULL;
	}
	if (question_put(q) != 0) {
		question_out(q);
		free(q);
		return NULL;
	}
	timer_arm(&r->timer, r->order->deadline_ms);
	if (r->stale != NULL)
		timer_arm(&r->stale_timer, r->stale->stale_ms);
	return q;
}

/* on_stale - questions whose askers have waited for long enough, and that have an old answer */
static void on_stale(evutil_socket_t fd, short what, void *arg)
{
	struct resolver *r = arg;
	int64_t now = clock_ms();

	(void)fd;
	(void)what;
	while (r->stale != NULL && r->stale->stale_ms <= now) {
		struct question *q = r->stale;
		const struct cache_entry *old =
		    cache_prolong(r->cache[q->use], q->key.type, q->key.name, now);
		struct resolver_answer answer;

		question_forget_stale(q);
		if (old == NULL)
			continue;
		answer = answer_cached(old, now);
		r->stats.stale += q->waits != NULL;
		question_tell(q, &answer);
	}
	if (r->stale != NULL)
		timer_arm(&r->stale_timer, r->stale->stale_ms);
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
		question_fail(
		    r->order, RESOLVE_SILENT_S, "no resolver answers in time", DNS_INSECURE);
	}
	if (r->order != NULL)
		timer_arm(&r->timer, r->order->deadline_ms);
}

/* question_get - the question in flight, or a new one; NULL when there are too many */
struct question *question_get(
    struct resolver *r, const struct query_question *key, enum resolver_use use)
{
	struct question *q = question_find(r, key);

	if (q == NULL)
		return question_new(r, key, use);
	r->stats.merged++;
	if (q->use == RESOLVE_SIDE && use == RESOLVE_MAIL) {
		/* What mail needs is kept where mail looks; an old answer stands there or nowhere.
		 */
		question_forget_stale(q);
		q->use = RESOLVE_MAIL;
		r->side--;
	}
	return q;
}

/* questions_again - all that are in flight, as if they had just been asked */
void questions_again(struct resolver *r)
{
	struct question *q, *next;

	DL_FOREACH_SAFE (r->order, q, next) {
		upstream_cancel(q->ask);
		q->ask = NULL;
		if (question_put(q) != 0)
			question_fail(q, RESOLVE_SILENT_S, "out of memory", DNS_INSECURE);
	}
}

/* questions_start - timers that don't run yet */
void questions_start(struct resolver *r)
{
	evtimer_assign(&r->timer, loop_base(), deadline, r);
	evtimer_assign(&r->stale_timer, loop_base(), on_stale, r);
}

/* questions_stop - all of them; those who wait are not called */
void questions_stop(struct resolver *r)
{
	while (r->order != NULL) {
		struct question *q = r->order;

		question_out(q);
		upstream_cancel(q->ask);
		free(q);
	}
	event_del(&r->timer);
	event_del(&r->stale_timer);
}
