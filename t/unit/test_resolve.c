/* SPDX-License-Identifier: ISC */
/*
 * dnscache/resolve, upstream, exchange: against servers in this process that lie, break, stay
 * silent and come back.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <unistd.h>

#include <cmocka.h>

#include "dnscache/resolve.h"
#include "lib/clock.h"
#include "lib/loop.h"
#include "t/unit/dnspkt.h"

/* One who asks and what he heard. */
struct asker {
	struct resolver_wait wait;
	bool heard;
	enum dns_verdict verdict;
	uint32_t ttl_s;
	bool cached;
	enum dns_source source;
	enum dns_security security;
	unsigned records;
	uint8_t last[4]; /* octets of the last A record */
	char why[80];
};

/* What a server of these tests does. */
struct script {
	struct dnsserver server;
	enum {
		SAY_ADDRESS,
		SAY_NOTHING,
		SAY_SERVFAIL,
		SAY_GARBAGE,
		SAY_LIES_FIRST,
		SAY_TRUNCATED,
		SAY_EDNS_UNKNOWN,
		SAY_ALIAS,
		SAY_ALIAS_LOOP,
		SAY_NO,
		SAY_TWICE,
	} what;
	unsigned plain, tcp; /* questions without EDNS, over TCP */
	int liar;            /* a socket that isn't the server's */
};

/* shorter than the real times, and long beside a busy machine's pauses */
static const struct upstream_times fast = {300, 600, 300, 300};
static struct script s1, s2;
static struct resolver *r;

/* heard - the answer to an asker */
static void heard(struct resolver_wait *wait, const struct resolver_answer *answer)
{
	struct asker *a = (struct asker *)wait;
	struct wire_in w;
	struct dns_record rec;

	assert_false(a->heard);
	a->heard = true;
	a->verdict = answer->verdict;
	a->ttl_s = answer->ttl_s;
	a->cached = answer->source == DNS_FROM_CACHE;
	a->source = answer->source;
	a->security = answer->security;
	snprintf(a->why, sizeof(a->why), "%s", answer->why);
	wire_in_init(&w, answer->records, answer->len);
	while (dns_record_next(&w, DNS_TXT, &rec)) {
		a->records++;
		if (rec.len == 4)
			memcpy(a->last, rec.data, 4);
	}
	assert_int_equal(wire_in_end(&w), 0);
}

/* ask - put a question; the answer may be there at once */
static void ask(struct asker *a, uint16_t type, const char *name)
{
	memset(a, 0, sizeof(*a));
	a->wait.done = heard;
	resolver_ask(r, type, name, &a->wait);
}

/* await - turn the loop until the asker has heard; returns the milliseconds it took */
static int64_t await(struct asker *a)
{
	int64_t start = clock_ms();

	while (!a->heard && clock_ms() - start < 20000)
		loop_turn();
	assert_true(a->heard);
	return clock_ms() - start;
}

/* turn - run the loop for that long */
static void turn(int64_t ms)
{
	int64_t end = clock_ms() + ms;

	while (clock_ms() < end) {
		event_base_loop(loop_base(), EVLOOP_ONCE | EVLOOP_NONBLOCK);
		usleep(1000);
	}
}

/* send_from - a packet to the asker from some socket */
static void send_from(int fd, const struct dnsask *q, const struct pkt *p)
{
	assert_int_equal(sendto(fd, p->data, p->len, 0, (const struct sockaddr *)&q->from,
			     sizeof(struct sockaddr_in)),
	    p->len);
}

/* lies - wrong ID, wrong name, wrong type, no question, wrong source, and a question */
static void lies(const struct script *s, const struct dnsask *q)
{
	static struct pkt p;

	pkt_start(&p, (uint16_t)(q->id + 1), PKT_RA, q->name, q->type);
	pkt_a(&p, q->name, 600, "203.0.113.66");
	send_from(s->server.udp, q, &p);
	pkt_start(&p, q->id, PKT_RA, "other.example", q->type);
	pkt_a(&p, "other.example", 600, "203.0.113.66");
	send_from(s->server.udp, q, &p);
	pkt_start(&p, q->id, PKT_RA, q->name, DNS_MX);
	send_from(s->server.udp, q, &p);
	pkt_start(&p, q->id, PKT_RA, NULL, 0);
	send_from(s->server.udp, q, &p);
	pkt_start(&p, q->id, PKT_RA, q->name, q->type);
	pkt_a(&p, q->name, 600, "203.0.113.66");
	send_from(s->liar, q, &p);
	p.data[2] &= 0x7f;
	send_from(s->server.udp, q, &p);
}

