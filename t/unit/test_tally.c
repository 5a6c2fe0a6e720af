/* SPDX-License-Identifier: ISC */
/* lib/tally: sums over workers, the end of one, full buckets, clients that are one network. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "lib/loop.h"
#include "lib/tally.h"

#define PERIOD 3600000 /* ms */

/* at - an address */
static struct dns_addr at(const char *text)
{
	struct dns_addr a;
	assert_int_equal(dns_addr_parse(text, strlen(text), &a), 0);
	return a;
}

/* enter - one session more of it */
static struct tally_client *enter(const char *text)
{
	struct dns_addr a = at(text);
	return tally_enter(&a);
}

/* same_hour - a test of rates begins and ends in one period */
static void same_hour(void)
{
	while (loop_ms() % PERIOD > PERIOD - 5000)
		loop_turn();
}

static void alone(void **state)
{
	(void)state;
	same_hour();
	struct tally_client *a = enter("192.0.2.1"), *b = enter("192.0.2.1");
	struct tally_client *other = enter("192.0.2.2");
	assert_ptr_equal(a, b);
	assert_int_equal(tally_open(a), 2);
	assert_int_equal(tally_open(other), 1);
	tally_leave(b);
	assert_int_equal(tally_open(a), 1);
	assert_int_equal(tally_rate(a, TALLY_MESSAGES, PERIOD, 1), 1);
	assert_int_equal(tally_rate(a, TALLY_MESSAGES, PERIOD, 2), 3);
	assert_int_equal(tally_rate(a, TALLY_ERRORS, PERIOD, 0), 0);
	assert_int_equal(tally_rate(other, TALLY_MESSAGES, PERIOD, 0), 0);
	tally_leave(a);
	tally_leave(other);
	assert_int_equal(tally_sessions(7), 7);
	tally_sessions(0);
	assert_int_equal(tally_open(NULL), 0);
	assert_int_equal(tally_rate(NULL, TALLY_ERRORS, PERIOD, 5), 0);
	tally_leave(NULL);
}

/* A client that comes back within the period finds its counts; a new period has none. */
static void periods(void **state)
{
	(void)state;
	same_hour();
	tally_leave(enter("192.0.2.3"));
	struct tally_client *a = enter("192.0.2.3");
	assert_int_equal(tally_rate(a, TALLY_CONNECTIONS, PERIOD, 4), 4);
	tally_leave(a);
	a = enter("192.0.2.3");
	assert_int_equal(tally_rate(a, TALLY_CONNECTIONS, PERIOD, 0), 4);
	assert_int_equal(tally_rate(a, TALLY_RECIPIENTS, 1, 3), 3);
	for (uint64_t now = loop_ms(); loop_ms() < now + 2;)
		loop_turn();
	assert_int_equal(tally_rate(a, TALLY_RECIPIENTS, 1, 1), 1);
	tally_leave(a);
}

static void networks(void **state)
{
	(void)state;
	struct tally_client *a = enter("2001:db8::1"), *b = enter("2001:db8::ffff:1");
	struct tally_client *c = enter("2001:db8:0:1::1"), *v4 = enter("32.1.13.184");
	assert_ptr_equal(a, b);
	assert_ptr_not_equal(a, c);
	assert_ptr_not_equal(a, v4);
	assert_int_equal(tally_open(a), 2);
	assert_int_equal(tally_open(enter("::")), 1);
	tally_leave(enter("::1")); /* the same network */
	tally_leave(a);
	tally_leave(b);
	tally_leave(c);
	tally_leave(v4);
}

/* Workers add up; what a dead one held is gone, and its successor begins at nothing. */
static void workers(void **state)
{
	(void)state;
	same_hour();
	int fd = tally_create();
	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, 0), -1);
	assert_int_equal(tally_attach(fd, 0), -EINVAL);
	assert_int_equal(tally_attach(fd, TALLY_WORKERS + 1), -EINVAL);
	assert_int_equal(tally_attach(STDIN_FILENO, 1) < 0, 1);

	assert_int_equal(tally_attach(fd, 1), 0);
	struct tally_client *one = enter("192.0.2.1");
	assert_ptr_equal(enter("192.0.2.1"), one);
	assert_int_equal(tally_rate(one, TALLY_MESSAGES, PERIOD, 5), 5);
	assert_int_equal(tally_sessions(2), 2);

	assert_int_equal(tally_attach(fd, TALLY_WORKERS), 0);
	struct tally_client *two = enter("192.0.2.1");
	assert_ptr_not_equal(one, two);
	assert_int_equal(tally_open(two), 3);
	assert_int_equal(tally_rate(two, TALLY_MESSAGES, PERIOD, 1), 6);
	assert_int_equal(tally_sessions(1), 3);

	tally_forget(fd, 1);
	assert_int_equal(tally_open(two), 1);
	assert_int_equal(tally_rate(two, TALLY_MESSAGES, PERIOD, 0), 1);
	assert_int_equal(tally_sessions(1), 1);

	assert_int_equal(tally_attach(fd, TALLY_WORKERS), 0); /* killed, started again */
	assert_int_equal(tally_sessions(0), 0);
	assert_int_equal(tally_open(enter("192.0.2.1")), 1);
	tally_forget(fd, TALLY_WORKERS);
	close(fd);
}

/* More clients than there is room: those with sessions keep their place, the rest go uncounted. */
static void crowd(void **state)
{
	enum { CLIENTS = 3 * TALLY_BUCKETS * TALLY_WAYS };
	static struct tally_client *c[CLIENTS];
	unsigned counted = 0;
	(void)state;
	int fd = tally_create();
	assert_int_equal(tally_attach(fd, 3), 0);
	for (unsigned i = 0; i < CLIENTS; i++) {
		struct dns_addr a = {.family = 4};
		a.bytes[0] = 10;
		a.bytes[1] = (uint8_t)(i >> 16);
		a.bytes[2] = (uint8_t)(i >> 8);
		a.bytes[3] = (uint8_t)i;
		c[i] = tally_enter(&a);
		counted += c[i] != NULL;
	}
	assert_true(counted > TALLY_BUCKETS * TALLY_WAYS * 9 / 10);
	assert_true(counted <= TALLY_BUCKETS * TALLY_WAYS);
	for (unsigned i = 0; i < CLIENTS; i++)
		assert_int_equal(tally_open(c[i]), c[i] != NULL);
	for (unsigned i = 0; i < CLIENTS; i++)
		tally_leave(c[i]);
	struct dns_addr last = {.family = 4, .bytes = {10, 9, 9, 9}};
	struct tally_client *l = tally_enter(&last);
	assert_int_equal(tally_open(l), 1);
	assert_int_equal(tally_rate(l, TALLY_MESSAGES, PERIOD, 1), 1);
	close(fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(alone),
	    cmocka_unit_test(periods),
	    cmocka_unit_test(networks),
	    cmocka_unit_test(workers),
	    cmocka_unit_test(crowd),
	};
	loop_init();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
