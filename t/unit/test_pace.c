/* SPDX-License-Identifier: ISC */
/* qmgr/pace: a burst, then a rate; every notice gets a time, and nobody another one's. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "lib/child.h"
#include "lib/log.h"
#include "qmgr/pace.h"

static const struct child_self self = {0};

const struct child_self *child_self(void)
{
	return &self;
}

static const struct pace_rule rule = {.burst = 100, .count = 20, .period = 60000, .ahead = 3600000};

/* A thousand at once: the burst now, the others three seconds apart, as far ahead as is given out.
 */
static void test_storm(void **state)
{
	uint64_t now = 1000000, last = 0;
	bool again;
	(void)state;
	for (unsigned i = 0; i < 1000; i++) {
		uint64_t at = pace_slot("a@b.test", &rule, now, &again);
		assert_false(again);
		assert_int_equal(at, i < 100 ? now : now + (i - 99) * UINT64_C(3000));
		last = at;
	}
	/* Somebody else isn't held back by that. */
	assert_int_equal(pace_slot("c@d.test", &rule, now, &again), now);
	/* While time passes it goes on at the rate; when all is worked off there is a burst again.
	 */
	assert_int_equal(pace_slot("a@b.test", &rule, last, &again), last + 3000);
	now = last + 101 * UINT64_C(3000);
	for (unsigned i = 0; i < 100; i++)
		assert_int_equal(pace_slot("a@b.test", &rule, now, &again), now);
	assert_true(pace_slot("a@b.test", &rule, now, &again) > now);
}

/* Beyond `ahead` no time is reserved: who comes again finds the place of others free. */
static void test_far_ahead(void **state)
{
	uint64_t now = UINT64_C(900000000);
	bool again;
	unsigned own = 0;
	(void)state;
	for (unsigned i = 0; i < 5000; i++) {
		uint64_t at = pace_slot("far@b.test", &rule, now, &again);
		own += !again;
		assert_true(again ? at >= now + rule.ahead && at <= now + rule.ahead * 3 / 2
				  : at <= now + rule.ahead);
	}
	assert_int_equal(own, 100 + 1200);
	now += rule.ahead;
	pace_slot("far@b.test", &rule, now, &again);
	assert_false(again);
}

static void test_no_limit(void **state)
{
	const struct pace_rule none = {.burst = 1};
	bool again;
	(void)state;
	for (unsigned i = 0; i < 1000; i++)
		assert_int_equal(pace_slot("n@b.test", &none, 5, &again), 5);
}

/* What is known of addresses is bounded, and forgotten when it is of no use. */
static void test_memory(void **state)
{
	char address[40];
	bool again;
	(void)state;
	for (unsigned i = 0; i < PACE_ADDRESSES + 1000; i++) {
		snprintf(address, sizeof(address), "%u@b.test", i);
		pace_slot(address, &rule, UINT64_C(2000000000), &again);
	}
	assert_true(pace_count() <= PACE_ADDRESSES + 1);
	for (unsigned i = 0; i < PACE_ADDRESSES; i++)
		pace_slot("one@b.test", &rule, UINT64_C(3000000000), &again);
	assert_true(pace_count() < 10);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_storm),
	    cmocka_unit_test(test_far_ahead),
	    cmocka_unit_test(test_no_limit),
	    cmocka_unit_test(test_memory),
	};
	return cmocka_run_group_tests_name("pace", tests, NULL, NULL);
}
