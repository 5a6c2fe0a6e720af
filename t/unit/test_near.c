/* SPDX-License-Identifier: ISC */
/* lib/near: what somebody meant. */
#include "lib/near.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static void test_distance(void **state)
{
	char long_word[2 * NEAR_WORD_MAX];
	(void)state;
	assert_int_equal(near_distance("", ""), 0);
	assert_int_equal(near_distance("flush", ""), 5);
	assert_int_equal(near_distance("flush", "FLUSH"), 0);
	assert_int_equal(near_distance("fulsh", "flush"), 1);
	assert_int_equal(near_distance("flsh", "flush"), 1);
	assert_int_equal(near_distance("kitten", "sitting"), 3);
	memset(long_word, 'x', sizeof(long_word) - 1);
	long_word[sizeof(long_word) - 1] = '\0';
	assert_int_equal(near_distance(long_word, "x"), NEAR_WORD_MAX);
}

static void test_offer(void **state)
{
	static const char *const words[] = {"status", "sites", "show", "flush", "why"};
	const char *best;
	(void)state;
#define NEAREST(word)                         \
	best = NULL;                          \
	for (size_t i = 0; i < 5; i++)        \
		near_offer(word, words[i], &best)
	NEAREST("stauts");
	assert_string_equal(best, "status");
	NEAREST("sits");
	assert_string_equal(best, "sites");
	NEAREST("elephant");
	assert_null(best);
	NEAREST("x");
	assert_null(best);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_distance),
	    cmocka_unit_test(test_offer),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
