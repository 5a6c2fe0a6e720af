/* SPDX-License-Identifier: ISC */
/* lib/addr and lib/addr_param: what is an address, what isn't, where each part is, the limits. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "lib/addr.h"
#include "lib/addr_param.h"

#define N ADDR_NULL
#define L ADDR_LOCAL
#define U ADDR_UTF8
#define O ADDR_LOOSE

/* in, flags, result, then local part, domain and what follows the path */
static const struct {
	const char *in;
	unsigned flags;
	int result;
	const char *local, *domain, *rest;
} paths[] = {
    {"<a@b.c>", 0, 0, "a", "b.c", ""},
    {"<a@b.c> SIZE=5", 0, 0, "a", "b.c", " SIZE=5"},
    {"<a@b.c>x", 0, 0, "a", "b.c", "x"},
    {"<>", N, 0, "", "", ""},
    {"<>", 0, -EINVAL, "", "", ""},
    {"< >", N, -EINVAL, "", "", ""},
    {"<a+b=c/d!e%f@b>", 0, 0, "a+b=c/d!e%f", "b", ""},
    {"<#$&'*-?^_`{|}~@b>", 0, 0, "#$&'*-?^_`{|}~", "b", ""},
    {"<postmaster>", 0, 0, "postmaster", "", ""},
    {"<PostMaster>", 0, 0, "PostMaster", "", ""},
    {"<root>", 0, -EINVAL, "", "", ""},
    {"<root>", L, 0, "root", "", ""},
    {"<@x.y,@z:a@b>", 0, 0, "a", "b", ""},
    {"<@x.y:a@b>", 0, 0, "a", "b", ""},
    {"<@x.y a@b>", 0, -EINVAL, "", "", ""},
    {"<@x.y:>", N, -EINVAL, "", "", ""},
    {"<@:a@b>", 0, -EINVAL, "", "", ""},
    {"<@x.y,:a@b>", 0, -EINVAL, "", "", ""},
    {"<\"a b\"@c>", 0, 0, "\"a b\"", "c", ""},
    {"<\"a\\\"b\\\\\"@c>", 0, 0, "\"a\\\"b\\\\\"", "c", ""},
    {"<\"a>@x\"@c> Y", 0, 0, "\"a>@x\"", "c", " Y"},
    {"<\"\"@c>", 0, 0, "\"\"", "c", ""},
    {"<\"a@c>", 0, -EINVAL, "", "", ""},
    {"<\"a\\", 0, -EINVAL, "", "", ""},
    {"<\"a\\\x01\"@c>", 0, -EINVAL, "", "", ""},
    {"<\"a\rb\"@c>", 0, -EINVAL, "", "", ""},
    {"<\"a\"b@c>", 0, -EINVAL, "", "", ""},
    {"<a b@c>", 0, -EINVAL, "", "", ""},
    {"<a@b@c>", 0, -EINVAL, "", "", ""},
    {"<a@>", 0, -EINVAL, "", "", ""},
    {"<@b>", 0, -EINVAL, "", "", ""},
    {"<a@b", 0, -EINVAL, "", "", ""},
    {"<a", L, -EINVAL, "", "", ""},
    {"<", N, -EINVAL, "", "", ""},
    {"", N, -EINVAL, "", "", ""},
    {"<a@b.c.>", 0, -EINVAL, "", "", ""},
    {"<a@.b>", 0, -EINVAL, "", "", ""},
    {"<a@b..c>", 0, -EINVAL, "", "", ""},
    {"<a@-b.c>", 0, -EINVAL, "", "", ""},
    {"<a@b-.c>", 0, -EINVAL, "", "", ""},
    {"<a@b_c.d>", 0, 0, "a", "b_c.d", ""},
    {"<a@b--c.d-9>", 0, 0, "a", "b--c.d-9", ""},
    {"<a@b!c>", 0, -EINVAL, "", "", ""},
    {"<.a@b>", 0, -EINVAL, "", "", ""},
    {"<a.@b>", 0, -EINVAL, "", "", ""},
    {"<a..b@c>", 0, -EINVAL, "", "", ""},
    {"<a..b.@c>", O, 0, "a..b.", "c", ""},
    {"a@b SIZE=1", 0, -EINVAL, "", "", ""},
    {"a@b SIZE=1", O, 0, "a", "b", " SIZE=1"},
    {"  <a@b>", 0, -EINVAL, "", "", ""},
    {"  <a@b>", O, 0, "a", "b", ""},
    {"a@b>", O, 0, "a", "b", ">"},
    {" ", O | N, -EINVAL, "", "", ""},
    {"<a@[1.2.3.4]>", 0, 0, "a", "[1.2.3.4]", ""},
    {"<a@[1.2.3.400]>", 0, -EINVAL, "", "", ""},
    {"<a@[1.2.3]>", 0, -EINVAL, "", "", ""},
    {"<a@[]>", 0, -EINVAL, "", "", ""},
    {"<a@[1.2.3.4>", 0, -EINVAL, "", "", ""},
    {"<a@[1.2.3.4]x>", 0, -EINVAL, "", "", ""},
    {"<a@[IPv6:2001:db8::1]>", 0, 0, "a", "[IPv6:2001:db8::1]", ""},
    {"<a@[ipV6:::ffff:1.2.3.4]>", 0, 0, "a", "[ipV6:::ffff:1.2.3.4]", ""},
    {"<a@[2001:db8::1]>", 0, -EINVAL, "", "", ""},
    {"<a@[IPv6:zz]>", 0, -EINVAL, "", "", ""},
    {"<a@[x-tag:1]>", 0, -EINVAL, "", "", ""},
    {"<gr\xc3\xbc\xc3\x9f@b>", 0, -EILSEQ, "", "", ""},
    {"<gr\xc3\xbc\xc3\x9f@b>", U, 0, "gr\xc3\xbc\xc3\x9f", "b", ""},
    {"<a@b\xc3\xbc.de>", U, 0, "a", "b\xc3\xbc.de", ""},
    {"<\"\xc3\xbc \"@b>", U, 0, "\"\xc3\xbc \"", "b", ""},
    {"<a\xff@b>", U, -EILSEQ, "", "", ""},
    {"<a\xc3@b>", U, -EILSEQ, "", "", ""},
    {"<a@b\x01>", 0, -EINVAL, "", "", ""},
    {"<a\t@b>", 0, -EINVAL, "", "", ""},
};

