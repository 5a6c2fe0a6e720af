/* SPDX-License-Identifier: ISC */
/* dnscache/site: from a domain to hosts and the site's name, over a small zone of this process. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "dnscache/site.h"
#include "lib/clock.h"
#include "lib/loop.h"
#include "t/unit/dnspkt.h"

enum { SERVFAIL = 1000 }; /* as a type: every question for the name fails */

/* A zone: records by name; a name without any doesn't exist. */
static const struct {
	const char *name;
	unsigned type;
	unsigned pref;
	const char *value;
} zone[] = {
    {"two.test", 15, 20, "b.mx.test"},
    {"two.test", 15, 10, "a.mx.test"},
    {"owt.test", 15, 10, "a.mx.test"},
    {"owt.test", 15, 20, "b.mx.test"},
    {"equal.test", 15, 10, "b.mx.test"},
    {"equal.test", 15, 10, "a.mx.test"},
    {"a.mx.test", 1, 0, "192.0.2.1"},
    {"a.mx.test", 28, 0, "2001:db8::1"},
    {"b.mx.test", 1, 0, "192.0.2.2"},
    {"b.mx.test", 1, 0, "192.0.2.3"},
    {"plain.test", 1, 0, "192.0.2.4"},
    {"null.test", 15, 0, ""},
    {"empty.test", 16, 0, NULL},
    {"nobody.test", 15, 10, "gone.test"},
    {"lost.test", 15, 10, "broken.test"},
    {"half.test", 15, 10, "broken.test"},
    {"half.test", 15, 20, "a.mx.test"},
    {"decoy.test", 15, 10, "gone.test"},
    {"decoy.test", 15, 20, "a.mx.test"},
    {"number.test", 15, 10, "192.0.2.77"},
    {"broken.test", SERVFAIL, 0, NULL},
    {"alias.test", 5, 0, "two.test"},
    {"many.test", 1, 0, "192.0.2.11"},
    {"many.test", 1, 0, "192.0.2.12"},
    {"many.test", 1, 0, "192.0.2.13"},
    {"many.test", 1, 0, "192.0.2.14"},
    {"many.test", 1, 0, "192.0.2.15"},
    {"many.test", 1, 0, "192.0.2.16"},
};

#define ZONE (sizeof(zone) / sizeof(zone[0]))

static struct dnsserver server;
static struct resolver *resolver;

/* What was heard. */
static struct {
	bool heard;
	enum dns_verdict verdict;
	uint32_t ttl_s;
	char site[DNS_NAME_SIZE];
	char why[400];
	char hosts[4000]; /* "10 a.mx.test 2001:db8::1 192.0.2.1, 20 ..." */
} got;

/* say - answer from the zone */
static bool say(const struct dnsask *q, struct pkt *p, void *arg)
{
	char mx[32];
	bool exists = false, any = false;

	(void)arg;
	pkt_start(p, q->id, PKT_RA, q->name, q->type);
	if (strncmp(q->name, "big", 3) == 0 && q->type == DNS_MX) {
		for (int i = 40; i > 0; i--) {
			snprintf(mx, sizeof(mx), "m%02d.mx.test", i);
			pkt_mx(p, q->name, 300, (unsigned)i, mx);
		}
		return true;
	}
	if (q->name[0] == 'm' && strlen(q->name) == strlen("m00.mx.test")) {
		if (q->type == DNS_A)
			pkt_a(p, q->name, 300, "192.0.2.9");
		return true;
	}
	for (size_t i = 0; i < ZONE; i++) {
		if (strcmp(zone[i].name, q->name) != 0)
			continue;
		exists = true;
		if (zone[i].type == SERVFAIL) {
			p->data[3] |= 2;
			return true;
		}
		if (zone[i].type == 5) {
			pkt_cname(p, q->name, 300, zone[i].value);
			return true;
		}
		if (zone[i].type != q->type)
			continue;
		any = true;
		if (q->type == DNS_MX)
			pkt_mx(p, q->name, 300, zone[i].pref, zone[i].value);
		else if (zone[i].value != NULL)
			pkt_a(p, q->name, 200, zone[i].value);
	}
	if (!exists)
		p->data[3] |= 3;
	if (!any)
		pkt_soa(p, "test", 60, 60);
	return true;
}

