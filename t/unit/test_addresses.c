/* SPDX-License-Identifier: ISC */
#include "cli/addresses.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static void note(const char *address, size_t len, void *arg)
{
	char *said = arg;
	size_t at = strlen(said);

	snprintf(said + at, 1000 - at, "%.*s|", (int)len, address);
}

static void test_lists(void **state)
{
	static const struct {
		const char *text, *want;
	} rows[] = {
	    {"a@b", "a@b|"},
	    {" a@b , c@d,\n\te@f ", "a@b|c@d|e@f|"},
	    {"A. B. <a@b>, \"x, y <z@z>\" <c@d>", "a@b|c@d|"},
	    {"(a comment (nested, with comma)) a@b (and behind)", "a@b|"},
	    {"undisclosed-recipients:;", ""},
	    {"friends: a@b, \"C\" <c@d>;, e@f", "a@b|c@d|e@f|"},
	    {"root", "root|"},
	    {"\"odd local\"@b", "\"odd local\"@b|"},
	    {"<\"a>b\"@c>", "\"a>b\"@c|"},
	    {"<@relay,@other:a@b>", "a@b|"},
	    {"a@[127.0.0.1]", "a@[127.0.0.1]|"},
	    {",, ,", ""},
	    {"", ""},
	    {"<>", ""},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		char said[1000] = "";

		assert_int_equal(addresses_walk(rows[i].text, strlen(rows[i].text), note, said), 0);
		assert_string_equal(said, rows[i].want);
	}
}

static void test_lists_without_an_end(void **state)
{
	static const char *const rows[] = {
	    "a@b (never closed", "\"open a@b", "<a@b", "<\"a@b>", "(\\)"};
	char said[1000] = "";

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		assert_int_equal(addresses_walk(rows[i], strlen(rows[i]), note, said), -EINVAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_lists),
	    cmocka_unit_test(test_lists_without_an_end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
