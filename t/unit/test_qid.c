/* SPDX-License-Identifier: ISC */
/* lib/qid: one number, one text; order kept; everything else refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <strings.h>

#include <cmocka.h>

#include "lib/qid.h"

static const uint64_t numbers[] = {
    1,
    31,
    32,
    1764000000000000, /* 2025 in microseconds */
    1764000000000001,
    (UINT64_C(1) << 55) - 1,
    UINT64_C(1) << 55,
    (UINT64_C(1) << 60) - 1,
    UINT64_C(1) << 60,
    UINT64_MAX - 1,
    UINT64_MAX,
};

static void test_round_trip(void **state)
{
	(void)state;
	char last[QID_TEXT_MAX] = "";
	for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
		char text[QID_TEXT_MAX], low[QID_TEXT_MAX];
		uint64_t back = 0;
		size_t len = qid_format(text, numbers[i]);
		assert_int_equal(strlen(text), len);
		assert_int_equal(qid_parse(text, len, &back), 0);
		assert_true(back == numbers[i]);
		for (size_t j = 0; j <= len; j++)
			low[j] = (char)(text[j] >= 'A' && text[j] <= 'Z' ? text[j] + 32 : text[j]);
		assert_int_equal(qid_parse(low, len, &back), 0);
		assert_true(back == numbers[i]);
		assert_true(strlen(last) < len || strcmp(last, text) < 0);
		memcpy(last, text, sizeof(last));
	}
}

static void test_known_text(void **state)
{
	(void)state;
	char text[QID_TEXT_MAX];
	assert_int_equal(qid_format(text, 1764000000000000), QID_WIDTH);
	assert_string_equal(text, "1J4B50P4G00");
	qid_format(text, UINT64_MAX);
	assert_string_equal(text, "FZZZZZZZZZZZZ");
}

static void test_refused(void **state)
{
	(void)state;
	static const char *const bad[] = {
	    "",
	    "0",
	    "1J4B50P4G0",
	    "00000000000",
	    "01J4B50P4G00",
	    "1J4B50P4G0I",
	    "1J4B50P4G0L",
	    "1J4B50P4G0O",
	    "1J4B50P4G0u",
	    "-J4AFM4NR00",
	    "1J4B50P4G0 ",
	    "1J4B50P4G0\xc9",
	    "G000000000000",
	    "ZZZZZZZZZZZZZ",
	    "10000000000000",
	};
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		uint64_t id = 5;
		assert_true(qid_parse(bad[i], strlen(bad[i]), &id) < 0);
		assert_true(id == 5);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_round_trip),
	    cmocka_unit_test(test_known_text),
	    cmocka_unit_test(test_refused),
	};
	return cmocka_run_group_tests_name("qid", tests, NULL, NULL);
}
