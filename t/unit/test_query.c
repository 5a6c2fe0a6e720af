/* SPDX-License-Identifier: ISC */
/* dnscache/query: what packets mean, and that no packet can mean what it mustn't. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "dnscache/packet.h"
#include "dnscache/query.h"
#include "t/unit/dnspkt.h"

static struct pkt p;
static struct query_answer a;
static struct query_question q;

/* ask - the question that the packet answers */
static void ask(const char *name, uint16_t type)
{
	memset(&q, 0, sizeof(q));
	q.type = type;
	memcpy(q.name, name, strlen(name));
	pkt_start(&p, 7, PKT_RA, name, type);
}

/* parse - the packet as it stands, over UDP with EDNS */
static void parse(void)
{
	query_parse(&q, 7, true, false, p.data, p.len, &a);
}

/* record - the i-th record of the answer */
static struct dns_record record(unsigned i)
{
	struct wire_in w;
	struct dns_record rec = {0};

	wire_in_init(&w, a.records, a.len);
	for (unsigned k = 0; k <= i; k++)
		assert_true(dns_record_next(&w, q.type, &rec));
	return rec;
}

/* records - how many records the answer has */
static unsigned records(void)
{
	struct wire_in w;
	struct dns_record rec;
	unsigned n = 0;

	wire_in_init(&w, a.records, a.len);
	while (dns_record_next(&w, q.type, &rec))
		n++;
	assert_int_equal(wire_in_end(&w), 0);
	return n;
}

/* assert_name - a record's name */
static void assert_name(unsigned i, const char *name)
{
	struct dns_record rec = record(i);

	assert_int_equal(rec.len, strlen(name));
	assert_memory_equal(rec.data, name, rec.len);
}

static void test_build(void **state)
{
	static const uint8_t want[] = {0x12, 0x34, 1, 0x20, 0, 1, 0, 0, 0, 0, 0, 1, 2, 'm', 'x', 7,
	    'e', 'x', 'a', 'm', 'p', 'l', 'e', 0, 0, 15, 0, 1, 0, 0, 41, 1232 >> 8, 1232 & 255, 0,
	    0, 0, 0, 0, 0};
	uint8_t out[QUERY_PACKET_MAX];
	struct query_question ask_mx = {.type = DNS_MX, .name = "mx.example"};

	(void)state;
	assert_int_equal(query_build(&ask_mx, 0x1234, true, out), (int)sizeof(want));
	assert_memory_equal(out, want, sizeof(want));
	assert_int_equal(query_build(&ask_mx, 0x1234, false, out), (int)sizeof(want) - 11);
	assert_int_equal(query_build(&ask_mx, 1, QUERY_CD, out), (int)sizeof(want) - 11);
	assert_int_equal(out[3], 0x30);
	ask_mx.name[0] = '\0';
	assert_int_equal(query_build(&ask_mx, 1, true, out), -22);
}

static void test_longest_name(void **state)
{
	uint8_t out[QUERY_PACKET_MAX];
	char name[DNS_NAME_SIZE];

	(void)state;
	memset(name, 'a', DNS_NAME_MAX);
	name[DNS_NAME_MAX] = '\0';
	name[63] = name[127] = name[191] = '.';
	ask(name, DNS_A);
	assert_true(query_build(&q, 1, true, out) > 0);
	pkt_a(&p, name, 60, "192.0.2.1");
	parse();
	assert_int_equal(a.status, QUERY_ANSWER);
	assert_int_equal(records(), 1);
}

static void test_addresses(void **state)
{
	(void)state;
	ask("host.example", DNS_A);
	pkt_a(&p, "HOST.example", 300, "192.0.2.1");
	pkt_a(&p, "host.example", 200, "192.0.2.2");
	pkt_a(&p, "other.example", 100, "192.0.2.3");
	parse();
	assert_int_equal(a.status, QUERY_ANSWER);
	assert_int_equal(a.verdict, DNS_OK);
	assert_int_equal(a.ttl_s, 200);
	assert_int_equal(records(), 2);
	assert_memory_equal(record(1).addr.bytes, "\xc0\x00\x02\x02", 4);

	ask("host.example", DNS_AAAA);
	pkt_a(&p, "host.example", 1, "2001:db8::1");
	parse();
	assert_int_equal(records(), 1);
	assert_int_equal(record(0).addr.family, 6);
}

