/* SPDX-License-Identifier: ISC */
#include "lib/mailbox_list.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

/* note - the address, and in [ ] how it stands in the text where that is different */
static void note(const struct mailbox *m, void *arg)
{
	char *said = arg;
	size_t at = strlen(said);

	if (m->len == (size_t)(m->to - m->from) && !memcmp(m->address, m->from, m->len))
		snprintf(said + at, 1000 - at, "%.*s|", (int)m->len, m->address);
	else
		snprintf(said + at, 1000 - at, "%.*s[%.*s]|", (int)m->len, m->address,
		    (int)(m->to - m->from), m->from);
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
	    {"a@[IPv6:::1], <b@[IPv6:::2]>", "a@[IPv6:::1]|b@[IPv6:::2]|"},
	    {"a @ b (c), <d (e) @\r\n f >", "a@b[a @ b]|d@f[d (e) @\r\n f]|"},
	    {"[List <a@b>, c", "a@b|c|"},
	    {"John Smith, x", "JohnSmith[John Smith]|x|"},
	    {"(root) cron (Cron Daemon)", "cron|"},
	    {",, ,", ""},
	    {"", ""},
	    {"<>", ""},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		char said[1000] = "";

		assert_int_equal(
		    mailbox_list_walk(rows[i].text, strlen(rows[i].text), note, said), 0);
		assert_string_equal(said, rows[i].want);
	}
}

static void test_lists_without_an_end(void **state)
{
	static const char *const rows[] = {
	    "a@b (never closed", "\"open a@b", "<a@b", "<\"a@b>", "(\\)", "a@[1", "<a@[1>"};
	char said[1000] = "";

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		assert_int_equal(mailbox_list_walk(rows[i], strlen(rows[i]), note, said), -EINVAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_lists),
	    cmocka_unit_test(test_lists_without_an_end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
