/* SPDX-License-Identifier: ISC */
/* lib/explain: facts there and back, too many of them, and bytes that are none. */
#include "lib/explain.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static unsigned char buf[EXPLAIN_MAX];

static void test_round_trip(void **state)
{
	struct wire_out out;
	struct explain_row row;
	size_t pos = 0;
	(void)state;
	wire_out_fixed(&out, buf, sizeof(buf));
	explain_put(&out, EXPLAIN_address, "%s", "joe@example.org");
	explain_put(&out, EXPLAIN_connections, "%u", 7u);
	explain_put(&out, EXPLAIN_members, "%s", "");
	assert_int_equal(wire_out_end(&out), 0);
	const struct msg_bytes in = msg_bytes(buf, out.len);
	assert_int_equal(explain_next(in, &pos, &row), 1);
	assert_int_equal(row.fact, EXPLAIN_address);
	assert_int_equal(row.text.len, 15);
	assert_memory_equal(row.text.data, "joe@example.org", 15);
	assert_int_equal(explain_next(in, &pos, &row), 1);
	assert_string_equal(explain_name(row.fact), "connections");
	assert_int_equal(explain_kind(row.fact), EXPLAIN_NUMBER);
	assert_int_equal(explain_next(in, &pos, &row), 1);
	assert_int_equal(row.text.len, 0);
	assert_int_equal(explain_next(in, &pos, &row), 0);
	for (size_t cut = 1; cut < out.len; cut++) {
		int r;
		pos = 0;
		while ((r = explain_next(msg_bytes(buf, cut), &pos, &row)) == 1)
			;
		assert_true(r == 0 || r == -EBADMSG);
	}
	buf[0] = EXPLAIN_FACTS;
	pos = 0;
	assert_int_equal(explain_next(in, &pos, &row), -EBADMSG);
}

/* A long list is cut; what stands before it is whole. */
static void test_full(void **state)
{
	struct wire_out out;
	struct explain_row row;
	char long_text[2 * EXPLAIN_TEXT_MAX];
	size_t pos = 0, n = 0;
	(void)state;
	memset(long_text, 'x', sizeof(long_text) - 1);
	long_text[sizeof(long_text) - 1] = '\0';
	wire_out_fixed(&out, buf, sizeof(buf));
	for (int i = 0; i < 1000; i++)
		explain_put(&out, EXPLAIN_members, "%s", long_text);
	assert_int_equal(wire_out_end(&out), 0);
	assert_true(out.len <= EXPLAIN_MAX);
	while (explain_next(msg_bytes(buf, out.len), &pos, &row) == 1) {
		assert_int_equal(row.text.len, EXPLAIN_TEXT_MAX - 1);
		n++;
	}
	assert_int_equal(pos, out.len);
	assert_int_equal(n, EXPLAIN_MAX / (EXPLAIN_TEXT_MAX + 4));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_round_trip),
	    cmocka_unit_test(test_full),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