/* say_more - the kinds of answers that aren't simply records or a code */
static bool say_more(struct script *s, const struct dnsask *q, struct pkt *p)
{
	char alias[300];

	switch (s->what) {
	case SAY_GARBAGE:
		pkt_start(p, q->id, PKT_RA, q->name, q->type);
		p->data[PKT_AN + 1] = 1;
		pkt_raw(p, "\xc0\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", 12);
		return true;
	case SAY_TRUNCATED:
		pkt_start(p, q->id, PKT_RA | (q->tcp ? 0 : PKT_TC), q->name, q->type);
		for (int i = 0; q->tcp && i < 100; i++)
			pkt_a(p, q->name, 600, "192.0.2.1");
		return true;
	case SAY_ALIAS:
		pkt_start(p, q->id, PKT_RA, q->name, q->type);
		if (strncmp(q->name, "real", 4) == 0) {
			pkt_a(p, q->name, 600, "192.0.2.1");
		} else {
			snprintf(alias, sizeof(alias), "real.%s", q->name);
			pkt_cname(p, q->name, 50, alias);
		}
		return true;
	case SAY_ALIAS_LOOP:
		pkt_start(p, q->id, PKT_RA, q->name, q->type);
		pkt_cname(p, q->name, 50, strcmp(q->name, "a.loop") == 0 ? "b.loop" : "a.loop");
		return true;
	case SAY_NO:
		pkt_start(p, q->id, PKT_RA | 3, q->name, q->type);
		pkt_soa(p, "example", 600, 600);
		return true;
	default:
		return false;
	}
}

/* say - do as the script says */
static bool say(const struct dnsask *q, struct pkt *p, void *arg)
{
	struct script *s = arg;

	s->plain += !q->edns;
	s->tcp += q->tcp;
	switch (s->what) {
	case SAY_SERVFAIL:
		pkt_start(p, q->id, PKT_RA | 2, q->name, q->type);
		return true;
	case SAY_EDNS_UNKNOWN:
		if (q->edns) {
			pkt_start(p, q->id, 1, NULL, 0);
			return true;
		}
		break;
	case SAY_LIES_FIRST:
		lies(s, q);
		break;
	case SAY_NOTHING:
	case SAY_ADDRESS:
		break;
	case SAY_TWICE:
		pkt_start(p, q->id, PKT_RA, q->name, q->type);
		pkt_a(p, q->name, 600, "192.0.2.1");
		send_from(s->server.udp, q, p);
		return true;
	default:
		return say_more(s, q, p);
	}
	pkt_start(p, q->id, PKT_RA, q->name, q->type);
	pkt_a(p, q->name, 600, "192.0.2.1");
	return s->what != SAY_NOTHING;
}

/* servers - a resolver over s1, and s2 if it is wanted */
static void servers(int what1, int what2)
{
	struct sockaddr_storage addrs[2];

	s1.what = (unsigned)what1;
	s2.what = what2 < 0 ? SAY_NOTHING : (unsigned)what2;
	addrs[0] = s1.server.addr;
	addrs[1] = s2.server.addr;
	upstream_servers(resolver_upstream(r), addrs, what2 < 0 ? 1 : 2);
}

static int setup(void **state)
{
	(void)state;
	if (loop_base() == NULL)
		loop_init();
	memset(&s1, 0, sizeof(s1));
	memset(&s2, 0, sizeof(s2));
	dnsserver_start(&s1.server, say, &s1);
	dnsserver_start(&s2.server, say, &s2);
	s1.liar = s2.liar = socket(AF_INET, SOCK_DGRAM, 0);
	r = resolver_new(1 << 20, 1 << 18, 100);
	assert_non_null(r);
	upstream_times(resolver_upstream(r), &fast);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	resolver_free(r);
	dnsserver_stop(&s1.server);
	dnsserver_stop(&s2.server);
	close(s1.liar);
	return 0;
}

static void test_asked_once(void **state)
{
	static struct asker many[1000];
	struct asker one;

	(void)state;
	servers(SAY_ADDRESS, -1);
	for (size_t i = 0; i < 1000; i++)
		ask(&many[i], DNS_A, "host.example");
	for (size_t i = 0; i < 1000; i++) {
		await(&many[i]);
		assert_int_equal(many[i].verdict, DNS_OK);
		assert_int_equal(many[i].records, 1);
		assert_int_equal(many[i].ttl_s, 600);
	}
	ask(&one, DNS_A, "host.example");
	assert_true(one.heard && one.cached);
	assert_int_equal(s1.server.asked, 1);
}