/* is - is a slice this C text? */
static bool is(const char *p, size_t n, const char *want)
{
	return n == strlen(want) && !memcmp(p, want, n);
}

static void test_paths(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++) {
		struct addr a;
		size_t used, n = strlen(paths[i].in);
		char *exact = malloc(n + 1); /* shifted by one: ASan sees a byte read too far */
		memcpy(exact + 1, paths[i].in, n);
		int r = addr_path(exact + 1, n, paths[i].flags, &a, &used);
		if (r != paths[i].result)
			fprintf(stderr, "%s: %d\n", paths[i].in, r);
		assert_int_equal(r, paths[i].result);
		assert_true(used <= n);
		if (r == 0) {
			assert_true(is(a.local, a.local_len, paths[i].local));
			assert_true(is(a.domain, a.domain_len, paths[i].domain));
			assert_true(is(exact + 1 + used, n - used, paths[i].rest));
			assert_int_equal(a.literal, paths[i].domain[0] == '[');
			assert_int_equal(a.quoted, paths[i].local[0] == '"');
			/* The text without brackets is the same address to addr_mailbox(). */
			struct addr b;
			assert_int_equal(addr_mailbox(a.text, a.len, paths[i].flags, &b), 0);
			assert_true(b.local_len == a.local_len && b.domain_len == a.domain_len);
			assert_true(addr_equal(&a, &b));
		}
		free(exact);
	}
}

/* Every prefix of every path is refused or understood, and never read past. */
static void test_prefixes(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++) {
		for (size_t n = 0; n < strlen(paths[i].in); n++) {
			struct addr a;
			size_t used;
			char *exact = malloc(n + 1);
			memcpy(exact + 1, paths[i].in, n);
			addr_path(exact + 1, n, paths[i].flags, &a, &used);
			assert_true(used <= n);
			free(exact);
		}
	}
}

/* path - "<" local of `local` bytes "@" domain of `domain` bytes ">" */
static size_t path(char *out, size_t local, size_t domain)
{
	size_t n = 0;
	out[n++] = '<';
	memset(out + n, 'l', local);
	n += local;
	out[n++] = '@';
	for (size_t i = 0; i < domain; i++)
		out[n++] = i % 50 == 49 && i + 1 < domain ? '.' : 'd';
	out[n++] = '>';
	return n;
}

