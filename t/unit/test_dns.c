/* SPDX-License-Identifier: ISC */
/* lib/dns: names, addresses, and the lists of dnscache's answers from a peer that lies. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "lib/dns.h"

static void test_names(void **state)
{
	static const struct {
		const char *in, *out;
	} names[] = {
	    {"example.org", "example.org"},
	    {"Mail.Example.ORG.", "mail.example.org"},
	    {"_25._tcp.mx-1.example", "_25._tcp.mx-1.example"},
	    {"localhost", "localhost"},
	    {"", NULL},
	    {".", NULL},
	    {"..", NULL},
	    {"a..b", NULL},
	    {".a", NULL},
	    {"a b", NULL},
	    {"a\nb", NULL},
	    {"a/b", NULL},
	    {"a@b", NULL},
	    {"b\xc3\xbc"
	     "cher.example",
		NULL},
	    {"[192.0.2.1]", NULL},
	};
	char out[DNS_NAME_SIZE], name[300];

	(void)state;
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		int ret = dns_name_clean(names[i].in, strlen(names[i].in), out);

		assert_int_equal(ret, names[i].out != NULL ? 0 : -22);
		if (names[i].out != NULL)
			assert_string_equal(out, names[i].out);
	}
	assert_int_equal(dns_name_clean("a\0b", 3, out), -22);
	memset(name, 'a', sizeof(name));
	assert_int_equal(dns_name_clean(name, 63, out), 0);
	assert_int_equal(dns_name_clean(name, 64, out), -22);
	name[63] = name[127] = name[191] = '.';
	assert_int_equal(dns_name_clean(name, 253, out), 0);
	assert_int_equal(strlen(out), 253);
	assert_int_equal(dns_name_clean(name, 254, out), -22);
	name[253] = '.';
	assert_int_equal(dns_name_clean(name, 254, out), 0);
}

static void test_addresses(void **state)
{
	static const struct {
		const char *in, *out, *reverse;
	} addrs[] = {
	    {"192.0.2.1", "192.0.2.1", "1.2.0.192.in-addr.arpa"},
	    {"[192.0.2.1]", "192.0.2.1", "1.2.0.192.in-addr.arpa"},
	    {"[IPv6:2001:DB8::1]", "2001:db8::1",
		"1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa"},
	    {"::1", "::1",
		"1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.ip6.arpa"},
	    {"[::1", NULL, NULL},
	    {"192.0.2", NULL, NULL},
	    {"192.0.2.256", NULL, NULL},
	    {"192.0.2.1.", NULL, NULL},
	    {"", NULL, NULL},
	    {"[]", NULL, NULL},
	    {"example.org", NULL, NULL},
	};
	char text[DNS_LITERAL_SIZE], name[DNS_NAME_SIZE];
	struct dns_addr a;

	(void)state;
	for (size_t i = 0; i < sizeof(addrs) / sizeof(addrs[0]); i++) {
		int ret = dns_addr_parse(addrs[i].in, strlen(addrs[i].in), &a);

		assert_int_equal(ret, addrs[i].out != NULL ? 0 : -22);
		if (addrs[i].out == NULL)
			continue;
		assert_string_equal(dns_addr_text(&a, text), addrs[i].out);
		dns_addr_reverse(&a, name);
		assert_string_equal(name, addrs[i].reverse);
	}
}

static void test_hosts(void **state)
{
	static const struct dns_host hosts[] = {
	    {.preference = 10,
		.name = "mx1.example",
		.secure = true,
		.naddrs = 2,
		.addrs = {{6, {0x20, 1, 13, 184}}, {4, {192, 0, 2, 1}}}},
	    {.preference = 65535, .name = "192.0.2.7", .naddrs = 1, .addrs = {{4, {192, 0, 2, 7}}}},
	    {.preference = 0, .name = "2001:db8::7", .naddrs = 1, .addrs = {{6, {0x20, 1}}}},
	};
	uint8_t buf[DNS_HOSTS_BYTES];
	struct wire_out out;
	struct wire_in in;
	struct dns_host host;

	(void)state;
	wire_out_fixed(&out, buf, sizeof(buf));
	for (size_t i = 0; i < 3; i++)
		dns_host_put(&out, &hosts[i]);
	assert_int_equal(wire_out_end(&out), 0);
	wire_in_init(&in, buf, out.len);
	for (size_t i = 0; i < 3; i++) {
		assert_true(dns_host_next(&in, &host));
		assert_int_equal(host.preference, hosts[i].preference);
		assert_string_equal(host.name, hosts[i].name);
		assert_int_equal(host.naddrs, hosts[i].naddrs);
		assert_int_equal(host.secure, hosts[i].secure);
		assert_memory_equal(
		    host.addrs, hosts[i].addrs, host.naddrs * sizeof(struct dns_addr));
	}
	assert_false(dns_host_next(&in, &host));
	assert_int_equal(wire_in_end(&in), 0);

	/* every prefix is either whole hosts or refused */
	for (size_t len = 1; len < out.len; len++) {
		unsigned n = 0;

		wire_in_init(&in, buf, len);
		while (dns_host_next(&in, &host))
			n++;
		assert_true(n < 3);
		assert_true(wire_in_end(&in) != 0 || len == 50 || len == 50 + 31);
	}
	/* wrong family, too many addresses, no name */
	buf[16] = 5;
	wire_in_init(&in, buf, out.len);
	assert_false(dns_host_next(&in, &host));
	assert_int_equal(wire_in_end(&in), -74);
	buf[15] = DNS_ADDRS_MAX + 1;
	wire_in_init(&in, buf, out.len);
	assert_false(dns_host_next(&in, &host));
	wire_in_init(&in, "\0\1\1/\0", 5);
	assert_false(dns_host_next(&in, &host));
}