static void test_lies(void **state)
{
	struct asker a;

	(void)state;
	servers(SAY_LIES_FIRST, -1);
	ask(&a, DNS_A, "host.example");
	await(&a);
	assert_int_equal(a.verdict, DNS_OK);
	assert_memory_equal(a.last, "\xc0\0\2\1", 4);
	assert_int_equal(s1.server.asked, 1);
}

/* Somebody guesses IDs: the socket is given up, the next one gets the answer. */
static bool flood(const struct dnsask *q, struct pkt *p, void *arg)
{
	struct script *s = arg;

	if (s->server.asked == 1) {
		for (unsigned i = 1; i <= 40; i++) {
			pkt_start(p, (uint16_t)(q->id + i), PKT_RA, q->name, q->type);
			pkt_a(p, q->name, 600, "203.0.113.66");
			send_from(s->server.udp, q, p);
		}
		return false;
	}
	pkt_start(p, q->id, PKT_RA, q->name, q->type);
	pkt_a(p, q->name, 600, "192.0.2.1");
	return true;
}

static void test_flood(void **state)
{
	struct asker a;

	(void)state;
	servers(SAY_ADDRESS, -1);
	s1.server.say = flood;
	ask(&a, DNS_A, "host.example");
	assert_true(await(&a) < 290);
	assert_memory_equal(a.last, "\xc0\0\2\1", 4);
	assert_int_equal(s1.server.asked, 2);
}

static void test_twice(void **state)
{
	struct asker a, b;

	(void)state;
	servers(SAY_TWICE, -1);
	ask(&a, DNS_A, "a.example");
	await(&a);
	ask(&b, DNS_A, "b.example");
	await(&b);
	assert_int_equal(b.verdict, DNS_OK);
	assert_int_equal(s1.server.asked, 2);
}

static void test_truncated(void **state)
{
	struct asker a;

	(void)state;
	servers(SAY_TRUNCATED, -1);
	ask(&a, DNS_A, "host.example");
	await(&a);
	assert_int_equal(a.verdict, DNS_OK);
	assert_int_equal(a.records, 100);
	assert_int_equal(s1.tcp, 1);
}

static void test_edns_unknown(void **state)
{
	struct asker a, b;

	(void)state;
	servers(SAY_EDNS_UNKNOWN, -1);
	ask(&a, DNS_A, "a.example");
	await(&a);
	assert_int_equal(a.verdict, DNS_OK);
	ask(&b, DNS_A, "b.example");
	await(&b);
	assert_int_equal(b.verdict, DNS_OK);
	assert_int_equal(s1.server.asked, 3); /* the second time it was known */
	assert_int_equal(s1.plain, 2);
}

static void test_next_server(void **state)
{
	static const int bad[] = {SAY_SERVFAIL, SAY_GARBAGE};
	struct asker a;
	char name[] = "a.example";

	(void)state;
	for (size_t i = 0; i < 2; i++) {
		name[0]++;
		servers(bad[i], SAY_ADDRESS);
		ask(&a, DNS_A, name);
		assert_true(await(&a) < 290);
		assert_int_equal(a.verdict, DNS_OK);
	}
}

static void test_all_refuse(void **state)
{
	struct asker a, b, c;

	(void)state;
	servers(SAY_SERVFAIL, SAY_SERVFAIL);
	ask(&a, DNS_MX, "a.example");
	await(&a);
	assert_int_equal(a.verdict, DNS_TEMPFAIL);
	assert_string_equal(a.why, "the resolver says SERVFAIL");
	ask(&b, DNS_MX, "a.example");
	assert_true(b.heard && b.cached);
	assert_int_equal(b.verdict, DNS_TEMPFAIL);
	assert_in_range(b.ttl_s, 1, RESOLVE_FAILED_S);
	/* the third one: would one of them say so without validation? */
	assert_int_equal(s1.server.asked + s2.server.asked, 3);
	servers(SAY_GARBAGE, -1);
	ask(&c, DNS_MX, "c.example");
	await(&c);
	assert_int_equal(c.verdict, DNS_TEMPFAIL);
}

