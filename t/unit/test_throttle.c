/* SPDX-License-Identifier: ISC */
/* qmgr/throttle and qmgr/rate: against a site that lets in so many, and a clock of our own. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "qmgr/rate.h"
#include "qmgr/throttle.h"

#define MAX   20
#define FIRST 30000
#define LAST  900000

static struct throttle t;
static uint32_t open, stands; /* connections; what the site stands */
static uint64_t now;
static unsigned refused;

/* turn - connections up to the limit, each carries a message in 100 ms */
static void turn(void)
{
	while (open < t.limit) {
		if (open < stands) {
			throttle_opened(&t, ++open, now);
			continue;
		}
		refused++;
		throttle_trouble(&t, THROTTLE_ENTRY, open, FIRST, LAST, now);
		break;
	}
	for (uint32_t i = 0; i < open; i++)
		throttle_accepted(&t, open, open, MAX, now);
	now += 100;
}

/* turns - for so many ms */
static void turns(uint64_t ms)
{
	for (uint64_t until = now + ms; now < until;)
		turn();
}

/* begin - a new site */
static void begin(uint32_t limit)
{
	throttle_init(&t);
	open = 0;
	refused = 0;
	stands = limit;
	now = 1000000;
}

/* Doubling a round until the configured limit, never above. */
static void test_slow_start(void **state)
{
	(void)state;
	static const uint32_t want[] = {4, 8, 16, 20, 20};
	begin(1000);
	for (size_t i = 0; i < sizeof(want) / sizeof(want[0]); i++) {
		turn();
		assert_int_equal(t.limit, want[i]);
	}
}

/* Finds the limit of the site, tries one above with growing distance, follows when it lifts. */
static void test_ceiling(void **state)
{
	(void)state;
	begin(5);
	turns(5000);
	assert_int_equal(t.ceiling, 5);
	assert_int_equal(t.limit, 5);
	assert_true(refused <= 2);
	refused = 0;
	turns(600000); /* tries after 30, 60, 120, 240 s */
	assert_true(refused >= 3 && refused <= 5);
	assert_int_equal(t.limit, 5);
	stands = 1000;
	turns(500000);
	assert_int_equal(t.ceiling, 0);
	assert_int_equal(t.limit, MAX);
	stands = 3;
	open = 3;
	throttle_trouble(&t, THROTTLE_SESSION, 3, FIRST, LAST, now);
	assert_true(t.limit <= 3 && t.hold_ms == FIRST);
	turns(1000);
	assert_int_equal(t.limit, 3);
}

/* Trouble in sessions halves, a burst counts once, one is the least. */
static void test_cut(void **state)
{
	(void)state;
	begin(1000);
	turns(2000);
	assert_int_equal(t.limit, 20);
	for (uint32_t left = 20; left-- > 15;)
		throttle_trouble(&t, THROTTLE_SESSION, left, FIRST, LAST, now);
	assert_int_equal(t.limit, 10);
	for (int i = 0; i < 10; i++) {
		now += THROTTLE_CUT_MS;
		throttle_trouble(&t, THROTTLE_SESSION, 1, FIRST, LAST, now);
	}
	assert_int_equal(t.limit, 1);
	assert_true(t.strikes >= THROTTLE_STRIKES);
	throttle_accepted(&t, 1, 1, MAX, now);
	assert_int_equal(t.strikes, 0);
}

/* After it was down: one, doubling, up to the ceiling that is known. */
static void test_restart(void **state)
{
	(void)state;
	begin(6);
	turns(3000);
	throttle_restart(&t);
	open = 0;
	refused = 0;
	assert_int_equal(t.limit, 1);
	turn();
	assert_int_equal(t.limit, 2);
	turn();
	assert_int_equal(t.limit, 4);
	turns(3000);
	assert_int_equal(t.limit, 6);
	assert_int_equal(refused, 0);
}

