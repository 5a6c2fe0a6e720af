/* SPDX-License-Identifier: ISC */
/*
 * qmgr from SUBMIT to the end of each recipient, with neighbours that the test plays: grouping,
 * retries, bounces, limits, sites that are down, writers that lie.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "lib/clock.h"
#include "lib/envelope.h"
#include "qmgr/message.h"
#include "qmgr/schedule.h"
#include "qmgr/segments.h"
#include "qmgr/site.h"
#include "qmgr_world.h"

#define HOP "[127.0.0.1]:25"

WORLD_SELF

static int setup(void **state)
{
	(void)state;
	world_make("route \"*\" { to = \"" HOP "\" }\n"
		   "route \"gone.test\" { to = \"error:moved away\" }\n"
		   "route \"nobody.test\" { to = \"discard\" }\n"
		   "site \"*\" { connections = 2  recipients_per_message = 3  "
		   "messages_per_connection = 100000 }\n"
		   "retry { first = \"1s\"  max = \"2s\"  warn = \"0s\"  lifetime = \"2s\" }");
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	world_clean();
	return 0;
}

static const char *const one[] = {"b@example.net"};

/* begin - a queue with its neighbours, and a segment */
static void begin(void)
{
	world_open();
	world_link();
	world_want(SEGMENT_SHARED);
	check(world_until(world_granted, 3000));
}

/* message - the next one, submitted */
static uint64_t message(const char *sender, const char *const *rcpts, unsigned n)
{
	static uint64_t id;
	uint64_t at = world_record(world_seg.first_id + id++, sender, rcpts, n);
	world_submit();
	return at;
}

static unsigned want_jobs;
static uint64_t want_committed;

static bool jobs(void)
{
	return world_njobs >= want_jobs;
}

static bool committed(void)
{
	return world_committed >= want_committed;
}

/* expect_jobs - so many, and no more */
static void expect_jobs(unsigned n, unsigned ms)
{
	want_jobs = n;
	check(world_until(jobs, ms));
	world_for(100);
	check(world_njobs == n);
}

static bool empty(void)
{
	return message_count() == 0 && rcpt_count() == 0;
}

/* Recipients of a message share transactions up to the limit, whatever their domain on a hop. */
static void grouping(void)
{
	static const char *const four[] = {"a@p.test", "b@q.test", "c@p.test", "d@r.test"};
	begin();
	message("s@x", four, 4);
	expect_jobs(2, 2000);
	check(world_jobs[0].n + world_jobs[1].n == 4);
	check(world_jobs[0].n == 3 || world_jobs[1].n == 3);
}

/* A deferral comes again after its interval; what was sent doesn't. */
static void retry(void)
{
	static const char *const two[] = {"a@p.test", "b@q.test"};
	begin();
	message("s@x", two, 2);
	expect_jobs(1, 2000);
	int64_t t0 = clock_ms();
	struct world_job first = world_jobs[0], second = world_jobs[0];
	first.n = 1;
	second.n = 1;
	second.number[0] = first.number[0] ? 0 : 1;
	world_answer(&first, OUT_SENT, 250, "ok");
	world_answer(&second, OUT_DEFERRED, 451, "later");
	expect_jobs(2, 3000);
	check(clock_ms() - t0 >= 950);
	check(world_jobs[1].n == 1 && world_jobs[1].number[0] == second.number[0]);
	world_answer(&world_jobs[1], OUT_SENT, 250, "ok");
	want_committed = 3;
	check(world_until(committed, 2000));
	check(world_until(empty, 2000));
}