static void test_limits(void **state)
{
	(void)state;
	char in[600];
	struct addr a;
	size_t used;
	assert_int_equal(path(in, 100, 153), ADDR_PATH_MAX);
	assert_int_equal(addr_path(in, ADDR_PATH_MAX, 0, &a, &used), 0);
	assert_int_equal(a.len, ADDR_TEXT_MAX);
	assert_int_equal(addr_path(in, path(in, 252, 1), 0, &a, &used), 0);
	assert_int_equal(addr_path(in, path(in, 253, 1), 0, &a, &used), -ENAMETOOLONG);
	assert_int_equal(addr_path(in, path(in, 100, 154), 0, &a, &used), -ENAMETOOLONG);
	assert_int_equal(addr_path(in, path(in, 1, 256), 0, &a, &used), -ENAMETOOLONG);
	/* A long route makes a long path. */
	int n = snprintf(in, sizeof(in), "<@%0*d:a@b>", 60, 1);
	assert_int_equal(addr_path(in, (size_t)n, 0, &a, &used), 0);
	n = snprintf(in, sizeof(in), "<@%0*d,@%0*d,@%0*d,@%0*d,@%0*d:a@b>", 60, 1, 60, 1, 60, 1, 60,
	    1, 60, 1);
	assert_int_equal(addr_path(in, (size_t)n, 0, &a, &used), -ENAMETOOLONG);
	char label[80];
	memset(label, 'x', sizeof(label));
	assert_int_equal(addr_check_domain(label, 63, false), 0);
	assert_int_equal(addr_check_domain(label, 64, false), -ENAMETOOLONG);
	assert_int_equal(addr_check_domain("[1.2.3.4]", 9, true), 0);
	assert_int_equal(addr_check_domain("[1.2.3.4]", 9, false), -EINVAL);
	assert_int_equal(addr_check_domain("a.b ", 4, false), -EINVAL);
	assert_int_equal(addr_check_domain("", 0, false), -EINVAL);
}

static void test_mailbox(void **state)
{
	(void)state;
	struct addr a;
	assert_int_equal(addr_mailbox("a@b", 3, 0, &a), 0);
	assert_int_equal(addr_mailbox("a@b ", 4, 0, &a), -EINVAL);
	assert_int_equal(addr_mailbox("<a@b>", 5, O, &a), -EINVAL);
	assert_int_equal(addr_mailbox("", 0, 0, &a), -EINVAL);
	assert_int_equal(addr_mailbox("", 0, N, &a), 0);
	assert_int_equal(a.len, 0);
	assert_int_equal(addr_mailbox("root", 4, L, &a), 0);
}

static void test_normal(void **state)
{
	(void)state;
	static const struct {
		const char *in, *normal, *plain;
	} table[] = {
	    {"Joe@EXAMPLE.Org", "Joe@example.org", "Joe"},
	    {"\"joe\"@A", "joe@a", "joe"},
	    {"\"j\\oe\"@A", "joe@a", "joe"},
	    {"\"j oe\"@A", "\"j oe\"@a", "j oe"},
	    {"\"j\\\"\\\\\"@A", "\"j\\\"\\\\\"@a", "j\"\\"},
	    {"\"a..b\"@A", "\"a..b\"@a", "a..b"},
	    {"\"a.b\"@A", "a.b@a", "a.b"},
	    {"\".\"@A", "\".\"@a", "."},
	    {"\"\"@A", "\"\"@a", ""},
	    {"x@[IPV6:::1]", "x@[ipv6:::1]", "x"},
	    {"Root", "Root", "Root"},
	};
	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		struct addr a;
		char out[ADDR_SIZE], small[ADDR_SIZE];
		assert_int_equal(addr_mailbox(table[i].in, strlen(table[i].in), L, &a), 0);
		assert_int_equal(addr_normal(&a, out, sizeof(out)), strlen(table[i].normal));
		assert_string_equal(out, table[i].normal);
		assert_int_equal(addr_local_plain(&a, out, sizeof(out)), strlen(table[i].plain));
		assert_string_equal(out, table[i].plain);
		for (size_t size = 0; size <= strlen(table[i].normal); size++)
			assert_int_equal(addr_normal(&a, small, size), -ENAMETOOLONG);
		assert_int_equal(
		    addr_local_plain(&a, small, strlen(table[i].plain)), -ENAMETOOLONG);
	}
	char out[8];
	assert_int_equal(addr_local_quote("a\nb", 3, out, sizeof(out)), -EINVAL);
	assert_int_equal(addr_local_quote("a\x7f", 2, out, sizeof(out)), -EINVAL);
	assert_int_equal(addr_local_quote("\"\"\"", 3, out, sizeof(out)), -ENAMETOOLONG);
	assert_int_equal(addr_local_quote("\"\"x", 3, out, sizeof(out)), 7);
	assert_string_equal(out, "\"\\\"\\\"x\"");
	assert_int_equal(addr_local_quote("abcdefg", 7, out, sizeof(out)), 7);
	assert_int_equal(addr_local_quote("abcdefgh", 8, out, sizeof(out)), -ENAMETOOLONG);
}

