/* SPDX-License-Identifier: ISC */
/*
 * dnscache/resolve, upstream, server, stream: signatures, old answers in time, servers that drop
 * EDNS or close connections, two caches, the host's own names.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "dnscache/hosts.h"
#include "dnscache/resolve.h"
#include "dnscache/stream.h"
#include "lib/clock.h"
#include "lib/loop.h"
#include "t/unit/dnspkt.h"

/* What the server does, and what it was asked. */
static struct {
	bool silent, drops_edns, badvers, truncates, hangs_up;
	bool ad, servfail, ede, validates; /* validates: SERVFAIL, unless CD is set */
	unsigned edns, plain, tcp, cd;
} script;

/* One who asks and what he heard. */
struct asker {
	struct resolver_wait wait;
	bool heard;
	struct resolver_answer answer;
	char why[80], server[DNS_SERVER_SIZE];
};

static struct dnsserver server;
static struct resolver *r;
static unsigned backs;
static const struct upstream_times fast = {200, 400, 200, 100};

static void heard(struct resolver_wait *wait, const struct resolver_answer *answer)
{
	struct asker *a = (struct asker *)wait;

	assert_false(a->heard);
	a->heard = true;
	a->answer = *answer;
	snprintf(a->why, sizeof(a->why), "%s", answer->why);
	snprintf(a->server, sizeof(a->server), "%s", answer->server);
}