/* A failure is reported by a notice job, and only when that is out the message has ended. */
static void bounce(void)
{
	begin();
	message("s@x", one, 1);
	expect_jobs(1, 2000);
	world_answer(&world_jobs[0], OUT_FAILED, 550, "no such user");
	expect_jobs(2, 4000);
	check(world_jobs[1].kind == JOB_NOTICE && world_jobs[1].offset == world_jobs[0].offset);
	check(!strcmp(world_jobs[1].sender, "s@x"));
	world_answer(&world_jobs[1], OUT_DEFERRED, 452, "smtpd is full");
	expect_jobs(3, 4000);
	check(world_jobs[2].kind == JOB_NOTICE);
	world_answer(&world_jobs[2], OUT_SENT, 250, "ok");
	check(world_until(empty, 2000));
}

/* Nobody is told of the failure of a notice. */
static void null_sender(void)
{
	begin();
	message("", one, 1);
	expect_jobs(1, 2000);
	world_answer(&world_jobs[0], OUT_FAILED, 550, "no such user");
	check(world_until(empty, 2000));
	check(world_njobs == 1);
}

/* An attempt made after the lifetime has ended is the last one. */
static void expiry(void)
{
	world_answers = true;
	world_outcome = OUT_DEFERRED;
	begin();
	message("s@x", one, 1);
	want_jobs = 3;
	check(world_until(jobs, 8000));
	unsigned i = 0;
	while (i < world_njobs && world_jobs[i].kind == JOB_MAIL)
		i++;
	while (i == world_njobs) {
		world_for(50);
		check(i < 10);
		i += world_njobs > i && world_jobs[i].kind == JOB_MAIL;
	}
	check(i >= 2 && world_jobs[i].kind == JOB_NOTICE);
}

/* Not tried is no attempt: it comes at once, again and again. */
static void not_tried(void)
{
	begin();
	message("s@x", one, 1);
	for (unsigned i = 0; i < 5; i++) {
		expect_jobs(i + 1, 500);
		world_answer(&world_jobs[i], OUT_NOT_TRIED, 0, "");
	}
}

/* No more connections than the site may have, no more jobs than they may hold. */
static void limits(void)
{
	begin();
	for (unsigned i = 0; i < 100; i++)
		message("s@x", one, 1);
	expect_jobs(2 * POOL_WINDOW, 2000);
	check(world_opens == 2);
	world_answers = true;
	for (unsigned i = 0; i < 2 * POOL_WINDOW; i++)
		world_answer(&world_jobs[i], OUT_SENT, 250, "ok");
	expect_jobs(100, 3000);
	check(world_opens == 2);
	check(world_until(empty, 2000));
}

/* A site that can't be reached costs one try an interval, and its mail no memory; a flush probes.
 */
static void down(void)
{
	begin();
	world_verdict = OPEN_UNREACHABLE;
	for (unsigned i = 0; i < 50; i++)
		message("s@x", one, 1);
	world_for(600);
	check(world_opens == 1 && world_njobs == 0);
	check(site_find(HOP)->state == SITE_DOWN);
	check(empty());
	world_verdict = OPEN_OK;
	world_answers = true;
	site_flush(site_find(HOP));
	expect_jobs(50, 3000);
	check(site_find(HOP)->state == SITE_UP);
	check(world_until(empty, 2000));
}

/* Probes come by themselves; mail that outlives its time meanwhile is bounced after one. */
static void down_expiry(void)
{
	begin();
	world_verdict = OPEN_UNREACHABLE;
	message("s@x", one, 1);
	world_for(1000);
	check(site_find(HOP)->state != SITE_UP); /* a probe may be on its way just now */
	world_for(2500);
	world_verdict =
	    OPEN_OK; /* for the notice; the hop is refused a moment longer by its timer */
	want_jobs = 1;
	check(world_until(jobs, 8000));
	check(world_jobs[0].kind == JOB_NOTICE || world_jobs[0].kind == JOB_MAIL);
}

/* Routes that end mail by themselves. */
static void ends(void)
{
	static const char *const both[] = {"a@nobody.test", "b@gone.test"};
	begin();
	message("s@x", both, 2);
	expect_jobs(1, 3000);
	check(world_jobs[0].kind == JOB_NOTICE && world_jobs[0].n == 1);
	check(!strcmp(world_jobs[0].address[0], "b@gone.test"));
}