static void test_servers(void **state)
{
	static const struct dns_server servers[] = {
	    {"127.0.0.1:53", false, true, 1234, 1, 2, 3, 4},
	    {"[2001:db8::1]:5353", true, false, 0, UINT64_MAX, 0, 0, 0},
	};
	uint8_t buf[256];
	struct dns_server got;
	struct wire_out out;
	struct wire_in in;

	(void)state;
	wire_out_fixed(&out, buf, sizeof(buf));
	for (size_t i = 0; i < 2; i++)
		dns_server_put(&out, &servers[i]);
	assert_int_equal(wire_out_end(&out), 0);
	wire_in_init(&in, buf, out.len);
	for (size_t i = 0; i < 2; i++) {
		assert_true(dns_server_next(&in, &got));
		assert_string_equal(got.name, servers[i].name);
		assert_true(got.down == servers[i].down && got.trusted == servers[i].trusted);
		assert_int_equal(got.latency_us, servers[i].latency_us);
		assert_true(got.sent == servers[i].sent && got.refused == servers[i].refused);
	}
	assert_false(dns_server_next(&in, &got));
	assert_int_equal(wire_in_end(&in), 0);
	wire_in_init(&in, buf, out.len - 1);
	assert_true(dns_server_next(&in, &got));
	assert_false(dns_server_next(&in, &got));
	assert_int_equal(wire_in_end(&in), -74);
	buf[0] = DNS_SERVER_SIZE; /* a name longer than there may be */
	wire_in_init(&in, buf, out.len);
	assert_false(dns_server_next(&in, &got));
	assert_int_equal(wire_in_end(&in), -74);
	assert_string_equal(dns_security_name(DNS_BOGUS), "bogus");
	assert_string_equal(dns_security_name(3), "unknown");
	assert_string_equal(dns_source_name(DNS_FROM_BUILTIN), "built in");
	assert_string_equal(dns_source_name(DNS_SOURCES), "unknown");
}

static void test_records(void **state)
{
	uint8_t buf[64];
	struct wire_out out;
	struct wire_in in;
	struct dns_record rec;

	(void)state;
	wire_out_fixed(&out, buf, sizeof(buf));
	dns_record_put(&out, "\0\12mx.example", 12);
	wire_in_init(&in, buf, out.len);
	assert_true(dns_record_next(&in, DNS_MX, &rec));
	assert_int_equal(rec.preference, 10);
	assert_int_equal(rec.len, 10);
	assert_memory_equal(rec.data, "mx.example", 10);
	assert_false(dns_record_next(&in, DNS_MX, &rec));
	assert_int_equal(wire_in_end(&in), 0);
	wire_in_init(&in, buf, out.len);
	assert_false(dns_record_next(&in, DNS_A, &rec));
	assert_int_equal(wire_in_end(&in), -74);
	wire_in_init(&in, buf, out.len - 1);
	assert_false(dns_record_next(&in, DNS_TXT, &rec));
	assert_int_equal(wire_in_end(&in), -74);
}

static void test_soon(void **state)
{
	uint8_t buf[64];
	struct wire_out out;
	struct wire_in in;
	const char *name;
	size_t len;

	(void)state;
	wire_out_fixed(&out, buf, sizeof(buf));
	dns_soon_put(&out, "example.org", 11);
	dns_soon_put(&out, "example.net", 11);
	wire_in_init(&in, buf, out.len);
	assert_true(dns_soon_next(&in, &name, &len));
	assert_true(dns_soon_next(&in, &name, &len));
	assert_int_equal(len, 11);
	assert_memory_equal(name, "example.net", 11);
	assert_false(dns_soon_next(&in, &name, &len));
	wire_in_init(&in, buf, out.len - 1);
	assert_true(dns_soon_next(&in, &name, &len));
	assert_false(dns_soon_next(&in, &name, &len));
	assert_int_equal(wire_in_end(&in), -74);
}

static void test_types(void **state)
{
	(void)state;
	assert_int_equal(dns_type_parse("mx"), DNS_MX);
	assert_int_equal(dns_type_parse("ANY"), 0);
	assert_string_equal(dns_type_name(DNS_TLSA), "TLSA");
	assert_null(dns_type_name(255));
	assert_string_equal(dns_verdict_name(DNS_TEMPFAIL), "tempfail");
	assert_string_equal(dns_verdict_name(99), "unknown");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_names),
	    cmocka_unit_test(test_addresses),
	    cmocka_unit_test(test_hosts),
	    cmocka_unit_test(test_records),
	    cmocka_unit_test(test_servers),
	    cmocka_unit_test(test_soon),
	    cmocka_unit_test(test_types),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