static void test_mx_sorted(void **state)
{
	(void)state;
	ask("example", DNS_MX);
	pkt_mx(&p, "example", 60, 20, "c.example");
	pkt_mx(&p, "example", 60, 10, "B.example");
	pkt_mx(&p, "example", 60, 10, "a.example");
	pkt_mx(&p, "example", 60, 10, "b.EXAMPLE");
	parse();
	assert_int_equal(records(), 3);
	assert_name(0, "a.example");
	assert_name(1, "b.example");
	assert_name(2, "c.example");
	assert_int_equal(record(2).preference, 20);
}

static void test_mx_odd_hosts(void **state)
{
	(void)state;
	ask("example", DNS_MX);
	pkt_mx(&p, "example", 60, 0, "");
	pkt_mx(&p, "example", 60, 5, "a b.example");
	pkt_mx(&p, "example", 60, 5, "a/b.example");
	pkt_mx(&p, "example", 60, 5, "\x1b[31m.example");
	parse();
	assert_int_equal(a.status, QUERY_ANSWER);
	assert_int_equal(a.verdict, DNS_OK);
	assert_int_equal(a.len, 0);
	pkt_mx(&p, "example", 60, 9, "good.example");
	parse();
	assert_int_equal(records(), 1);
	assert_name(0, "good.example");
}

/* A label that holds a dot must not become two labels: "a.b" "example" is not a.b.example. */
static void test_mx_dot_in_label(void **state)
{
	(void)state;
	ask("example", DNS_MX);
	pkt_rr(&p, PKT_AN, "example", 15, 60, "\0\5\3a.b\7example", 15);
	parse();
	assert_int_equal(a.status, QUERY_ANSWER);
	assert_int_equal(a.len, 0);
}

static void test_null_mx(void **state)
{
	(void)state;
	ask("example", DNS_MX);
	pkt_mx(&p, "example", 60, 0, "");
	parse();
	assert_int_equal(a.status, QUERY_ANSWER);
	assert_int_equal(a.verdict, DNS_NULLMX);
	assert_int_equal(a.ttl_s, 60);
}

static void test_negative(void **state)
{
	(void)state;
	ask("no.example", DNS_MX);
	p.data[3] |= 3;
	pkt_soa(&p, "example", 900, 300);
	parse();
	assert_int_equal(a.status, QUERY_ANSWER);
	assert_int_equal(a.verdict, DNS_NODOMAIN);
	assert_int_equal(a.ttl_s, 300);

	ask("no.example", DNS_MX);
	pkt_soa(&p, "example", 100, 300);
	parse();
	assert_int_equal(a.verdict, DNS_NODATA);
	assert_int_equal(a.ttl_s, 100);

	ask("no.example", DNS_MX);
	parse();
	assert_int_equal(a.status, QUERY_ANSWER);
	assert_int_equal(a.verdict, DNS_NODATA);
	assert_int_equal(a.ttl_s, 0);
}

static void test_aliases(void **state)
{
	(void)state;
	ask("www.example", DNS_A);
	pkt_a(&p, "c.example", 300, "192.0.2.9");
	pkt_cname(&p, "b.example", 50, "c.example");
	pkt_cname(&p, "www.example", 100, "b.example");
	parse();
	assert_int_equal(a.status, QUERY_ANSWER);
	assert_int_equal(a.ttl_s, 50);
	assert_int_equal(a.chain, 2);
	assert_int_equal(records(), 1);

	ask("www.example", DNS_A);
	pkt_cname(&p, "www.example", 100, "Elsewhere.Test");
	parse();
	assert_int_equal(a.status, QUERY_ALIAS);
	assert_string_equal(a.alias, "elsewhere.test");
	assert_int_equal(a.ttl_s, 100);

	/* with an SOA the end of the chain is known: no such records there */
	pkt_soa(&p, "test", 60, 60);
	parse();
	assert_int_equal(a.status, QUERY_ANSWER);
	assert_int_equal(a.verdict, DNS_NODATA);

	/* RFC 2317 */
	ask("1.2.0.192.in-addr.arpa", DNS_PTR);
	pkt_cname(&p, "1.2.0.192.in-addr.arpa", 100, "1.0/25.2.0.192.in-addr.arpa");
	parse();
	assert_int_equal(a.status, QUERY_ALIAS);
	assert_string_equal(a.alias, "1.0/25.2.0.192.in-addr.arpa");
}

static void test_alias_loop(void **state)
{
	(void)state;
	ask("a.example", DNS_A);
	pkt_cname(&p, "a.example", 100, "b.example");
	pkt_cname(&p, "b.example", 100, "a.example");
	parse();
	assert_int_equal(a.status, QUERY_BROKEN);

	ask("a.example", DNS_A);
	pkt_cname(&p, "a.example", 100, "a b.example");
	parse();
	assert_int_equal(a.status, QUERY_BROKEN);
}