static void test_equal(void **state)
{
	(void)state;
	static const struct {
		const char *a, *b;
		bool equal;
	} table[] = {
	    {"a@b", "a@B", true},
	    {"a@b", "A@b", false},
	    {"\"a\"@b", "a@b", true},
	    {"a@b", "a@bb", false},
	    {"\"a b\"@b", "\"a\\ b\"@b", true},
	    {"ab@c", "a@c", false},
	    {"\"\\\"\"@b", "\"\"@b", false},
	};
	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		struct addr a, b;
		assert_int_equal(addr_mailbox(table[i].a, strlen(table[i].a), 0, &a), 0);
		assert_int_equal(addr_mailbox(table[i].b, strlen(table[i].b), 0, &b), 0);
		assert_int_equal(addr_equal(&a, &b), table[i].equal);
		assert_int_equal(addr_equal(&b, &a), table[i].equal);
	}
}

/* params - read parameters back as "key=value;" and the result of the last call */
static void params(const char *in, char *out, size_t size, int *result)
{
	const char *pos = in, *end = in + strlen(in);
	struct addr_param p;
	size_t n = 0;
	out[0] = '\0';
	while ((*result = addr_param_next(&pos, end, &p)) == 1)
		n += (size_t)snprintf(out + n, size - n, p.value ? "%.*s=%.*s;" : "%.*s;",
		    (int)p.key_len, p.key, (int)p.value_len, p.value ? p.value : "");
}

static void test_params(void **state)
{
	(void)state;
	static const struct {
		const char *in, *out;
		int result;
	} table[] = {
	    {"", "", 0},
	    {"  ", "", 0},
	    {" SIZE=1000 BODY=8BITMIME", "SIZE=1000;BODY=8BITMIME;", 0},
	    {" SMTPUTF8  RET=HDRS ", "SMTPUTF8;RET=HDRS;", 0},
	    {" AUTH=<a=b@c>", "AUTH=<a=b@c>;", 0},
	    {" ORCPT=rfc822;a+3Db@c", "ORCPT=rfc822;a+3Db@c;", 0},
	    {" ORCPT=utf-8;gr\xc3\xbc@c", "ORCPT=utf-8;gr\xc3\xbc@c;", 0},
	    {" X-Y9=1", "X-Y9=1;", 0},
	    {"SIZE=1", "", -EINVAL},
	    {" SIZE=", "", -EINVAL},
	    {" =1", "", -EINVAL},
	    {" -A=1", "", -EINVAL},
	    {" A_B=1", "", -EINVAL},
	    {" A=1\x01", "", -EINVAL},
	    {" A=\xff", "", -EINVAL},
	    {" A=1 B;", "A=1;", -EINVAL},
	    {" A\t", "", -EINVAL},
	};
	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		char out[100];
		int r;
		params(table[i].in, out, sizeof(out), &r);
		assert_int_equal(r, table[i].result);
		assert_string_equal(out, table[i].out);
	}
}

static void test_xtext(void **state)
{
	(void)state;
	char out[16];
	assert_int_equal(addr_xtext_decode("a+2Bb+3dc", 9, out, sizeof(out)), 5);
	assert_string_equal(out, "a+b=c");
	assert_int_equal(addr_xtext_decode("+20", 3, out, sizeof(out)), 1);
	static const char *const bad[] = {"+", "+2", "+zz", "a=b", "a b", "+00", "+0A", "a\x7f"};
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(
		    addr_xtext_decode(bad[i], strlen(bad[i]), out, sizeof(out)), -EINVAL);
	assert_int_equal(addr_xtext_decode("abcd", 4, out, 4), -ENAMETOOLONG);
	assert_int_equal(addr_xtext_decode("abcd", 4, out, 5), 4);
	assert_int_equal(addr_xtext_encode("a+b= \xc3", 6, out, sizeof(out)), 14);
	assert_string_equal(out, "a+2Bb+3D+20+C3");
	assert_int_equal(addr_xtext_encode("a+", 2, out, 4), -ENAMETOOLONG);
	assert_int_equal(addr_xtext_encode("a+", 2, out, 5), 4);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_paths),
	    cmocka_unit_test(test_prefixes),
	    cmocka_unit_test(test_limits),
	    cmocka_unit_test(test_mailbox),
	    cmocka_unit_test(test_normal),
	    cmocka_unit_test(test_equal),
	    cmocka_unit_test(test_params),
	    cmocka_unit_test(test_xtext),
	};
	return cmocka_run_group_tests_name("addr", tests, NULL, NULL);
}