/* heard - note the answer */
static void heard(const struct site_answer *answer, void *arg)
{
	struct wire_in w;
	struct dns_host host;
	char text[DNS_LITERAL_SIZE];
	size_t at = 0;

	(void)arg;
	assert_false(got.heard);
	got.heard = true;
	got.verdict = answer->verdict;
	got.ttl_s = answer->ttl_s;
	snprintf(got.site, sizeof(got.site), "%s", answer->site);
	snprintf(got.why, sizeof(got.why), "%s", answer->why);
	got.hosts[0] = '\0';
	wire_in_init(&w, answer->hosts, answer->len);
	while (dns_host_next(&w, &host)) {
		at += (size_t)snprintf(got.hosts + at, sizeof(got.hosts) - at, "%s%u %s",
		    at > 0 ? ", " : "", host.preference, host.name);
		for (size_t i = 0; i < host.naddrs; i++)
			at += (size_t)snprintf(got.hosts + at, sizeof(got.hosts) - at, " %s",
			    dns_addr_text(&host.addrs[i], text));
	}
	assert_int_equal(wire_in_end(&w), 0);
}

/* find - ask and wait for the answer */
static void find(enum dns_site_kind kind, const char *domain, bool ipv6)
{
	int64_t start = clock_ms();
	struct site_job *job;

	memset(&got, 0, sizeof(got));
	job = site_find(resolver, kind, domain, strlen(domain), ipv6, heard, NULL);
	assert_true(got.heard == (job == NULL));
	while (!got.heard && clock_ms() - start < 10000)
		loop_turn();
	assert_true(got.heard);
}

static int setup(void **state)
{
	(void)state;
	if (loop_base() == NULL)
		loop_init();
	dnsserver_start(&server, say, NULL);
	resolver = resolver_new(1 << 20, 1 << 18, 100);
	assert_non_null(resolver);
	upstream_servers(resolver_upstream(resolver), &server.addr, 1);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	resolver_free(resolver);
	dnsserver_stop(&server);
	return 0;
}

static void test_table(void **state)
{
	static const struct {
		const char *domain;
		enum dns_site_kind kind;
		enum dns_verdict verdict;
		const char *site, *hosts;
	} rows[] = {
	    {"two.test", DNS_SITE_MX, DNS_OK, "a.mx.test",
		"10 a.mx.test 2001:db8::1 192.0.2.1, 20 b.mx.test 192.0.2.2 192.0.2.3"},
	    {"Two.Test.", DNS_SITE_MX, DNS_OK, "a.mx.test",
		"10 a.mx.test 2001:db8::1 192.0.2.1, 20 b.mx.test 192.0.2.2 192.0.2.3"},
	    {"owt.test", DNS_SITE_MX, DNS_OK, "a.mx.test",
		"10 a.mx.test 2001:db8::1 192.0.2.1, 20 b.mx.test 192.0.2.2 192.0.2.3"},
	    {"equal.test", DNS_SITE_MX, DNS_OK, "a.mx.test",
		"10 a.mx.test 2001:db8::1 192.0.2.1, 10 b.mx.test 192.0.2.2 192.0.2.3"},
	    {"alias.test", DNS_SITE_MX, DNS_OK, "a.mx.test",
		"10 a.mx.test 2001:db8::1 192.0.2.1, 20 b.mx.test 192.0.2.2 192.0.2.3"},
	    {"plain.test", DNS_SITE_MX, DNS_OK, "plain.test", "0 plain.test 192.0.2.4"},
	    {"two.test", DNS_SITE_HOST, DNS_NODATA, "two.test", ""},
	    {"b.mx.test", DNS_SITE_HOST, DNS_OK, "b.mx.test", "0 b.mx.test 192.0.2.2 192.0.2.3"},
	    {"[plain.test]", DNS_SITE_MX, DNS_OK, "plain.test", "0 plain.test 192.0.2.4"},
	    {"none.test", DNS_SITE_HOST, DNS_NODOMAIN, "none.test", ""},
	    {"null.test", DNS_SITE_MX, DNS_NULLMX, "", ""},
	    {"none.test", DNS_SITE_MX, DNS_NODOMAIN, "", ""},
	    {"empty.test", DNS_SITE_MX, DNS_NODATA, "empty.test", ""},
	    {"nobody.test", DNS_SITE_MX, DNS_NODATA, "gone.test", ""},
	    {"number.test", DNS_SITE_MX, DNS_NODATA, "", ""},
	    {"broken.test", DNS_SITE_MX, DNS_TEMPFAIL, "", ""},
	    {"lost.test", DNS_SITE_MX, DNS_TEMPFAIL, "broken.test", ""},
	    {"half.test", DNS_SITE_MX, DNS_OK, "broken.test", "20 a.mx.test 2001:db8::1 192.0.2.1"},
	    {"decoy.test", DNS_SITE_MX, DNS_OK, "gone.test", "20 a.mx.test 2001:db8::1 192.0.2.1"},
	    {"many.test", DNS_SITE_MX, DNS_OK, "many.test",
		"0 many.test 192.0.2.11 192.0.2.12 192.0.2.13 192.0.2.14"},
	    {"a b", DNS_SITE_MX, DNS_NODOMAIN, "", ""},
	    {"", DNS_SITE_MX, DNS_NODOMAIN, "", ""},
	    {"[]", DNS_SITE_MX, DNS_NODOMAIN, "", ""},
	};

	(void)state;
	for (int round = 0; round < 2; round++) { /* the second time from the cache */
		for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
			find(rows[i].kind, rows[i].domain, true);
			if (got.verdict != rows[i].verdict || strcmp(got.site, rows[i].site) != 0 ||
			    strcmp(got.hosts, rows[i].hosts) != 0)
				fail_msg("%s: %s site=%s hosts=%s (%s)", rows[i].domain,
				    dns_verdict_name(got.verdict), got.site, got.hosts, got.why);
			assert_true((got.verdict == DNS_OK) == (got.why[0] == '\0'));
			assert_in_range(got.ttl_s, 1, CACHE_TTL_MAX_S);
		}
	}
}