static void test_txt_ptr(void **state)
{
	(void)state;
	ask("example", DNS_TXT);
	pkt_rr(&p, PKT_AN, "example", 16, 60, "\2ab\0\3cde", 8);
	parse();
	assert_int_equal(records(), 1);
	assert_name(0, "abcde");

	ask("1.2.0.192.in-addr.arpa", DNS_PTR);
	pkt_rr(&p, PKT_AN, "1.2.0.192.in-addr.arpa", 12, 60, "\4Host\7example", 14);
	parse();
	assert_name(0, "host.example");

	ask("_25._tcp.mx.example", DNS_TLSA);
	pkt_rr(&p, PKT_AN, "_25._tcp.mx.example", 52, 60, "\3\1\1\xaa\xbb", 5);
	parse();
	assert_int_equal(records(), 1);
	assert_int_equal(record(0).len, 5);
	assert_memory_equal(record(0).data, "\3\1\1\xaa\xbb", 5);
}

/* Packets that are no answer to the question. */
static void test_not_mine(void **state)
{
	(void)state;
	ask("example", DNS_A);
	pkt_a(&p, "example", 60, "192.0.2.1");
	query_parse(&q, 8, true, false, p.data, p.len, &a);
	assert_int_equal(a.status, QUERY_NOT_MINE);
	p.data[2] &= 0x7f; /* a question */
	parse();
	assert_int_equal(a.status, QUERY_NOT_MINE);

	ask("example", DNS_A);
	pkt_start(&p, 7, PKT_RA, "example.org", DNS_A);
	parse();
	assert_int_equal(a.status, QUERY_NOT_MINE);
	pkt_start(&p, 7, PKT_RA, "example", DNS_AAAA);
	parse();
	assert_int_equal(a.status, QUERY_NOT_MINE);
	pkt_start(&p, 7, PKT_RA, NULL, 0);
	parse();
	assert_int_equal(a.status, QUERY_NOT_MINE);
	for (size_t len = 0; len < 12; len++) {
		query_parse(&q, 7, true, false, p.data, len, &a);
		assert_int_equal(a.status, QUERY_NOT_MINE);
	}
}

/* A server that couldn't say is never a "no". */
static void test_failures(void **state)
{
	(void)state;
	for (unsigned rcode = 1; rcode < 16; rcode++) {
		if (rcode == 3)
			continue;
		ask("example", DNS_MX);
		p.data[3] |= (uint8_t)rcode;
		parse();
		assert_int_equal(a.status, rcode == 1 || rcode == 4 ? QUERY_NO_EDNS : QUERY_FAILED);
		query_parse(&q, 7, false, false, p.data, p.len, &a);
		assert_int_equal(a.status, QUERY_FAILED);
	}
	/* FORMERR without the question: a server from before EDNS */
	ask("example", DNS_MX);
	pkt_start(&p, 7, 1, NULL, 0);
	parse();
	assert_int_equal(a.status, QUERY_NO_EDNS);

	/* an extended code (BADVERS): its lower bits say NOERROR */
	ask("example", DNS_MX);
	pkt_raw(&p, "\0\0\x29\x04\xd0\1\0\0\0\0\0", 11);
	p.data[11] = 1;
	parse();
	assert_int_equal(a.status, QUERY_NO_EDNS);
	query_parse(&q, 7, false, false, p.data, p.len, &a);
	assert_int_equal(a.status, QUERY_FAILED);

	/* a referral, and an empty answer from one who doesn't resolve */
	ask("example", DNS_MX);
	pkt_rr(&p, PKT_NS, "example", 2, 60, "\2ns\7example", 12);
	parse();
	assert_int_equal(a.status, QUERY_FAILED);
	ask("example", DNS_MX);
	p.data[3] &= 0x7f;
	pkt_soa(&p, "example", 60, 60);
	parse();
	assert_int_equal(a.status, QUERY_FAILED);
	p.data[3] |= 3;
	parse();
	assert_int_equal(a.status, QUERY_FAILED);

	/* "no such name, and here is its address" */
	ask("example", DNS_A);
	pkt_a(&p, "example", 60, "192.0.2.1");
	p.data[3] |= 3;
	parse();
	assert_int_equal(a.status, QUERY_BROKEN);
}