static struct msg_bytes text(const char *s)
{
	return (struct msg_bytes){.data = s, .len = (uint32_t)strlen(s)};
}

/* Which replies are trouble. */
static void test_replies(void **state)
{
	(void)state;
	static const struct {
		uint16_t code;
		const char *status, *text;
		bool trouble, refusal;
	} r[] = {
	    {421, "4.7.0", "try again later", true, false},
	    {421, "0.0.0", "closing", true, false},
	    {451, "4.7.650", "rate limited", true, true},
	    {450, "4.3.2", "shutting down", true, false},
	    {451, "4.4.2", "timeout", true, false},
	    {0, "4.4.2", "timed out at DATA", true, false},
	    {451, "4.7.1", "Greylisted for 5 minutes", false, false},
	    {450, "4.2.0", "Recipient address rejected: Greylisted", false, false},
	    {450, "4.2.1", "mailbox busy", false, false},
	    {452, "4.5.3", "too many recipients", false, false},
	    {451, "4.3.0", "local error", false, false},
	    {452, "4.3.20", "no", false, false},
	    {550, "5.7.1", "policy", false, false},
	    {250, "2.0.0", "ok", false, false},
	};
	for (size_t i = 0; i < sizeof(r) / sizeof(r[0]); i++) {
		bool refusal;
		bool trouble =
		    throttle_is_trouble(r[i].code, text(r[i].status), text(r[i].text), &refusal);
		if (trouble != r[i].trouble || refusal != r[i].refusal)
			fail_msg("%u %s %s", r[i].code, r[i].status, r[i].text);
	}
}

/* held - as rate_wait_us(), by somebody who has mail */
static int64_t held(struct rate *r, const struct conf_rate *limit, int64_t us)
{
	int64_t wait = rate_wait_us(r, limit, us);
	r->waits = r->waits || wait;
	return wait;
}

/* Exact over time though the caller always comes late; nothing is saved up. */
static void test_rate(void **state)
{
	(void)state;
	const struct conf_rate third = {.count = 3, .period = 1000};
	const struct conf_rate fast = {.count = 500, .period = 1000};
	const struct conf_rate none = {0};
	struct rate r = {0};
	int64_t us = 5000000, wait;
	unsigned n = 0;
	while (us < 65000000) { /* a minute */
		while (!held(&r, &third, us)) {
			rate_take(&r, &third, us);
			n++;
		}
		us += held(&r, &third, us) + 900;
	}
	assert_in_range(n, 179, 181);
	r = (struct rate){0};
	n = 0;
	for (us = 5000000; us < 65000000; us += wait + 3500) { /* late by more than an interval */
		while (!(wait = held(&r, &fast, us))) {
			rate_take(&r, &fast, us);
			n++;
		}
	}
	assert_in_range(n, 29900, 30001);
	int64_t stall = us + 500000; /* made up, but not at once */
	held(&r, &fast, us);
	for (n = 0, us = stall; us < stall + 100000; us += 1000) {
		for (; !held(&r, &fast, us); n++)
			rate_take(&r, &fast, us);
	}
	assert_in_range(n, 99, 101);
	for (; us < stall + 1500000; us += 1000) {
		for (; !held(&r, &fast, us); n++)
			rate_take(&r, &fast, us);
	}
	assert_in_range(n, 990, 1005); /* two seconds' worth since the stall began */
	r.waits = false;
	us += 10000000; /* idle for ten seconds: one goes, the next one when its time has come */
	rate_take(&r, &fast, us);
	assert_int_equal(held(&r, &fast, us), 2000);
	rate_back(&r, &fast);
	assert_int_equal(held(&r, &fast, us), 0);
	assert_int_equal(held(&r, &none, us), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_slow_start),
	    cmocka_unit_test(test_ceiling),
	    cmocka_unit_test(test_cut),
	    cmocka_unit_test(test_restart),
	    cmocka_unit_test(test_replies),
	    cmocka_unit_test(test_rate),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
