/* SPDX-License-Identifier: ISC */
/*
 * Questions and their answers: the cache first, then the upstreams, each question in flight asked
 * once however many wait for it. Aliases are followed, popular answers are asked for again before
 * they run out, old ones serve on when no upstream answers, failures are remembered for seconds.
 *
 * There are two caches: what is asked for to send mail, and what clients make us ask (their names,
 * lists of spammers): so a flood of those can't throw out what mail needs. The second also looks
 * into the first.
 *
 * When no server answers, a known answer that has run out serves on (RFC 8767): at once when that
 * is known already, else after RESOLVE_STALE_MS, while the question goes on for who comes next.
 *
 * Everything is bounded: questions in flight (RESOLVE_QUESTIONS_MAX; one more is answered with
 * DNS_TEMPFAIL), the time of one (RESOLVE_DEADLINE_MS, aliases included), aliases
 * (QUERY_CHAIN_MAX), the cache. A fault of ours or an upstream's is DNS_TEMPFAIL, never a "no".
 */
#pragma once

#include "dnscache/cache.h"
#include "dnscache/upstream.h"

#define RESOLVE_QUESTIONS_MAX 10000
#define RESOLVE_SIDE_MAX      2000 /* of those, what clients make us ask */
#define RESOLVE_DEADLINE_MS   15000
#define RESOLVE_STALE_MS      1800 /* RFC 8767 §5: the client response timer */
#define RESOLVE_FAILED_S      5    /* "nobody could say" is remembered (RFC 9520 §3.2) */
#define RESOLVE_SILENT_S      1    /* "nobody answered": short, so that a resolver's return shows */
#define RESOLVE_POPULAR_HITS  3    /* finds that make an answer worth asking for ahead of its end */

struct hosts;
struct resolver;
struct resolver_wait;

/* What an answer is for, and so where it is kept. */
enum resolver_use { RESOLVE_MAIL, RESOLVE_SIDE, RESOLVE_USES };

/* What a question came to. */
struct resolver_answer {
	enum dns_verdict verdict;
	enum dns_security security; /* DNS_BOGUS: of DNS_TEMPFAIL only */
	enum dns_source source;
	uint32_t ttl_s; /* for how long it is so */
	size_t len;     /* of records, in the form of lib/dns.h */
	const uint8_t *records;
	const char *why;    /* of DNS_TEMPFAIL: static text for people; "" otherwise */
	const char *server; /* of DNS_FROM_SERVER: who said it, if that is known; "" otherwise */
};

/*
 * The answer is good until the function returns; it may ask further questions. wait is the
 * caller's again.
 */
typedef void resolver_done(struct resolver_wait *wait, const struct resolver_answer *answer);

/* Somebody who waits: part of the caller's own struct; `done` and `use` are set by the caller. */
struct resolver_wait {
	resolver_done *done;
	enum resolver_use use;
	/* private */
	struct resolver_wait *prev, *next;
	struct question *question;
};

/* Called when upstreams answer again after all were silent; from the end of a turn. */
typedef void resolver_back(void *arg);

struct resolver_stats {
	uint64_t asked;    /* calls of resolver_ask() */
	uint64_t hits;     /* answered by a cache or a list of ours */
	uint64_t merged;   /* joined a question in flight */
	uint64_t upstream; /* questions put to the upstreams */
	uint64_t failed;   /* of those, without a usable answer */
	uint64_t silent;   /* of those, because nobody answered */
	uint64_t stale;    /* answers that had run out, given because no server answered */
	uint64_t bogus;    /* failed because validation failed */
	uint64_t ahead;    /* popular answers asked for before their end */
	uint64_t refused;  /* too many in flight */
	unsigned inflight;
};

/* Makes a resolver over caches of that many bytes, with at most `sockets` sockets; or NULL. */
struct resolver *resolver_new(size_t mail_bytes, size_t side_bytes, unsigned sockets);
void resolver_free(struct resolver *r);

/* Answers from that list of names too, in place of an earlier one; it is the resolver's now. */
void resolver_hosts(struct resolver *r, struct hosts *hosts);
/* Whether a name has an address there. */
bool resolver_in_hosts(const struct resolver *r, const char *name);

struct cache *resolver_cache(struct resolver *r, enum resolver_use use);
struct upstream *resolver_upstream(struct resolver *r);

/*
 * Asks. name is one that dns_name_clean() made. `done` is called once, often before this returns
 * (a known answer, or DNS_TEMPFAIL for want of room).
 */
void resolver_ask(struct resolver *r, uint16_t type, const char *name, struct resolver_wait *wait);

/* Sees that the answer, for mail, is there when somebody asks; nobody waits for it. */
void resolver_fetch(struct resolver *r, uint16_t type, const char *name);

/*
 * Whom to call when upstreams answer again after all were silent. What failed until then is asked
 * anew, whoever asks for it; what is in flight is put to them at once.
 */
void resolver_on_back(struct resolver *r, resolver_back *back, void *arg);

/* Doesn't wait any more; the question goes on. Only for a wait whose `done` is still to come. */
void resolver_cancel(struct resolver_wait *wait);

void resolver_stats(const struct resolver *r, struct resolver_stats *out);