static void test_failover(void **state)
{
	struct asker a[4];
	char name[] = "a.example";

	(void)state;
	servers(SAY_NOTHING, SAY_ADDRESS);
	for (int i = 0; i < 3; i++) {
		name[0]++;
		ask(&a[i], DNS_A, name);
	}
	for (int i = 0; i < 3; i++) {
		assert_true(await(&a[i]) < 1000);
		assert_int_equal(a[i].verdict, DNS_OK);
	}
	assert_true(upstream_server(resolver_upstream(r), 0)->down);
	ask(&a[3], DNS_A, "later.example");
	assert_true(await(&a[3]) < 290);
	/* it comes back: a question that it is tried beside shows it */
	s1.what = SAY_ADDRESS;
	turn(fast.probe_ms);
	ask(&a[3], DNS_A, "much.later.example");
	await(&a[3]);
	turn(50);
	assert_false(upstream_server(resolver_upstream(r), 0)->down);
}

/* Silence takes its time; all cases that need it run side by side. */
static void test_silence(void **state)
{
	struct asker a, stale;
	struct cache_fact fact = {
	    .verdict = DNS_OK, .ttl_s = 60, .len = 6, .records = (const uint8_t *)"\0\4\xc0\0\2\7"};
	int64_t ms;

	(void)state;
	servers(SAY_NOTHING, -1);
	assert_int_equal(cache_put(resolver_cache(r, RESOLVE_MAIL), DNS_A, "old.example", &fact,
			     clock_ms() - 100000),
	    0);
	ask(&stale, DNS_A, "old.example");
	assert_false(stale.heard);
	ask(&a, DNS_A, "new.example");
	ms = await(&a);
	assert_in_range(ms, 1000, 10000);
	assert_true(UPSTREAM_PATIENCE_MS < 1000); /* fail-over within a second */
	assert_int_equal(a.verdict, DNS_TEMPFAIL);
	assert_string_equal(a.why, "no resolver answers");
	await(&stale);
	assert_int_equal(stale.verdict, DNS_OK);
	assert_memory_equal(stale.last, "\xc0\0\2\7", 4);
	assert_in_range(stale.ttl_s, 1, CACHE_PROLONG_S);
	assert_in_range(s1.server.asked, 6, 10);
	/* and it answers again */
	s1.what = SAY_ADDRESS;
	turn(RESOLVE_SILENT_S * 1000 + 20);
	ask(&a, DNS_A, "new.example");
	assert_true(await(&a) < 500);
	assert_int_equal(a.verdict, DNS_OK);
}

/* ICMP says so at once: whoever waited for silence instead would wait beyond await()'s end. */
static void test_dead(void **state)
{
	static const struct upstream_times patient = {60000, 60000, 60000, 60000};
	struct asker a;

	(void)state;
	upstream_times(resolver_upstream(r), &patient);
	servers(SAY_ADDRESS, -1);
	dnsserver_stop(&s1.server);
	ask(&a, DNS_A, "a.example");
	await(&a);
	assert_int_equal(a.verdict, DNS_TEMPFAIL);
	upstream_servers(resolver_upstream(r), NULL, 0);
	ask(&a, DNS_A, "b.example");
	assert_false(a.heard); /* never from within */
	await(&a);
	assert_int_equal(a.verdict, DNS_TEMPFAIL);
}

static void test_alias(void **state)
{
	struct asker a, b, loop;

	(void)state;
	servers(SAY_ALIAS, -1);
	ask(&a, DNS_A, "a.example");
	await(&a);
	assert_int_equal(a.verdict, DNS_OK);
	assert_int_equal(a.records, 1);
	assert_int_equal(a.ttl_s, 50);
	ask(&b, DNS_A, "a.example");
	assert_true(b.heard);

	s1.what = SAY_ALIAS_LOOP;
	s1.server.asked = 0;
	ask(&loop, DNS_A, "a.loop");
	await(&loop);
	assert_int_equal(loop.verdict, DNS_TEMPFAIL);
	assert_in_range(s1.server.asked, 3, QUERY_CHAIN_MAX + 1);
}

static void test_negative(void **state)
{
	struct asker a, b;

	(void)state;
	servers(SAY_NO, -1);
	ask(&a, DNS_MX, "no.example");
	await(&a);
	assert_int_equal(a.verdict, DNS_NODOMAIN);
	ask(&b, DNS_MX, "no.example");
	assert_true(b.heard);
	assert_int_equal(b.verdict, DNS_NODOMAIN);
	assert_int_equal(s1.server.asked, 1);
}