/* RFC 8914: SERVFAIL because validation failed, and for other reasons. */
static void test_bogus(void **state)
{
	static const struct {
		const char *options;
		size_t len;
		bool bogus;
	} rows[] = {
	    {"\0\17\0\2\0\6", 6, true},                    /* DNSSEC bogus */
	    {"\0\12\0\1x\0\17\0\5\0\7old", 14, true}, /* a cookie, then: signature expired */
	    {"\0\17\0\2\0\26", 6, false},                  /* no reachable authority */
	    {"\0\17\0\2\0\15", 6, false},                  /* cached error */
	    {"\0\17\0\3\0\6", 6, false},                   /* longer than there is */
	    {"\0\17\0\1\6", 5, false},                      /* too short */
	    {"\0\17\0", 3, false},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		ask("example", DNS_MX);
		p.data[3] |= 2;
		pkt_raw(&p, "\0\0\x29\x04\xd0\0\0\0\0\0", 10);
		pkt_raw(&p, &(uint8_t){(uint8_t)rows[i].len}, 1);
		pkt_raw(&p, rows[i].options, rows[i].len);
		p.data[11] = 1;
		parse();
		assert_int_equal(a.status, QUERY_FAILED);
		assert_int_equal(a.bogus, rows[i].bogus);
		assert_int_equal(a.rcode, 2);
	}
}

static void test_truncated(void **state)
{
	(void)state;
	ask("example", DNS_MX);
	p.data[2] |= 2;
	parse();
	assert_int_equal(a.status, QUERY_TRUNCATED);
	query_parse(&q, 7, true, true, p.data, p.len, &a);
	assert_int_equal(a.status, QUERY_BROKEN);
}

/* Every prefix of a good packet is broken or not ours, never a fact. */
static void test_every_prefix(void **state)
{
	size_t whole;

	(void)state;
	ask("example", DNS_MX);
	pkt_mx(&p, "example", 60, 10, "mx.example");
	pkt_cname(&p, "x.example", 60, "y.example");
	pkt_soa(&p, "example", 60, 60);
	pkt_raw(&p, "\0\0\x29\x04\xd0\0\0\0\0\0\0", 11);
	p.data[11] = 1;
	whole = p.len;
	parse();
	assert_int_equal(a.status, QUERY_ANSWER);
	for (size_t len = 0; len < whole; len++) {
		uint8_t *exact = malloc(len + 1); /* the sanitizer watches its end */

		memcpy(exact, p.data, len);
		query_parse(&q, 7, true, false, exact, len, &a);
		assert_true(a.status == QUERY_NOT_MINE || a.status == QUERY_BROKEN);
		free(exact);
	}
}

/* raw_mx - an MX record whose RDATA is given */
static void raw_mx(const void *rdata, size_t len)
{
	ask("example", DNS_MX);
	pkt_rr(&p, PKT_AN, "example", 15, 60, rdata, len);
}

static void test_pointers(void **state)
{
	uint8_t self[4] = {0, 5, 0xc0, 0};
	size_t at;

	(void)state;
	/* a good one: to the question's name */
	raw_mx("\0\5\2mx\xc0\x0c", 7);
	parse();
	assert_int_equal(a.status, QUERY_ANSWER);
	assert_name(0, "mx.example");

	/* to itself */
	raw_mx(self, 4);
	p.data[p.len - 1] = (uint8_t)(p.len - 2);
	parse();
	assert_int_equal(a.status, QUERY_BROKEN);

	/* to a label before it that leads into it again */
	raw_mx("\0\5\1a\xc0\x0c", 6);
	p.data[p.len - 1] = (uint8_t)(p.len - 4);
	parse();
	assert_int_equal(a.status, QUERY_BROKEN);

	/* forwards, into the header, past the end, half a pointer */
	raw_mx("\0\5\xc0\xff", 4);
	parse();
	assert_int_equal(a.status, QUERY_BROKEN);
	raw_mx("\0\5\xc0\x02", 4);
	parse();
	assert_int_equal(a.status, QUERY_BROKEN);
	raw_mx("\0\5\xff\xff", 4);
	parse();
	assert_int_equal(a.status, QUERY_BROKEN);
	raw_mx("\0\5\xc0", 3);
	parse();
	assert_int_equal(a.status, QUERY_BROKEN);
	raw_mx("\0\5\x40", 3);
	parse();
	assert_int_equal(a.status, QUERY_BROKEN);

	/* a ladder of pointers, each to the one before: longer than a name can have labels */
	for (int rungs = 0; rungs < 2; rungs++) {
		struct pkt ladder = {0};
		unsigned n = rungs == 0 ? 100 : 200;

		ask("example", DNS_MX);
		at = p.len + 9 + 10; /* where the RDATA of the first record will lie */
		pkt_u16(&ladder, 0xc00c);
		for (unsigned i = 1; i < n; i++)
			pkt_u16(&ladder, (unsigned)(0xc000 | (at + 2 * (i - 1))));
		pkt_rr(&p, PKT_AN, "example", 99, 60, ladder.data, ladder.len);
		ladder.len = 0;
		pkt_u16(&ladder, 10);
		pkt_u16(&ladder, (unsigned)(0xc000 | (at + 2 * (n - 1))));
		pkt_rr(&p, PKT_AN, "example", 15, 60, ladder.data, ladder.len);
		parse();
		assert_int_equal(a.status, rungs == 0 ? QUERY_ANSWER : QUERY_BROKEN);
	}
}

