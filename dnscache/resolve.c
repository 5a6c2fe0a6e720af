/* SPDX-License-Identifier: ISC */
/*
 * A question in flight is one struct in a hash by type and name, with those who wait in a list;
 * all of them have the same deadline, so the list of questions in the order asked is also the order
 * of deadlines, and one timer serves them all. The same holds for those that have an old answer to
 * give after RESOLVE_STALE_MS.
 */
#include "dnscache/resolve.h"

#include <event2/event.h>
#include <event2/event_struct.h>
#include <stdlib.h>
#include <string.h>

#include "dnscache/builtin.h"
#include "dnscache/hosts.h"
#include "lib/clock.h"
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
static struct resolver_answer answer_failed(
    uint32_t ttl_s, const char *why, enum dns_security security)
{
	return (struct resolver_answer){.verdict = DNS_TEMPFAIL,
	    .security = security,
	    .source = DNS_FROM_SERVER,
	    .ttl_s = ttl_s,
	    .why = why,
	    .server = ""};
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
static struct question *question_new(
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

/* ask_ahead - a popular answer that is about to run out is asked for again, for nobody yet */
static void ask_ahead(struct resolver *r, const struct query_question *key, enum resolver_use use,
    const struct cache_entry *e, uint32_t left)
{
	struct question *q;

	if (e->fact.verdict != DNS_OK || e->hits < RESOLVE_POPULAR_HITS ||
	    left > e->fact.ttl_s / 10 || r->stats.inflight > RESOLVE_QUESTIONS_MAX / 2)
		return;
	HASH_FIND(hh, r->table, key, question_key_len(key), q);
	if (q == NULL && question_new(r, key, use) != NULL)
		r->stats.ahead++;
}

/* ask_stale - an old answer at once, while no server answers; they are asked all the same */
static const struct cache_entry *ask_stale(
    struct resolver *r, const struct query_question *key, enum resolver_use use, int64_t now)
{
	const struct cache_entry *e;
	struct question *q;

	if (!upstream_lost(r->upstream))
		return NULL;
	e = cache_prolong(r->cache[use], key->type, key->name, now);
	if (e == NULL)
		return NULL;
	r->stats.stale++;
	HASH_FIND(hh, r->table, key, question_key_len(key), q);
	if (q == NULL)
		(void)question_new(r, key, use);
	return cache_find(r->cache[use], key->type, key->name);
}

/* known_cached - answer from one of the caches */
static bool known_cached(struct resolver *r, const struct query_question *key,
    enum resolver_use use, struct resolver_answer *answer)
{
	int64_t now = clock_ms();
	const struct cache_entry *e = cache_find(r->cache[use], key->type, key->name);
	uint32_t left = e != NULL ? cache_left_s(e, now) : 0;

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

/* question_get - the question in flight, or a new one; NULL when there are too many */
static struct question *question_get(
    struct resolver *r, const struct query_question *key, enum resolver_use use)
{
	struct question *q;

	HASH_FIND(hh, r->table, key, question_key_len(key), q);
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

/* resolver_new - a resolver without servers */
struct resolver *resolver_new(size_t mail_bytes, size_t side_bytes, unsigned sockets)
{
	struct resolver *r = calloc(1, sizeof(*r));

	if (r == NULL)
		return NULL;
	r->cache[RESOLVE_MAIL] = cache_new(mail_bytes);
	r->cache[RESOLVE_SIDE] = cache_new(side_bytes);
	r->upstream = upstream_new(sockets);
	evtimer_assign(&r->timer, loop_base(), deadline, r);
	evtimer_assign(&r->stale_timer, loop_base(), on_stale, r);
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
	while (r->order != NULL) {
		struct question *q = r->order;

		question_out(q);
		upstream_cancel(q->ask);
		free(q);
	}
	event_del(&r->timer);
	event_del(&r->stale_timer);
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
