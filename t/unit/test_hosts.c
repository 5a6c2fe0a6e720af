/* SPDX-License-Identifier: ISC */
/* What deliver makes of words and answers: replies, verdicts, the order of hosts. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "deliver/hosts.h"
#include "deliver/verdict.h"
#include "lib/wire.h"

static void test_words(void **state)
{
	static const struct {
		const char *in;
		unsigned code;
		const char *status, *text;
	} t[] = {
	    {"250 2.1.5 ok\r\n", 250, "2.1.5", "ok"},
	    {"250 ok\r\n", 250, "2.0.0", "ok"},
	    {"250\r\n", 250, "2.0.0", ""},
	    {"250-2.1.5 a\r\n250-2.1.5 b\r\n250 c\r\n", 250, "2.1.5", "a b c"},
	    {"550 2.1.5 wrong class\r\n", 550, "5.0.0", "2.1.5 wrong class"},
	    {"450 4.7.123 x\r\n", 450, "4.7.123", "x"},
	    {"354 go\r\n", 354, "3.0.0", "go"},
	};
	static struct reply reply;
	static char big[3000];
	struct words words;
	size_t used;
	(void)state;
	for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		reply_init(&reply);
		assert_int_equal(reply_feed(&reply, t[i].in, strlen(t[i].in), &used), REPLY_OK);
		words_from_reply(&words, &reply);
		assert_int_equal(words.code, t[i].code);
		assert_string_equal(words.status, t[i].status);
		assert_int_equal(words.len, strlen(t[i].text));
		assert_memory_equal(words.text, t[i].text, words.len);
	}
	/* a text longer than what is kept is cut */
	memset(big, 'x', 1000);
	memcpy(big, "250-", 4);
	memcpy(big + 1000, "\r\n250 end\r\n", 11);
	reply_init(&reply);
	assert_int_equal(reply_feed(&reply, big, 1011, &used), REPLY_OK);
	words_from_reply(&words, &reply);
	assert_int_equal(words.len, JOB_TEXT_MAX);
}

static void test_verdicts(void **state)
{
	static const struct {
		unsigned code;
		const char *status, *text;
		unsigned accepted;
		enum outcome outcome;
	} t[] = {
	    {550, "5.1.1", "no", 0, OUT_FAILED},
	    {450, "4.2.1", "later", 1, OUT_DEFERRED},
	    {452, "4.5.3", "enough", 1, OUT_TOO_MANY},
	    {452, "4.5.3", "enough", 0, OUT_DEFERRED},
	    {452, "4.0.0", "enough", 3, OUT_TOO_MANY},
	    {452, "4.2.2", "mailbox full", 3, OUT_DEFERRED},
	    {552, "5.0.0", "too many", 3, OUT_TOO_MANY},
	    {552, "5.0.0", "too many", 0, OUT_DEFERRED},
	    {552, "5.2.2", "mailbox full", 3, OUT_FAILED},
	    {550, "5.5.3", "too many", 2, OUT_TOO_MANY},
	    {451, "4.3.0", "Multiple destination domains per transaction", 1, OUT_TOO_MANY},
	    {451, "4.3.0", "Multiple destination domains per transaction", 0, OUT_DEFERRED},
	    {354, "3.0.0", "what", 1, OUT_DEFERRED},
	};
	(void)state;
	for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		struct words w;
		words_set(&w, t[i].code, t[i].status, "%s", t[i].text);
		if (verdict_rcpt(&w, t[i].accepted) != t[i].outcome)
			fail_msg("row %zu", i);
	}
}

static void test_ipv6_refusals(void **state)
{
	static const struct {
		unsigned code;
		const char *status, *text;
		bool is;
	} t[] = {
	    {550, "5.7.1", "does not meet IPv6 sending guidelines regarding PTR", true},
	    {550, "5.7.25", "no name for your address", true},
	    {421, "4.7.0", "IPv6 without authentication", true},
	    {554, "5.0.0", "we want a PTR record", true},
	    {450, "4.7.25", "reverse hostname not found", true},
	    {550, "5.7.1", "spam", false},
	    {550, "5.1.1", "no such user ipv6@example.net", false},
	    {452, "4.2.2", "PTR mailbox full", false},
	    {250, "2.7.1", "IPv6 is fine", false},
	};
	(void)state;
	for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		struct words w;
		words_set(&w, t[i].code, t[i].status, "%s", t[i].text);
		if (verdict_no_ipv6(&w) != t[i].is)
			fail_msg("row %zu", i);
	}
}