static void test_ahead(void **state)
{
	struct asker a[4];
	struct cache_fact fact = {.verdict = DNS_OK,
	    .ttl_s = 600,
	    .len = 6,
	    .records = (const uint8_t *)"\0\4\xc0\0\2\7"};

	(void)state;
	servers(SAY_ADDRESS, -1);
	cache_put(
	    resolver_cache(r, RESOLVE_MAIL), DNS_A, "hot.example", &fact, clock_ms() - 590000);
	cache_put(
	    resolver_cache(r, RESOLVE_MAIL), DNS_A, "cold.example", &fact, clock_ms() - 590000);
	ask(&a[0], DNS_A, "cold.example");
	for (int i = 0; i < 4; i++) {
		ask(&a[i], DNS_A, "hot.example");
		assert_true(a[i].heard);
		assert_memory_equal(a[i].last, "\xc0\0\2\7", 4);
	}
	turn(100);
	assert_int_equal(s1.server.asked, 1);
	ask(&a[0], DNS_A, "hot.example");
	assert_true(a[0].heard);
	assert_memory_equal(a[0].last, "\xc0\0\2\1", 4);
	assert_in_range(a[0].ttl_s, 599, 600);
}

static void test_too_many(void **state)
{
	static struct asker many[RESOLVE_QUESTIONS_MAX];
	struct asker more, join;
	struct resolver_stats stats;
	char name[32];

	(void)state;
	servers(SAY_NOTHING, -1);
	for (unsigned i = 0; i < RESOLVE_QUESTIONS_MAX; i++) {
		snprintf(name, sizeof(name), "n%u.example", i);
		ask(&many[i], DNS_A, name);
		assert_false(many[i].heard);
	}
	ask(&more, DNS_A, "more.example");
	assert_true(more.heard);
	assert_int_equal(more.verdict, DNS_TEMPFAIL);
	ask(&join, DNS_A, "n7.example"); /* in flight already: no more work */
	assert_false(join.heard);
	resolver_stats(r, &stats);
	assert_int_equal(stats.inflight, RESOLVE_QUESTIONS_MAX);
	assert_int_equal(stats.refused, 1);
	/* those that wait for a socket get theirs as others end */
	s1.what = SAY_ADDRESS;
	for (unsigned i = 0; i < RESOLVE_QUESTIONS_MAX; i++) {
		await(&many[i]);
		assert_int_equal(many[i].verdict, DNS_OK);
	}
	assert_true(join.heard);
}

static void test_builtin(void **state)
{
	static const struct {
		uint16_t type;
		const char *name;
		enum dns_verdict verdict;
		unsigned records;
	} rows[] = {
	    {DNS_A, "localhost", DNS_OK, 1},
	    {DNS_AAAA, "x.localhost", DNS_OK, 1},
	    {DNS_MX, "localhost", DNS_NODATA, 0},
	    {DNS_A, "some.invalid", DNS_NODOMAIN, 0},
	    {DNS_MX, "onion", DNS_NODOMAIN, 0},
	};
	struct asker a;

	(void)state;
	servers(SAY_ADDRESS, -1);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		ask(&a, rows[i].type, rows[i].name);
		assert_true(a.heard);
		assert_int_equal(a.verdict, rows[i].verdict);
		assert_int_equal(a.records, rows[i].records);
	}
	assert_int_equal(s1.server.asked, 0);
	ask(&a, DNS_A, "notlocalhost");
	assert_false(a.heard);
	await(&a);
	assert_int_equal(s1.server.asked, 1);
}

static void test_cancel(void **state)
{
	struct asker a, b;

	(void)state;
	servers(SAY_ADDRESS, -1);
	ask(&a, DNS_A, "a.example");
	ask(&b, DNS_A, "a.example");
	resolver_cancel(&a.wait);
	await(&b);
	assert_false(a.heard);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(test_asked_once),
	    TEST(test_lies),
	    TEST(test_flood),
	    TEST(test_twice),
	    TEST(test_truncated),
	    TEST(test_edns_unknown),
	    TEST(test_next_server),
	    TEST(test_all_refuse),
	    TEST(test_failover),
	    TEST(test_silence),
	    TEST(test_dead),
	    TEST(test_alias),
	    TEST(test_negative),
	    TEST(test_ahead),
	    TEST(test_too_many),
	    TEST(test_builtin),
	    TEST(test_cancel),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
