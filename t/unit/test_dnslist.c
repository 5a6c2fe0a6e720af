/* SPDX-License-Identifier: ISC */
/* lib/dnslist: entries, which answers count, the names that are asked for. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "lib/dnslist.h"

static void entries(void **state)
{
	static const struct {
		const char *text;
		const char *zone; /* NULL: refused */
		uint32_t score;
		bool filtered;
	} rows[] = {
	    {"zen.example.org", "zen.example.org", 1, false},
	    {"Zen.Example.org.*3", "zen.example.org", 3, false},
	    {"a.b=127.0.0.2", "a.b", 1, true},
	    {"a.b=127.0.0.[2;4..7]*12", "a.b", 12, true},
	    {"a.b=127.[0..255].[0..255].[1;2;3;4;5;6;7;8]", "a.b", 1, true},
	    {"a.b=127.0.0.[1;2;3;4;5;6;7;8;9]", NULL, 0, false},
	    {"", NULL, 0, false},
	    {"zone", NULL, 0, false},
	    {"a b.c", NULL, 0, false},
	    {"a.b=", NULL, 0, false},
	    {"a.b=127.0.0", NULL, 0, false},
	    {"a.b=127.0.0.256", NULL, 0, false},
	    {"a.b=127.0.0.2.3", NULL, 0, false},
	    {"a.b=127.0.0.[2", NULL, 0, false},
	    {"a.b=127.0.0.[]", NULL, 0, false},
	    {"a.b=127.0.0.[7..4]", NULL, 0, false},
	    {"a.b*0", NULL, 0, false},
	    {"a.b*", NULL, 0, false},
	    {"a.b*-1", NULL, 0, false},
	    {"a.b*1000001", NULL, 0, false},
	    {"a.b*99999999999", NULL, 0, false},
	    {"a.b*2=127.0.0.2", NULL, 0, false},
	};
	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct dnslist l;
		int e = dnslist_parse(rows[i].text, &l);
		if (e != (rows[i].zone ? 0 : -EINVAL))
			fail_msg("\"%s\": %d", rows[i].text, e);
		if (e)
			continue;
		assert_string_equal(l.zone, rows[i].zone);
		assert_int_equal(l.score, rows[i].score);
		assert_int_equal(l.filtered, rows[i].filtered);
	}
}

static void answers(void **state)
{
	static const struct {
		const char *entry, *answer;
		bool counts;
	} rows[] = {
	    {"a.b", "127.0.0.2", true},
	    {"a.b", "127.1.2.3", true},
	    {"a.b", "127.0.0.1", false},
	    {"a.b", "127.255.255.254", false}, /* "you may not ask us" */
	    {"a.b", "192.0.2.1", false},       /* a zone that was sold */
	    {"a.b", "::1", false},
	    {"a.b=127.0.0.[2;4..7]", "127.0.0.2", true},
	    {"a.b=127.0.0.[2;4..7]", "127.0.0.3", false},
	    {"a.b=127.0.0.[2;4..7]", "127.0.0.7", true},
	    {"a.b=127.0.0.[2;4..7]", "127.0.0.8", false},
	    {"a.b=127.0.0.[2;4..7]", "127.0.1.4", false},
	    {"a.b=127.255.255.254", "127.255.255.254", true},
	};
	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct dnslist l;
		struct dns_addr a;
		assert_int_equal(dnslist_parse(rows[i].entry, &l), 0);
		assert_int_equal(dns_addr_parse(rows[i].answer, strlen(rows[i].answer), &a), 0);
		if (dnslist_counts(&l, &a) != rows[i].counts)
			fail_msg("%s of %s", rows[i].answer, rows[i].entry);
	}
}

static void names(void **state)
{
	struct dnslist l;
	struct dns_addr a;
	char name[DNS_NAME_SIZE], zone[DNS_NAME_SIZE];
	(void)state;
	assert_int_equal(dnslist_parse("bl.example.org", &l), 0);
	assert_int_equal(dns_addr_parse("192.0.2.10", 10, &a), 0);
	assert_int_equal(dnslist_name(&l, &a, name), 0);
	assert_string_equal(name, "10.2.0.192.bl.example.org");
	assert_int_equal(dns_addr_parse("2001:db8::1", 11, &a), 0);
	assert_int_equal(dnslist_name(&l, &a, name), 0);
	assert_string_equal(name,
	    "1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.bl.example.org");
	for (size_t i = 0; i < 240; i++)
		zone[i] = i % 2 ? '.' : 'x';
	memcpy(zone + 240, "org", 4);
	assert_int_equal(dnslist_parse(zone, &l), 0);
	assert_int_equal(dnslist_name(&l, &a, name), -EINVAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(entries),
	    cmocka_unit_test(answers),
	    cmocka_unit_test(names),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