static unsigned calls;
static unsigned always_last(unsigned below)
{
	calls++;
	return below - 1;
}
static unsigned always_first(unsigned below)
{
	calls++;
	return below - below;
}

static void test_hosts(void **state)
{
	unsigned char buf[4096];
	struct wire_out out;
	static struct hosts h;
	(void)state;
	wire_out_fixed(&out, buf, sizeof(buf));
	static const struct {
		uint16_t preference;
		const char *name, *a, *aaaa;
	} t[] = {{5, "a", "192.0.2.1", NULL}, {10, "b", "192.0.2.2", "2001:db8::2"},
	    {10, "c", "192.0.2.3", NULL}, {10, "d", NULL, "2001:db8::4"},
	    {20, "e", "192.0.2.5", NULL}};
	for (size_t i = 0; i < 5; i++) {
		struct dns_host host = {.preference = t[i].preference};
		snprintf(host.name, sizeof(host.name), "%s", t[i].name);
		if (t[i].a)
			dns_addr_parse(t[i].a, strlen(t[i].a), &host.addrs[host.naddrs++]);
		if (t[i].aaaa)
			dns_addr_parse(t[i].aaaa, strlen(t[i].aaaa), &host.addrs[host.naddrs++]);
		dns_host_put(&out, &host);
	}
	struct msg_bytes list = msg_bytes(buf, out.len);
	assert_int_equal(hosts_read(list, true, always_last, &h), 0);
	static const char *const kept[] = {"a", "b", "b", "c", "d", "e"};
	assert_int_equal(h.naddrs, 6);
	for (unsigned i = 0; i < 6; i++)
		assert_string_equal(h.names[h.addrs[i].host], kept[i]);
	assert_int_equal(h.addrs[1].addr.family, 6);
	assert_int_equal(hosts_read(list, false, always_first, &h), 0);
	static const char *const turned[] = {"a", "c", "b", "e"};
	assert_int_equal(h.naddrs, 4);
	for (unsigned i = 0; i < 4; i++)
		assert_string_equal(h.names[h.addrs[i].host], turned[i]);
	assert_int_equal(hosts_read(msg_bytes(buf, out.len - 1), true, always_last, &h), -EBADMSG);
	assert_int_equal(hosts_read(msg_bytes(buf, 0), true, always_last, &h), -ENOENT);
	assert_int_equal(hosts_literal(msg_str("[IPv6:2001:db8::1]"), &h), 0);
	assert_string_equal(h.names[0], "2001:db8::1");
	assert_int_equal(hosts_literal(msg_str("mx.example.net"), &h), -EINVAL);
}

static void test_families_by_turns(void **state)
{
	static const char *const in[] = {
	    "2001:db8::1", "2001:db8::2", "2001:db8::3", "192.0.2.1", "192.0.2.2"};
	static const unsigned families[] = {6, 4, 6, 4, 6};
	static struct hosts h;
	unsigned char buf[1024];
	struct wire_out out;
	struct dns_host host = {.preference = 7, .name = "a"};
	(void)state;
	for (size_t i = 0; i < 5; i++)
		dns_addr_parse(in[i], strlen(in[i]), &host.addrs[host.naddrs++]);
	wire_out_fixed(&out, buf, sizeof(buf));
	dns_host_put(&out, &host);
	assert_int_equal(hosts_read(msg_bytes(buf, out.len), true, always_last, &h), 0);
	assert_int_equal(h.naddrs, 5);
	for (unsigned i = 0; i < 5; i++) {
		assert_int_equal(h.addrs[i].addr.family, families[i]);
		assert_int_equal(h.addrs[i].preference, 7);
		assert_int_equal(h.addrs[i].state, HOST_LEFT);
	}
	assert_true(hosts_have(&h, 6) && hosts_have(&h, 4));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_words),
	    cmocka_unit_test(test_verdicts),
	    cmocka_unit_test(test_ipv6_refusals),
	    cmocka_unit_test(test_families_by_turns),
	    cmocka_unit_test(test_hosts),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