/* What the worker says can't be sent is kept, and not tried again. */
static void damaged(void)
{
	begin();
	message("s@x", one, 1);
	expect_jobs(1, 2000);
	world_answer(&world_jobs[0], OUT_DAMAGED, 0, "");
	world_for(1500);
	check(world_njobs == 1);
	check(segment_find(world_seg.name)->rows == 1);
}

/* A dead worker's jobs go to the next one. */
static void worker_dies(void)
{
	begin();
	for (unsigned i = 0; i < 3; i++)
		message("s@x", one, 1);
	expect_jobs(3, 2000);
	world_answer(&world_jobs[0], OUT_SENT, 250, "ok"); /* heard before its end */
	world_deliver_dies();
	world_for(50);
	world_answers = true;
	world_link_deliver(1);
	world_inflight_end();
	expect_jobs(5, 3000);
	check(world_until(empty, 2000));
}

/* More than the window holds: memory is bounded, and everything goes in the end. */
static void window(void)
{
	static const char *const r[] = {"a@p.test"};
	begin();
	world_verdict = OPEN_LOCAL_LIMIT; /* nobody takes anything: up, but without a connection */
	for (unsigned i = 0; i < 6000; i++)
		world_record(world_seg.first_id + i, "s@x", r, 1);
	world_submit();
	world_for(1500);
	check(schedule_active() <= WINDOW_DEST);
	check(rcpt_count() <= WINDOW_DEST);
	check(segment_find(world_seg.name)->rows == 6000);
	world_verdict = OPEN_OK;
	world_answers = true;
	want_jobs = 6000;
	check(world_until(jobs, 15000));
	check(world_until(empty, 3000));
	check(world_njobs == 6000);
}

/* -- writers that lie or fail */

static bool link_closed(void)
{
	return !world_smtpd;
}

static void beyond_the_limit(void)
{
	begin();
	CHAN_SEND(world_smtpd, smtpd_submit, .segment = world_seg.name, .end = world_seg.limit + 1);
	check(world_until(link_closed, 1000));
	world_link_smtpd(1);
	world_repeated();
	world_want(SEGMENT_SHARED);
	check(world_until(world_granted, 1000)); /* we live */
}

static void another_ones_segment(void)
{
	begin();
	uint64_t name = world_seg.name;
	struct chan *first = world_smtpd;
	world_link_smtpd(2);
	check(world_smtpd != first);
	CHAN_SEND(world_smtpd, smtpd_submit, .segment = name, .end = 0);
	check(world_until(link_closed, 1000));
	check(segment_find(name)->state == SEGMENT_GRANTED);
}

/* A record that isn't whole ends the reading there; what lies before it goes its way. */
static void broken_record(void)
{
	begin();
	world_answers = true;
	world_record(world_seg.first_id, "s@x", one, 1);
	uint64_t bad = world_record(world_seg.first_id + 1, "s@x", one, 1);
	world_record(world_seg.first_id + 2, "s@x", one, 1);
	check(pwrite(world_seg.fd, "?", 1, (off_t)(bad + RECORD_HEADER + 3)) == 1);
	world_submit();
	expect_jobs(1, 2000);
	struct segment *seg = segment_find(world_seg.name);
	check(seg->damaged && seg->read == bad);
	world_smtpd_dies();
	world_for(300);
	check(segment_find(world_seg.name) == seg); /* the file is kept */
}

static void ids_that_fall(void)
{
	begin();
	world_answers = true;
	world_record(world_seg.first_id + 5, "s@x", one, 1);
	world_record(world_seg.first_id + 4, "s@x", one, 1);
	world_submit();
	expect_jobs(1, 2000);
	check(segment_find(world_seg.name)->damaged);
}

