/* SPDX-License-Identifier: ISC */
/* lib/str: bounds, case without locale, numbers without surprises. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "lib/str.h"

static void test_copy(void **state)
{
	(void)state;
	char buf[5] = "xxxx";
	assert_int_equal(str_copy(buf, sizeof(buf), "abcd"), 0);
	assert_string_equal(buf, "abcd");
	assert_int_equal(str_copy(buf, sizeof(buf), "abcde"), -ENAMETOOLONG);
	assert_string_equal(buf, "");
	assert_int_equal(str_copy(buf, 0, ""), -ENAMETOOLONG);
	assert_int_equal(str_copy_n(buf, sizeof(buf), "abcdef", 3), 0);
	assert_string_equal(buf, "abc");
	assert_int_equal(str_copy_n(buf, sizeof(buf), "a\0b", 3), -EINVAL);
	assert_string_equal(buf, "");
	assert_int_equal(str_copy_n(buf, sizeof(buf), NULL, 0), 0);
}

static void test_case(void **state)
{
	(void)state;
	char buf[8];
	str_lower(buf, "A@Z[\xc4z", 7);
	assert_string_equal(buf, "a@z[\xc4z");
	assert_true(str_eq_ci("MAIL", 4, "mail", 4));
	assert_false(str_eq_ci("MAIL", 4, "mai", 3));
	assert_false(str_eq_ci("@", 1, "`", 1)); /* 0x20 apart, no letters */
	assert_false(str_eq_ci("\xc4", 1, "\xe4", 1));
	assert_true(str_starts_ci("Size=5", 6, "SIZE="));
	assert_false(str_starts_ci("Siz", 3, "SIZE="));
	assert_true(str_is_ci("quit", 4, "QUIT"));
	assert_false(str_is_ci("quitx", 5, "QUIT"));
}

static void test_number(void **state)
{
	(void)state;
	static const struct {
		const char *text;
		unsigned long long max;
		int result;
		unsigned long long value;
	} table[] = {
	    {"0", 0, 0, 0},
	    {"00042", 100, 0, 42},
	    {"101", 100, -ERANGE, 0},
	    {"18446744073709551615", UINT64_MAX, 0, UINT64_MAX},
	    {"18446744073709551616", UINT64_MAX, -ERANGE, 0},
	    {"99999999999999999999999999", UINT64_MAX, -ERANGE, 0},
	    {"99999999999999999999999999x", UINT64_MAX, -EINVAL, 0},
	    {"", 9, -EINVAL, 0},
	    {"-1", 9, -EINVAL, 0},
	    {" 1", 9, -EINVAL, 0},
	    {"1 ", 9, -EINVAL, 0},
	};
	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		unsigned long long v = 0;
		assert_int_equal(str_to_u64(table[i].text, strlen(table[i].text), table[i].max, &v),
		    table[i].result);
		assert_true(v == table[i].value);
	}
}

static void test_trim(void **state)
{
	(void)state;
	static const struct {
		const char *text, *inner;
	} table[] = {
	    {"", ""}, {" \t\r\n\v\f", ""}, {"a", "a"}, {" a b\r\n", "a b"}, {"\ta", "a"},
	    {"\b a \x80", "\b a \x80"},
	};
	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		struct slice s = slice_trim((struct slice){table[i].text, strlen(table[i].text)});
		assert_int_equal(s.len, strlen(table[i].inner));
		assert_memory_equal(s.p, table[i].inner, s.len);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_copy),
	    cmocka_unit_test(test_case),
	    cmocka_unit_test(test_number),
	    cmocka_unit_test(test_trim),
	};
	return cmocka_run_group_tests_name("str", tests, NULL, NULL);
}
