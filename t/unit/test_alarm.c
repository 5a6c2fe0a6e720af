/* SPDX-License-Identifier: ISC */
/* qmgr/alarm: on a clock that the test turns, with the loop's one timer in the test's hands. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "lib/loop.h"
#include "qmgr/alarm.h"

#define MANY 3000

/* -- the loop: these stand in for its functions and libevent's */

static struct {
	uint64_t now, at; /* at 0: the timer isn't set */
	event_callback_fn fn;
	unsigned rings;
} loop = {.now = 1000000};

uint64_t loop_ms(void)
{
	return loop.now;
}

struct event_base *loop_base(void)
{
	return NULL;
}

struct event *event_new(
    struct event_base *base, evutil_socket_t fd, short what, event_callback_fn fn, void *arg)
{
	static char event;
	(void)base, (void)fd, (void)what, (void)arg;
	loop.fn = fn;
	return (struct event *)&event;
}

int event_add(struct event *event, const struct timeval *tv)
{
	(void)event;
	loop.at = loop.now + (uint64_t)tv->tv_sec * 1000 + (uint64_t)tv->tv_usec / 1000;
	return 0;
}

/* run - time passes, the timer rings when it is to */
static void run(uint64_t ms)
{
	uint64_t end = loop.now + ms;
	while (loop.at && loop.at <= end) {
		loop.now = loop.at;
		loop.at = 0;
		loop.rings++;
		loop.fn(-1, EV_TIMEOUT, NULL);
	}
	loop.now = end;
}

/* -- alarms */

static struct mine {
	struct alarm *alarm;
	uint64_t due; /* 0: not set */
	unsigned rang;
} mine[MANY];
static struct mine *victim; /* taken off by whoever rings next */
static uint64_t again;      /* whoever rings sets itself anew after so long */

static void off(struct mine *m)
{
	alarm_off(&m->alarm);
	m->due = 0;
}

static void ring(void *arg)
{
	struct mine *m = arg;
	alarm_off(&m->alarm);
	assert_int_equal(m->due, loop.now);
	m->due = 0;
	m->rang++;
	if (victim)
		off(victim);
	victim = NULL;
	if (again) {
		alarm_set(&m->alarm, again, ring, m);
		m->due = loop.now + again;
	}
}

static void set(struct mine *m, uint64_t ms)
{
	alarm_set(&m->alarm, ms, ring, m);
	m->due = loop.now + ms;
}

static int begin(void **state)
{
	(void)state;
	for (unsigned i = 0; i < MANY; i++)
		off(&mine[i]);
	memset(mine, 0, sizeof(mine));
	run(1);
	loop.rings = 0;
	again = 0;
	return 0;
}

/* Each rings at its time, near or many revolutions away, also when it was moved; none twice. */
static void test_times(void **state)
{
	uint64_t hour = 3600000;
	(void)state;
	srand(7);
	for (unsigned i = 0; i < MANY; i++)
		set(&mine[i], (uint64_t)rand() % (i % 3 ? hour : 2000));
	for (unsigned i = 0; i < MANY; i += 5)
		set(&mine[i], (uint64_t)rand() % hour);
	for (unsigned i = 1; i < MANY; i += 5)
		off(&mine[i]);
	run(hour);
	for (unsigned i = 0; i < MANY; i++)
		assert_int_equal(mine[i].rang, i % 5 != 1);
	/* the timer stood at nothing but their times, and those that were moved or taken off */
	assert_in_range(loop.rings, 1, MANY * 6 / 5);
	assert_int_equal(loop.at, 0);
}

/* Nothing is set: nothing wakes the process, for however long; then it works as before. */
static void test_rest(void **state)
{
	(void)state;
	set(&mine[0], 10);
	run(20);
	assert_int_equal(loop.at, 0);
	run(UINT64_C(100) * 86400 * 1000);
	assert_int_equal(loop.rings, 1);
	set(&mine[0], 0);
	set(&mine[1], 500);
	run(500);
	assert_int_equal(mine[0].rang, 2);
	assert_int_equal(mine[1].rang, 1);
}

/* Two ring at once, and the first one takes the second off. */
static void test_taken_off_while_ringing(void **state)
{
	(void)state;
	set(&mine[0], 100);
	set(&mine[1], 100);
	set(&mine[2], 100);
	victim = &mine[1];
	run(200);
	assert_int_equal(mine[0].rang + mine[2].rang, 2);
	assert_int_equal(mine[1].rang, 0);
}

/* Who sets himself anew while ringing rings then, not now. */
static void test_again(void **state)
{
	(void)state;
	again = 70000;
	set(&mine[0], 70000);
	run(700000);
	assert_int_equal(mine[0].rang, 10);
	assert_int_equal(loop.rings, 10);
}

/* One near among many far ones is met in time, and the far ones cost no wake-ups. */
static void test_near_among_far(void **state)
{
	(void)state;
	for (unsigned i = 1; i < MANY; i++)
		set(&mine[i], 7200000 + i);
	again = 1000;
	set(&mine[0], 1000);
	run(1000000);
	assert_int_equal(mine[0].rang, 1000);
	assert_int_equal(loop.rings, 1000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup(test_times, begin),
	    cmocka_unit_test_setup(test_rest, begin),
	    cmocka_unit_test_setup(test_taken_off_while_ringing, begin),
	    cmocka_unit_test_setup(test_again, begin),
	    cmocka_unit_test_setup(test_near_among_far, begin),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