static void ids_of_another(void)
{
	begin();
	world_record(world_seg.first_id + world_seg.ids, "s@x", one, 1);
	world_submit();
	world_for(300);
	check(world_njobs == 0 && segment_find(world_seg.name)->damaged);
}

/* -- segments come and go */

static uint64_t wanted_name;

static bool reused(void)
{
	return world_files(".free") > 0 && !segment_find(wanted_name);
}

/* Sealed and all delivered: the file goes to the pool, and is granted again under a new name. */
static void recycled(void)
{
	begin();
	world_answers = true;
	message("s@x", one, 1);
	wanted_name = world_seg.name;
	CHAN_SEND(world_smtpd, smtpd_sealed, .segment = world_seg.name, .end = world_seg.end);
	check(world_until(reused, 3000));
	check(world_released >= 1);
	for (unsigned i = 0; i < 4; i++) {
		world_want(SEGMENT_SHARED);
		check(world_until(world_granted, 2000));
		if (world_seg.size > 0)
			return;
	}
	check(!"the file of the pool was granted");
}

/* One that was never written is taken whole when it is sealed: its writer may forget it. */
static bool was_told(void)
{
	return world_takens > 0;
}

static void sealed_empty(void)
{
	begin();
	CHAN_SEND(world_smtpd, smtpd_sealed, .segment = world_seg.name, .end = 0);
	check(world_until(was_told, 1000));
}

/* A writer that dies leaves what it had submitted, no more. */
static void writer_dies(void)
{
	begin();
	world_answers = true;
	message("s@x", one, 1);
	world_record(world_seg.first_id + 1, "s@x", one, 1); /* never submitted */
	world_smtpd_dies();
	expect_jobs(1, 2000);
	world_for(500);
	check(world_njobs == 1 && !segment_find(world_seg.name));
}

/* -- arithmetic */

static void test_interval(void **state)
{
	(void)state;
	const struct conf_retry retry = {.first = 60000, .factor = 2000, .max = 14400000};
	static const struct {
		unsigned attempts;
		uint64_t least, most;
	} rows[] = {
	    {1, 60000, 75000},
	    {2, 90000, 150000},
	    {3, 180000, 300000},
	    {8, 5760000, 9600000},
	    {9, 10800000, 18000000},
	    {60000, 10800000, 18000000},
	};
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		assert_true(schedule_interval(&retry, rows[i].attempts, 0) == rows[i].least);
		uint64_t most = schedule_interval(&retry, rows[i].attempts, UINT32_MAX);
		assert_in_range(most, rows[i].most - 1, rows[i].most);
	}
	const struct conf_retry still = {.first = 1000, .factor = 1000, .max = 1000};
	assert_true(schedule_interval(&still, 500, 0) == 1000);
}

#define RUN(fn)                             \
	static void test_##fn(void **state) \
	{                                   \
		(void)state;                \
		world_run(fn);              \
	}
RUN(grouping)
RUN(retry)
RUN(bounce)
RUN(null_sender)
RUN(expiry)
RUN(not_tried)
RUN(limits)
RUN(down)
RUN(down_expiry)
RUN(ends)
RUN(damaged)
RUN(worker_dies)
RUN(window)
RUN(beyond_the_limit)
RUN(another_ones_segment)
RUN(broken_record)
RUN(ids_that_fall)
RUN(ids_of_another)
RUN(recycled)
RUN(sealed_empty)
RUN(writer_dies)

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(test_##name, setup, teardown)
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_interval),
	    T(grouping),
	    T(retry),
	    T(bounce),
	    T(null_sender),
	    T(expiry),
	    T(not_tried),
	    T(limits),
	    T(down),
	    T(down_expiry),
	    T(ends),
	    T(damaged),
	    T(worker_dies),
	    T(window),
	    T(beyond_the_limit),
	    T(another_ones_segment),
	    T(broken_record),
	    T(ids_that_fall),
	    T(ids_of_another),
	    T(recycled),
	    T(sealed_empty),
	    T(writer_dies),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
