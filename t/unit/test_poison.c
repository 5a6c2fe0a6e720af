/* SPDX-License-Identifier: ISC */
/*
 * The poison guard: what ends a worker twice is set aside, what was only in its company is not, and
 * a word of ours brings it back. The worker of these tests dies whenever it holds a certain
 * message.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "lib/clock.h"
#include "qmgr/index.h"
#include "qmgr/load.h"
#include "qmgr/message.h"
#include "qmgr/poison.h"
#include "qmgr/route.h"
#include "qmgr/segments.h"
#include "qmgr/site.h"
#include "qmgr_world.h"

#define MESSAGES (THROTTLE_START * POOL_WINDOW) /* all that a new site's connections hold */

WORLD_SELF

static int setup(void **state)
{
	(void)state;
	world_make("route \"*\" { to = \"[127.0.0.1]:25\" }\n"
		   "route \"gone.test\" { to = \"error:moved away\" }\n"
		   "retry { first = \"1s\" }");
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	world_clean();
	return 0;
}

static const char *const one[] = {"b@example.net"};
static uint64_t poison; /* the ID over which workers die; 0: none */
static unsigned deaths, most_in_hand;

/* unanswered - jobs that the worker holds since `first` */
static unsigned unanswered(unsigned first)
{
	unsigned n = 0;
	for (unsigned i = first; i < world_njobs; i++)
		n += !world_jobs[i].answered;
	return n;
}

static unsigned before; /* jobs of before */

/* in_hand - the worker holds something */
static bool in_hand(void)
{
	return unanswered(before) > 0;
}

static bool nothing_left(void)
{
	return message_count() == 0;
}

/* set_aside - the poison has done what it can, and nothing else is left */
static bool set_aside(void)
{
	return deaths >= 2 && nothing_left();
}

/* holds_poison - since `first` */
static bool holds_poison(unsigned first)
{
	for (unsigned i = first; i < world_njobs; i++) {
		if (!world_jobs[i].answered && world_jobs[i].id == poison)
			return true;
	}
	return false;
}

/*
 * work - workers that answer everything but die of the poison, until all is done and nothing has
 * come for a while
 */
static void work(void)
{
	int64_t until = clock_ms() + WORLD_PATIENCE * 3000;
	unsigned first = world_njobs;
	for (int quiet = 0; quiet < 10 && clock_ms() < until; quiet++) {
		unsigned known = world_njobs;
		world_for(30);
		if (world_njobs != known || !set_aside())
			quiet = 0;
		if (unanswered(first) > most_in_hand)
			most_in_hand = unanswered(first);
		if (holds_poison(first)) {
			deaths++;
			world_deliver_dies();
			world_for(20);
			first = world_njobs;
			most_in_hand = deaths > 1 ? most_in_hand : 0;
			world_link_deliver(1);
			world_inflight_end();
			continue;
		}
		for (unsigned i = first; i < world_njobs; i++) {
			if (!world_jobs[i].answered)
				world_answer(&world_jobs[i], OUT_SENT, 250, "ok");
		}
	}
}

/* begin - a queue with so many messages submitted at once */
static void begin(const char *const *to)
{
	world_open();
	world_link();
	world_want(SEGMENT_SHARED);
	check(world_until(world_granted, 3000));
	for (unsigned i = 0; i < MESSAGES; i++)
		world_record(world_seg.first_id + i, "s@x", to, 1);
	world_submit();
}

/* read_back - the poison's recipient, as a verb brings it into memory */
static struct rcpt *read_back(uint8_t was)
{
	struct rows rows;
	struct row row;
	size_t pos = 0;
	rows_init(&rows);
	check(index_read_begin() == 0 && rows_add(&rows, poison, 0) == 0);
	index_read_end();
	check(rows_next(&rows, &pos, &row) == 1);
	check(row.rcpt.stage == STAGE_POISON && row.rcpt.was == was && row.rcpt.dest.len == 0);
	struct rcpt *rcpt = row_load(&row);
	check(rcpt);
	route_assign(rcpt);
	rows_free(&rows);
	return rcpt;
}

/* is_sent - one more job, and it is done */
static bool is_sent(void)
{
	return world_njobs > before && nothing_left();
}

/* guard - what is set aside, and comes back when it is released */
static void guard(const char *const *to, uint8_t stage)
{
	begin(to);
	poison = world_seg.first_id + 3;
	work();
	check(deaths == 2);
	check(most_in_hand <= 1); /* suspects came singly */
	check(message_count() == 0);
	world_for(1200); /* not tried when its interval is over */
	check(deaths == 2 && message_count() == 0);
	before = world_njobs;
	world_answers = true;
	poison_release(read_back(stage));
	check(world_until(is_sent, 3000));
	world_for(300); /* once */
	check(world_njobs == before + 1 && world_jobs[before].id == poison);
	check(world_jobs[before].kind == (stage == STAGE_MAIL ? JOB_MAIL : JOB_NOTICE));
	check(message_count() == 0);
}

static void mail(void)
{
	guard(one, STAGE_MAIL);
}

static void notice(void)
{
	static const char *const gone[] = {"b@gone.test"};
	guard(gone, STAGE_FAILED);
}

static bool no_rows(void)
{
	return segment_find(world_seg.name)->rows == 0;
}

/* one_suspect - the worker dies; the next one gets one message, alone: the number of its job */
static unsigned one_suspect(void)
{
	world_deliver_dies();
	world_for(20);
	before = world_njobs;
	world_link_deliver(1);
	world_inflight_end();
	check(world_until(in_hand, 3000));
	world_for(50);
	check(world_njobs == before + 1);
	return before;
}

/* Workers that end of something else, with other messages in hand each time: nobody is set aside.
 */
static void innocent(void)
{
	begin(one);
	for (unsigned i = 1; i <= 3; i++) {
		before = world_njobs;
		check(world_until(in_hand, 3000));
		before = one_suspect();
		world_answers = true;
		world_answer(&world_jobs[before], OUT_SENT, 250, "ok");
		check(world_until(nothing_left, 3000));
		check(world_until(no_rows, 3000));
		world_answers = false;
		for (unsigned k = 0; k < MESSAGES; k++)
			world_record(world_seg.first_id + i * MESSAGES + k, "s@x", one, 1);
		world_submit();
	}
}

static bool another_job(void)
{
	return world_njobs > before + 1;
}

static bool one_left(void)
{
	return message_count() == 1; /* all but the one that isn't answered */
}

/* One that no answer comes for doesn't hold up the others for longer than its turn. */
static void slow(void)
{
	begin(one);
	before = 0;
	check(world_until(in_hand, 3000));
	int64_t now = clock_ms();
	unsigned first = one_suspect();
	check(world_until(another_job, POISON_TURN_MS * 2));
	check(clock_ms() - now >= POISON_TURN_MS - 500); /* it had its turn */
	check(!world_jobs[first].answered);
	world_answers = true;
	for (unsigned i = first + 1; i < world_njobs; i++)
		world_answer(&world_jobs[i], OUT_SENT, 250, "ok");
	check(world_until(one_left, 3000));
}

#define RUN(name)                             \
	static void test_##name(void **state) \
	{                                     \
		(void)state;                  \
		world_run(name);              \
	}

RUN(mail)
RUN(notice)
RUN(innocent)
RUN(slow)

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(test_##name, setup, teardown)
	const struct CMUnitTest tests[] = {T(mail), T(notice), T(innocent), T(slow)};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
