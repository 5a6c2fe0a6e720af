/* SPDX-License-Identifier: ISC */
/* lib/clock: units agree, the turn's time stands still until the next turn. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <unistd.h>

#include <cmocka.h>

#include "lib/clock.h"

static void test_units(void **state)
{
	(void)state;
	int64_t us = clock_us(), ms = clock_ms();
	assert_true(ms >= us / 1000 && ms - us / 1000 < 1000);
	int64_t wall_us = clock_wall_us(), wall_ms = clock_wall_ms();
	assert_true(wall_ms >= wall_us / 1000 && wall_ms - wall_us / 1000 < 1000);
	assert_true(wall_ms / 1000 >= 1700000000);
}

static void test_turn(void **state)
{
	(void)state;
	assert_true(clock_turn_ms() > 0);
	int64_t t = clock_turn();
	usleep(3000);
	assert_true(clock_turn_ms() == t);
	assert_true(clock_turn() > t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_units),
	    cmocka_unit_test(test_turn),
	};
	return cmocka_run_group_tests_name("clock", tests, NULL, NULL);
}