static void ask_for(struct asker *a, uint16_t type, const char *name, enum resolver_use use)
{
	memset(a, 0, sizeof(*a));
	a->wait.done = heard;
	a->wait.use = use;
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

static int64_t ask(struct asker *a, const char *name)
{
	ask_for(a, DNS_A, name, RESOLVE_MAIL);
	return await(a);
}

/* tick - wakes the loop */
static void tick(evutil_socket_t fd, short what, void *arg)
{
	(void)fd, (void)what, (void)arg;
}

/* turn - run the loop until *what is so many, or for that long */
static void turn(const unsigned *what, unsigned many, int64_t ms)
{
	int64_t end = clock_ms() + ms;
	struct event *timer = event_new(loop_base(), -1, EV_PERSIST, tick, NULL);

	event_add(timer, &(struct timeval){.tv_usec = 2000});
	while (*what < many && clock_ms() < end)
		loop_turn();
	event_free(timer);
}

/* opt - an OPT record: upper bits of the response code, and options */
static void opt(struct pkt *p, unsigned upper, const char *options, size_t len)
{
	const uint8_t head[] = {0, 0, 41, 4, 208, (uint8_t)upper, 0, 0, 0, 0, (uint8_t)len};

	pkt_raw(p, head, sizeof(head));
	pkt_raw(p, options, len);
	p->data[PKT_AR + 1]++;
}

/* say_sections - records, unless it is to fail */
static void say_sections(const struct dnsask *q, struct pkt *p)
{
	bool fails = script.servfail || (script.validates && !q->cd);

	pkt_start(p, q->id, PKT_RA | (script.ad ? PKT_AD : 0) | (fails ? 2 : 0), q->name, q->type);
	if (!fails && strncmp(q->name, "alias", 5) == 0)
		pkt_cname(p, q->name, 600, q->name + 6);
	else if (!fails && q->type == DNS_A)
		pkt_a(p, q->name, 600, "192.0.2.1");
	if (script.ede)
		opt(p, 0, "\0\17\0\2\0\6", 6);
}

/* say - do as the script says */
static bool say(const struct dnsask *q, struct pkt *p, void *arg)
{
	(void)arg;
	script.tcp += q->tcp;
	script.cd += q->cd;
	script.edns += q->edns;
	script.plain += !q->edns;
	if (script.silent || (script.drops_edns && q->edns))
		return false;
	if (script.badvers && q->edns) {
		pkt_start(p, q->id, PKT_RA, q->name, q->type);
		opt(p, 1, "", 0);
		return true;
	}
	if (script.hangs_up && q->tcp)
		return script.hangs_up = false;
	if (script.truncates && !q->tcp) {
		pkt_start(p, q->id, PKT_RA | PKT_TC, q->name, q->type);
		return true;
	}
	say_sections(q, p);
	return true;
}

static void on_back(void *arg)
{
	(void)arg;
	backs++;
}

static int setup(void **state)
{
	(void)state;
	if (loop_base() == NULL)
		loop_init();
	memset(&script, 0, sizeof(script));
	dnsserver_start(&server, say, NULL);
	r = resolver_new(1 << 20, 1 << 18, 100);
	assert_non_null(r);
	upstream_servers(resolver_upstream(r), &server.addr, 1);
	upstream_times(resolver_upstream(r), &fast);
	resolver_on_back(r, on_back, NULL);
	backs = 0;
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	resolver_free(r);
	stream_close_idle();
	dnsserver_stop(&server);
	return 0;
}

/* AD counts from a server that is trusted, through aliases only if all of it is signed. */
static void test_authentic(void **state)
{
	struct asker a;

	(void)state;
	script.ad = true;
	ask(&a, "untrusted.example");
	assert_int_equal(a.answer.security, DNS_INSECURE);
	upstream_trust(resolver_upstream(r), 0, true);
	ask(&a, "trusted.example");
	assert_int_equal(a.answer.verdict, DNS_OK);
	assert_int_equal(a.answer.security, DNS_SECURE);
	assert_int_equal(a.answer.source, DNS_FROM_SERVER);
	assert_int_equal(strncmp(a.server, "127.0.0.1:", 10), 0);
	ask(&a, "trusted.example");
	assert_int_equal(a.answer.security, DNS_SECURE);
	assert_int_equal(a.answer.source, DNS_FROM_CACHE);
	script.ad = false; /* the alias' own zone isn't signed, its target is known as secure */
	ask(&a, "alias.trusted.example");
	assert_int_equal(a.answer.verdict, DNS_OK);
	assert_int_equal(a.answer.security, DNS_INSECURE);
}

static void test_bogus(void **state)
{
	struct resolver_stats stats;
	struct asker a;

	(void)state;
	script.servfail = script.ede = true;
	ask(&a, "ede.example");
	assert_int_equal(a.answer.verdict, DNS_TEMPFAIL);
	assert_int_equal(a.answer.security, DNS_BOGUS);
	assert_int_equal(script.cd, 0);
	script.ede = false; /* it just fails, with CD too */
	ask(&a, "broken.example");
	assert_int_equal(a.answer.verdict, DNS_TEMPFAIL);
	assert_int_equal(a.answer.security, DNS_INSECURE);
	assert_int_equal(script.cd, 1);
	script.servfail = false;
	script.validates = true; /* without checking it would say */
	ask(&a, "forged.example");
	assert_int_equal(a.answer.verdict, DNS_TEMPFAIL);
	assert_int_equal(a.answer.security, DNS_BOGUS);
	assert_string_equal(a.why, "the answer fails DNSSEC validation");
	assert_int_equal(script.cd, 2);
	ask(&a, "forged.example"); /* remembered with its failure */
	assert_int_equal(a.answer.security, DNS_BOGUS);
	assert_int_equal(a.answer.source, DNS_FROM_CACHE);
	script.ad = true; /* it validated after all: it was a failure of the moment */
	ask(&a, "moment.example");
	assert_int_equal(a.answer.verdict, DNS_TEMPFAIL);
	assert_int_equal(a.answer.security, DNS_INSECURE);
	resolver_stats(r, &stats);
	assert_int_equal(stats.bogus, 2);
}

/* Bogus is no silence: an old answer doesn't come instead. */
static void test_bogus_is_not_stale(void **state)
{
	struct cache_fact fact = {
	    .verdict = DNS_OK, .ttl_s = 60, .len = 6, .records = (const uint8_t *)"\0\4\xc0\0\2\7"};
	struct asker a;

	(void)state;
	script.servfail = script.ede = true;
	cache_put(resolver_cache(r, RESOLVE_MAIL), DNS_A, "old.example", &fact, clock_ms() - 90000);
	ask(&a, "old.example");
	assert_int_equal(a.answer.verdict, DNS_TEMPFAIL);
	assert_int_equal(a.answer.security, DNS_BOGUS);
}

static void test_badvers(void **state)
{
	struct asker a;

	(void)state;
	script.badvers = true;
	assert_true(ask(&a, "a.example") < fast.patience_ms);
	assert_int_equal(a.answer.verdict, DNS_OK);
	assert_int_equal(script.edns, 1);
	ask(&a, "b.example");
	assert_int_equal(script.edns, 1); /* it is known */
}

/* Some drop what has EDNS: the second try is without, and that is remembered. */
static void test_drops_edns(void **state)
{
	struct asker a;

	(void)state;
	script.drops_edns = true;
	assert_in_range(ask(&a, "a.example"), fast.patience_ms / 2, 2000);
	assert_int_equal(a.answer.verdict, DNS_OK);
	assert_int_equal(script.edns, 1);
	assert_int_equal(script.plain, 1);
	assert_true(ask(&a, "b.example") < fast.patience_ms);
	assert_int_equal(script.edns, 1);
}

/* One that knows EDNS and loses a packet is asked with EDNS again. */
static void test_a_lost_packet_is_no_choking(void **state)
{
	struct asker a;

	(void)state;
	ask(&a, "a.example");
	script.silent = true;
	ask_for(&a, DNS_A, "b.example", RESOLVE_MAIL);
	turn(&server.asked, 2, 1000);
	script.silent = false;
	await(&a);
	assert_int_equal(a.answer.verdict, DNS_OK);
	assert_int_equal(script.plain, 0);
}

/* Many questions over one connection, then more over the same one. */
static void test_tcp_reuse(void **state)
{
	static struct asker many[50];
	unsigned before = stream_made();
	char name[32];

	(void)state;
	script.truncates = true;
	for (int round = 0; round < 2; round++) {
		for (unsigned i = 0; i < 50; i++) {
			snprintf(name, sizeof(name), "n%u.r%d.example", i, round);
			ask_for(&many[i], DNS_A, name, RESOLVE_MAIL);
		}
		for (unsigned i = 0; i < 50; i++) {
			await(&many[i]);
			assert_int_equal(many[i].answer.verdict, DNS_OK);
		}
	}
	assert_int_equal(script.tcp, 100);
	assert_int_equal(stream_made() - before, 1);
}

/* The server closes a connection that it holds for idle as a question is on its way there. */
static void test_tcp_closed(void **state)
{
	unsigned before = stream_made();
	struct asker a;

	(void)state;
	script.truncates = true;
	ask(&a, "a.example");
	script.hangs_up = true;
	ask(&a, "b.example");
	assert_int_equal(a.answer.verdict, DNS_OK);
	assert_int_equal(stream_made() - before, 2);
	assert_int_equal(server.asked, 5); /* it moved: it wasn't asked over UDP once more */
}

/* put_old - what was known 100 s ago, for 60 s */
static void put_old(const char *name)
{
	struct cache_fact fact = {
	    .verdict = DNS_OK, .ttl_s = 60, .len = 6, .records = (const uint8_t *)"\0\4\xc0\0\2\7"};

	assert_int_equal(
	    cache_put(resolver_cache(r, RESOLVE_MAIL), DNS_A, name, &fact, clock_ms() - 100000), 0);
}

/* RFC 8767: after 1.8 s of silence, at once when the silence is known, and back within a second. */
static void test_stale_in_time(void **state)
{
	const struct upstream_times slow = {800, 3000, 2000, 100};
	struct asker old, other, fresh;
	int64_t ms;

	(void)state;
	upstream_times(resolver_upstream(r), &slow);
	script.silent = true;
	put_old("old.example");
	put_old("other.example");
	ask_for(&fresh, DNS_A, "new.example", RESOLVE_MAIL);
	ms = ask(&old, "old.example");
	assert_in_range(ms, RESOLVE_STALE_MS - 50, RESOLVE_STALE_MS + 600);
	assert_int_equal(old.answer.verdict, DNS_OK);
	assert_int_equal(old.answer.source, DNS_FROM_STALE);
	assert_in_range(old.answer.ttl_s, 1, CACHE_PROLONG_S);
	ms = ask(&old, "old.example"); /* while its question goes on */
	assert_true(ms < 100);
	assert_int_equal(old.answer.source, DNS_FROM_STALE);
	await(&fresh); /* fails: now it is known that nobody answers */
	assert_int_equal(fresh.answer.verdict, DNS_TEMPFAIL);
	assert_true(upstream_lost(resolver_upstream(r)));
	ms = ask(&other, "other.example");
	assert_true(ms < 100);
	assert_int_equal(other.answer.source, DNS_FROM_STALE);
	/* nobody asks, and the return is noticed all the same */
	assert_int_equal(backs, 0);
	script.silent = false;
	ms = clock_ms();
	turn(&backs, 1, 5000);
	assert_int_equal(backs, 1);
	assert_true(clock_ms() - ms < 1000);
	assert_false(upstream_lost(resolver_upstream(r)));
	/* a failure of the silence isn't remembered beyond it */
	ask(&fresh, "new.example");
	assert_int_equal(fresh.answer.verdict, DNS_OK);
}

/* What is asked while nobody answers doesn't wait for the end of its patience. */
static void test_back_in_flight(void **state)
{
	const struct upstream_times slow = {2000, 3000, 2000, 100};
	struct asker a, b;
	int64_t ms;

	(void)state;
	script.silent = true;
	ask(&a, "a.example");
	assert_true(upstream_lost(resolver_upstream(r)));
	upstream_times(resolver_upstream(r), &slow);
	ask_for(&b, DNS_A, "b.example", RESOLVE_MAIL);
	turn(&backs, 1, 300);
	script.silent = false;
	ms = await(&b);
	assert_int_equal(b.answer.verdict, DNS_OK);
	assert_true(ms < 1000);
}

/* What clients make us ask has memory of its own, and its own share of questions. */
static void test_side(void **state)
{
	static struct asker many[RESOLVE_SIDE_MAX + 1];
	struct cache_stats mail, side;
	struct asker a;
	char name[40];

	(void)state;
	ask(&a, "mx.example");
	cache_stats(resolver_cache(r, RESOLVE_MAIL), &mail);
	for (unsigned i = 0; i < 5000; i++) {
		snprintf(name, sizeof(name), "%u.list.example", i);
		ask_for(&many[0], DNS_A, name, RESOLVE_SIDE);
		await(&many[0]);
	}
	cache_stats(resolver_cache(r, RESOLVE_SIDE), &side);
	assert_true(side.bytes <= 1 << 18 && side.evicted > 1000);
	cache_stats(resolver_cache(r, RESOLVE_MAIL), &side);
	assert_int_equal(mail.entries, side.entries);
	ask(&a, "mx.example");
	assert_int_equal(a.answer.source, DNS_FROM_CACHE);
	ask_for(&a, DNS_A, "mx.example", RESOLVE_SIDE); /* looks into mail's too */
	assert_int_equal(a.answer.source, DNS_FROM_CACHE);

	script.silent = true;
	for (unsigned i = 0; i <= RESOLVE_SIDE_MAX; i++) {
		snprintf(name, sizeof(name), "%u.slow.example", i);
		ask_for(&many[i], DNS_A, name, RESOLVE_SIDE);
	}
	assert_true(many[RESOLVE_SIDE_MAX].heard);
	assert_string_equal(many[RESOLVE_SIDE_MAX].why, "too many questions at once");
	ask_for(&a, DNS_A, "mail.example", RESOLVE_MAIL);
	assert_false(a.heard);
	ask_for(&many[RESOLVE_SIDE_MAX], DNS_A, "0.slow.example", RESOLVE_MAIL); /* joins */
	assert_false(many[RESOLVE_SIDE_MAX].heard);
	script.silent = false;
	await(&a);
	await(&many[RESOLVE_SIDE_MAX]);
	ask_for(&a, DNS_A, "0.slow.example", RESOLVE_MAIL); /* what mail joined is mail's */
	assert_true(a.heard);
}

static void test_hosts(void **state)
{
	static const char text[] =
	    "# ours\n127.0.0.1 localhost\n192.0.2.7\tprinter.lan printer # inkjet\r\n"
	    "2001:db8::7 six.lan\n192.0.2.8 printer.lan\n0.0.0.0 ads.example\n::  ads.example\n"
	    "not-an-address x.lan\n192.0.2.9\n192.0.2.10 b\xc3\xa4r.lan ..\n192.0.2.7 printer.lan\n"
	    "192.0.2.11 last.lan";
	static const struct {
		uint16_t type;
		const char *name;
		enum dns_verdict verdict;
		size_t len;
	} rows[] = {
	    {DNS_A, "printer.lan", DNS_OK, 12},
	    {DNS_A, "printer", DNS_OK, 6},
	    {DNS_AAAA, "printer", DNS_NODATA, 0},
	    {DNS_AAAA, "six.lan", DNS_OK, 18},
	    {DNS_A, "six.lan", DNS_NODATA, 0},
	    {DNS_A, "last.lan", DNS_OK, 6},
	    {DNS_PTR, "7.2.0.192.in-addr.arpa", DNS_OK, 13},
	};
	static const char *const unknown[] = {"ads.example", "x.lan", "bar.lan"};
	struct asker a;

	(void)state;
	script.servfail = true;
	resolver_hosts(r, hosts_parse(text, sizeof(text) - 1));
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		ask_for(&a, rows[i].type, rows[i].name, RESOLVE_MAIL);
		assert_true(a.heard);
		assert_int_equal(a.answer.verdict, rows[i].verdict);
		assert_int_equal(a.answer.source, DNS_FROM_HOSTS);
		assert_int_equal(a.answer.len, rows[i].len);
	}
	assert_true(resolver_in_hosts(r, "printer") && !resolver_in_hosts(r, "ads.example"));
	for (size_t i = 0; i < sizeof(unknown) / sizeof(unknown[0]); i++) {
		ask(&a, unknown[i]);
		assert_int_equal(a.answer.source, DNS_FROM_SERVER);
	}
	resolver_hosts(r, NULL);
	ask(&a, "printer");
	assert_int_equal(a.answer.verdict, DNS_TEMPFAIL);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(test_authentic),
	    TEST(test_bogus),
	    TEST(test_bogus_is_not_stale),
	    TEST(test_badvers),
	    TEST(test_drops_edns),
	    TEST(test_a_lost_packet_is_no_choking),
	    TEST(test_tcp_reuse),
	    TEST(test_tcp_closed),
	    TEST(test_stale_in_time),
	    TEST(test_back_in_flight),
	    TEST(test_side),
	    TEST(test_hosts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