static void test_ttl(void **state)
{
	(void)state;
	find(DNS_SITE_MX, "two.test", true);
	assert_in_range(got.ttl_s, 59, 60); /* b.mx.test has no AAAA: asked again with that "no" */
	find(DNS_SITE_MX, "half.test", true);
	assert_in_range(got.ttl_s, 1, SITE_TTL_SOME);
	find(DNS_SITE_MX, "null.test", true);
	assert_in_range(got.ttl_s, 299, 300);
}

static void test_literals(void **state)
{
	(void)state;
	find(DNS_SITE_MX, "[192.0.2.1]", true);
	assert_string_equal(got.hosts, "0 192.0.2.1 192.0.2.1");
	assert_string_equal(got.site, "192.0.2.1");
	find(DNS_SITE_HOST, "127.0.0.1", false);
	assert_string_equal(got.hosts, "0 127.0.0.1 127.0.0.1");
	find(DNS_SITE_MX, "[IPv6:2001:DB8::25]", true);
	assert_string_equal(got.hosts, "0 2001:db8::25 2001:db8::25");
	assert_int_equal(server.asked, 0);
}

static void test_no_ipv6(void **state)
{
	(void)state;
	find(DNS_SITE_MX, "two.test", false);
	assert_string_equal(got.hosts, "10 a.mx.test 192.0.2.1, 20 b.mx.test 192.0.2.2 192.0.2.3");
	assert_int_equal(server.asked, 3);
}

static void test_big(void **state)
{
	(void)state;
	find(DNS_SITE_MX, "big.test", true);
	assert_int_equal(got.verdict, DNS_OK);
	assert_string_equal(got.site, "m01.mx.test");
	assert_non_null(strstr(got.hosts, "20 m20.mx.test"));
	assert_null(strstr(got.hosts, "m21.mx.test"));
}

static void test_asked_once(void **state)
{
	unsigned before;

	(void)state;
	find(DNS_SITE_MX, "two.test", true);
	before = server.asked;
	assert_int_equal(before, 5); /* MX, and two of each host */
	find(DNS_SITE_MX, "owt.test", true);
	assert_int_equal(server.asked, before + 1); /* the hosts are known */
	find(DNS_SITE_MX, "two.test", true);
	assert_int_equal(server.asked, before + 1);
}

static void test_cancel(void **state)
{
	struct site_job *job;
	int64_t end = clock_ms() + 200;

	(void)state;
	memset(&got, 0, sizeof(got));
	job = site_find(resolver, DNS_SITE_MX, "two.test", 8, true, heard, NULL);
	assert_non_null(job);
	site_cancel(job);
	job = site_find(resolver, DNS_SITE_HOST, "a.mx.test", 9, true, heard, NULL);
	assert_non_null(job);
	site_cancel(job);
	while (clock_ms() < end)
		event_base_loop(loop_base(), EVLOOP_ONCE | EVLOOP_NONBLOCK);
	assert_false(got.heard);
	site_cancel(NULL);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(test_table),
	    TEST(test_ttl),
	    TEST(test_literals),
	    TEST(test_no_ipv6),
	    TEST(test_big),
	    TEST(test_asked_once),
	    TEST(test_cancel),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