static void test_malformed(void **state)
{
	static const struct {
		uint16_t type;
		const char *rdata;
		size_t len;
	} bad[] = {
	    {DNS_A, "\1\2\3", 3},
	    {DNS_A, "\1\2\3\4\5", 5},
	    {DNS_AAAA, "\1\2\3\4", 4},
	    {DNS_MX, "\0", 1},
	    {DNS_MX, "\0\1", 2},
	    {DNS_MX, "\0\1\2mx\0x", 7},
	    {DNS_TXT, "\5ab", 3},
	    {DNS_CNAME, "\3abc", 4},
	    {DNS_PTR, "", 0},
	    {DNS_A, "", 0},
	    {DNS_AAAA, "", 0},
	    {DNS_MX, "", 0},
	    {DNS_TXT, "", 0},
	    {DNS_TLSA, "", 0},
	    {DNS_TLSA, "\3\1", 2},
	    {DNS_CNAME, "", 0},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		ask("example", bad[i].type);
		pkt_rr(&p, PKT_AN, "example", bad[i].type, 60, bad[i].rdata, bad[i].len);
		parse();
		assert_int_equal(a.status, QUERY_BROKEN);
	}
	/* more records promised than there are */
	ask("example", DNS_A);
	pkt_a(&p, "example", 60, "192.0.2.1");
	p.data[PKT_AN + 1] = 2;
	parse();
	assert_int_equal(a.status, QUERY_BROKEN);
	/* an SOA without its numbers */
	ask("example", DNS_A);
	pkt_rr(&p, PKT_NS, "example", 6, 60, "\0\0\1\2\3\4", 6);
	parse();
	assert_int_equal(a.status, QUERY_BROKEN);
}

static void test_ttl_top_bit(void **state)
{
	(void)state;
	ask("example", DNS_A);
	pkt_a(&p, "example", 0x80000001u, "192.0.2.1");
	parse();
	assert_int_equal(a.ttl_s, 0);
}

static void test_too_many(void **state)
{
	(void)state;
	ask("example", DNS_A);
	for (unsigned i = 0; i < 800; i++)
		pkt_rr(&p, PKT_AN, "", 1, 60, "\1\2\3\4", 4);
	for (unsigned i = 0; i < 3; i++)
		pkt_a(&p, "example", 60, "192.0.2.1");
	parse();
	assert_int_equal(a.status, QUERY_BROKEN);

	ask("example", DNS_TXT);
	for (unsigned i = 0; i < 60; i++) {
		uint8_t text[256];

		memset(text, 'x', sizeof(text));
		text[0] = 255;
		pkt_rr(&p, PKT_AN, "example", 16, 60, text, sizeof(text));
	}
	parse();
	assert_int_equal(a.status, QUERY_ANSWER);
	assert_int_equal(records(), DNS_RECORDS_BYTES / 257);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_build),
	    cmocka_unit_test(test_longest_name),
	    cmocka_unit_test(test_addresses),
	    cmocka_unit_test(test_mx_sorted),
	    cmocka_unit_test(test_mx_odd_hosts),
	    cmocka_unit_test(test_mx_dot_in_label),
	    cmocka_unit_test(test_null_mx),
	    cmocka_unit_test(test_negative),
	    cmocka_unit_test(test_aliases),
	    cmocka_unit_test(test_alias_loop),
	    cmocka_unit_test(test_txt_ptr),
	    cmocka_unit_test(test_not_mine),
	    cmocka_unit_test(test_failures),
	    cmocka_unit_test(test_bogus),
	    cmocka_unit_test(test_truncated),
	    cmocka_unit_test(test_every_prefix),
	    cmocka_unit_test(test_pointers),
	    cmocka_unit_test(test_malformed),
	    cmocka_unit_test(test_ttl_top_bit),
	    cmocka_unit_test(test_too_many),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
