/* SPDX-License-Identifier: ISC */
/*
 * qmgr/QUEUE: what a start makes of whatever a killed queue left. Each step runs in a process of
 * its own, which ends without a word; the next one finds spool and index as they are.
 */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#include "qmgr/donefile.h"
#include "qmgr/queue.h"
#include "qmgr/segments.h"
#include "qmgr_world.h"

/* What one process tells the next: shared memory. */
static struct {
	struct world_segment seg;
	uint64_t offset[8];
} * left;

WORLD_SELF

static int setup(void **state)
{
	(void)state;
	left = mmap(NULL, sizeof(*left), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	world_make("route \"*\" { to = \"[127.0.0.1]:25\" }\nretry { first = \"1h\" }");
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	munmap(left, sizeof(*left));
	world_clean();
	return 0;
}

static const char *const one[] = {"b@example.net"};
static const char *const two[] = {"b@example.net", "c@example.net"};

/* grant - a segment of the running queue */
static void grant(void)
{
	world_want(SEGMENT_SHARED);
	check(world_until(world_granted, 3000));
}

/* keep - what is known of the segment, for the next process */
static void keep(void)
{
	left->seg = world_seg;
}

/* again - the same segment in the hands of the same smtpd, after a start */
static void again(void)
{
	char path[128];
	world_seg = left->seg;
	snprintf(path, sizeof(path), "%s/segments/%016llx", world_dir(),
	    (unsigned long long)world_seg.name);
	world_seg.fd = open(path, O_WRONLY);
	world_seg.taken = 0;
}

static bool all_taken(void)
{
	return world_seg.taken == world_seg.end;
}

static bool a_job(void)
{
	return world_njobs > 0;
}

static bool two_jobs(void)
{
	return world_njobs > 1;
}

static bool no_segment(void)
{
	return world_files("") <= 4; /* the spares that are made ahead */
}

/* -- first lives */

static void granted_only(void)
{
	world_open();
	world_link();
	grant();
	keep();
}

static void written_only(void)
{
	granted_only();
	left->offset[0] = world_record(world_seg.first_id, "a@x", one, 1);
	left->offset[1] = world_record(world_seg.first_id + 1, "a@x", two, 2);
	keep();
}

/* Three records, the index knows them, nothing delivered: the worker doesn't answer. */
static void taken(void)
{
	granted_only();
	for (unsigned i = 0; i < 3; i++)
		left->offset[i] = world_record(world_seg.first_id + i, "a@x", one, 1);
	world_submit();
	check(world_until(all_taken, 3000));
	keep();
}

/* Three records, all delivered; the results are committed. */
static bool committed_all(void)
{
	return world_committed == 3;
}

static void delivered(void)
{
	world_answers = true;
	taken();
	check(world_until(committed_all, 3000));
}

/* The same, with the last one still on the wire. */
static bool three_jobs(void)
{
	return world_njobs == 3;
}

static void partly_delivered(void)
{
	granted_only();
	for (unsigned i = 0; i < 3; i++)
		left->offset[i] = world_record(world_seg.first_id + i, "a@x", one, 1);
	world_submit();
	check(world_until(three_jobs, 3000));
	world_answer(&world_jobs[0], OUT_SENT, 250, "ok");
	world_answer(&world_jobs[1], OUT_SENT, 250, "ok");
	check(world_until(all_taken, 3000));
	world_for(300);
	keep();
}

/* -- second lives */

/* Nobody speaks for the segment: it is scanned. */
static void orphaned(unsigned jobs)
{
	world_answers = true;
	world_open();
	world_link();
	world_until(jobs ? two_jobs : no_segment, 3000);
	world_for(300);
	check(world_njobs == jobs);
	check(world_until(no_segment, 3000)); /* and reclaimed afterwards */
}

static void scan_finds_nothing(void)
{
	orphaned(0);
}

static void scan_finds_two(void)
{
	orphaned(2);
	check(world_jobs[0].offset == left->offset[0] && world_jobs[1].offset == left->offset[1]);
	check(world_jobs[1].n == 2); /* one transaction for both recipients */
}

/* The writer lives and repeats: no scan, and it may write on. */
static void writer_repeats(void)
{
	world_answers = true;
	world_open();
	world_link_smtpd(1);
	world_link_deliver(1);
	again();
	world_submit();
	world_repeated();
	world_inflight_end();
	check(world_until(two_jobs, 3000));
	check(world_until(all_taken, 3000));
	world_record(world_seg.first_id + 7, "a@x", one, 1);
	world_submit();
	check(world_until(all_taken, 3000));
	world_for(100);
	check(world_njobs == 3);
}

static void from_the_index(void)
{
	world_answers = true;
	world_open();
	world_link();
	check(world_until(two_jobs, 3000));
	world_for(300);
	check(world_njobs == 3);
	check(world_until(no_segment, 3000));
}

static void nothing_left(void)
{
	world_open();
	world_link();
	world_for(400);
	check(world_njobs == 0);
	check(no_segment());
}

static void one_left(void)
{
	world_answers = true;
	world_open();
	world_link();
	check(world_until(a_job, 3000));
	world_for(300);
	check(world_njobs == 1);
	check(world_jobs[0].offset == left->offset[2]);
}

static void rebuilt_one_left(void)
{
	world_remove_index();
	one_left();
}

static void rebuilt_nothing_left(void)
{
	world_remove_index();
	world_answers = true;
	world_open();
	world_link();
	world_for(500);
	check(world_njobs == 0);
}

static void rebuilt_three(void)
{
	world_remove_index();
	world_answers = true;
	world_open();
	world_link();
	check(world_until(three_jobs, 3000));
	world_for(200);
	check(world_njobs == 3);
}

/* zeros - what a power failure may leave of a done list is no place, least of all the first */
static void zeros_are_no_places(void)
{
	char path[128];
	unsigned char zero[64] = {0};
	world_remove_index();
	snprintf(path, sizeof(path), "%s/segments/%016llx.done", world_dir(),
	    (unsigned long long)left->seg.name);
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
	check(fd >= 0 && write(fd, zero, sizeof(zero)) == sizeof(zero));
	close(fd);
	world_answers = true;
	world_open();
	world_link();
	check(world_until(three_jobs, 3000));
}

/* The second record is torn: what was never acknowledged isn't taken. */
static void torn(void)
{
	world_flip(left->seg.name, left->seg.end - 1);
	world_answers = true;
	world_open();
	world_link();
	check(world_until(a_job, 3000));
	world_for(300);
	check(world_njobs == 1 && world_jobs[0].offset == left->offset[0]);
}

/* A living worker repeats what wasn't committed: not sent again, and it may forget. */
static bool committed_two(void)
{
	return world_committed == 2;
}

static void results_repeated(void)
{
	world_answers = true;
	world_open();
	world_link_smtpd(1);
	world_link_deliver(1);
	world_repeat(JOB_MAIL, left->seg.name, left->offset[0], 0, OUT_SENT);
	world_repeat(JOB_MAIL, left->seg.name, left->offset[1], 0, OUT_SENT);
	world_inflight(left->seg.name, left->offset[2], 0);
	world_inflight_end();
	world_repeated();
	check(world_until(committed_two, 3000));
	world_for(300);
	check(world_njobs == 0); /* the third is on the wire */
	world_repeat(JOB_MAIL, left->seg.name, left->offset[2], 0, OUT_SENT);
	check(world_until(committed_all, 3000));
	check(world_until(no_segment, 3000));
	check(world_njobs == 0);
}

/* The worker that had it on the wire dies: it is sent again. */
static void inflight_lost(void)
{
	world_answers = true;
	world_open();
	world_link_smtpd(1);
	world_link_deliver(1);
	world_repeat(JOB_MAIL, left->seg.name, left->offset[0], 0, OUT_SENT);
	world_repeat(JOB_MAIL, left->seg.name, left->offset[1], 0, OUT_SENT);
	world_inflight(left->seg.name, left->offset[2], 0);
	world_inflight_end();
	world_repeated();
	check(world_until(committed_two, 3000));
	world_deliver_dies();
	world_for(100);
	world_link_deliver(1);
	world_inflight_end();
	check(world_until(a_job, 3000));
	check(world_jobs[0].offset == left->offset[2]);
}

/* Results of records that intake hasn't read yet wait for that. */
static void results_before_records(void)
{
	world_answers = true;
	world_open();
	world_link_smtpd(1);
	world_link_deliver(1);
	world_repeat(JOB_MAIL, left->seg.name, left->offset[0], 0, OUT_SENT);
	world_repeat(JOB_MAIL, left->seg.name, left->offset[1], 1, OUT_SENT);
	world_inflight_end();
	world_for(100);
	check(world_committed == 0);
	again();
	world_submit();
	world_repeated();
	check(world_until(a_job, 3000));
	check(world_until(committed_all, 3000));
	check(world_njobs == 1 && world_jobs[0].n == 1 && world_jobs[0].number[0] == 0);
}

/* A row of a segment whose file is gone, with nothing alive in it: forgotten. */
static void file_gone(void)
{
	char path[128];
	snprintf(path, sizeof(path), "%s/segments/%016llx", world_dir(),
	    (unsigned long long)left->seg.name);
	check(unlink(path) == 0);
	nothing_left();
}

/* While somebody who lives stays silent nothing is given out. */
static void silence(void)
{
	world_answers = true;
	world_open();
	world_link_smtpd(1);
	world_link_deliver(2);
	world_repeated();
	world_inflight_end();
	world_for(500);
	check(!queue_delivering() && world_njobs == 0);
	check(world_until(a_job, 6000)); /* but not for ever */
}

/* Names never come twice. */
static void newer_name(void)
{
	world_open();
	world_link();
	grant();
	check(world_seg.name > left->seg.name + SEGMENT_IDS - 1);
}

/* -- recipients that ended while others of their message wait */

static const char *const three[] = {"b@example.net", "C@example.net", "d@example.net"};

/* answer_one - of a job's recipients */
static void answer_one(const struct world_job *job, unsigned i, enum outcome outcome)
{
	struct world_job part = *job;
	part.n = 1;
	part.number[0] = job->number[i];
	world_answer(&part, outcome, outcome == OUT_SENT ? 250 : 451, "as told");
}

static void one_of_three(void)
{
	granted_only();
	left->offset[0] = world_record(world_seg.first_id, "a@x", three, 3);
	world_submit();
	check(world_until(a_job, 3000));
	answer_one(&world_jobs[0], 0, OUT_DEFERRED);
	answer_one(&world_jobs[0], 1, OUT_SENT);
	answer_one(&world_jobs[0], 2, OUT_DEFERRED);
	check(world_until(all_taken, 3000));
	world_for(200);
	keep();
}

static void rebuilt_two_recipients(void)
{
	world_remove_index();
	world_answers = true;
	world_open();
	world_link();
	check(world_until(a_job, 3000));
	world_for(300);
	check(world_njobs == 1 && world_jobs[0].n == 2);
	check(!strcmp(world_jobs[0].address[0], "b@example.net"));
	check(!strcmp(world_jobs[0].address[1], "d@example.net"));
	check(world_until(no_segment, 3000));
}

/* All three ended one by one; the entry for the record itself was lost. */
static void all_of_three(void)
{
	one_of_three();
	for (unsigned i = 0; i < 3; i += 2) {
		const struct done d = {
		    .offset = left->offset[0], .who = donefile_who(msg_str(three[i]))};
		check(donefile_append(left->seg.name, &d, 1) == 0);
	}
}

/* -- the tests: a first life, a second one */

#define LIVES(name, first, second)     \
	static void name(void **state) \
	{                              \
		(void)state;           \
		world_run(first);      \
		world_run(second);     \
	}

LIVES(test_granted, granted_only, scan_finds_nothing)
LIVES(test_written, written_only, scan_finds_two)
LIVES(test_written_writer_lives, written_only, writer_repeats)
LIVES(test_torn, written_only, torn)
LIVES(test_results_before_records, written_only, results_before_records)
LIVES(test_taken, taken, from_the_index)
LIVES(test_taken_index_lost, taken, rebuilt_three)
LIVES(test_taken_done_list_of_zeros, taken, zeros_are_no_places)
LIVES(test_taken_results_repeated, taken, results_repeated)
LIVES(test_taken_inflight_lost, taken, inflight_lost)
LIVES(test_taken_silence, taken, silence)
LIVES(test_partly, partly_delivered, one_left)
LIVES(test_partly_index_lost, partly_delivered, rebuilt_one_left)
LIVES(test_delivered, delivered, nothing_left)
LIVES(test_delivered_index_lost, delivered, rebuilt_nothing_left)
LIVES(test_delivered_file_gone, delivered, file_gone)
LIVES(test_names, granted_only, newer_name)
LIVES(test_recipients_index_lost, one_of_three, rebuilt_two_recipients)
LIVES(test_all_recipients_index_lost, all_of_three, rebuilt_nothing_left)

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
	    T(test_granted),
	    T(test_written),
	    T(test_written_writer_lives),
	    T(test_torn),
	    T(test_results_before_records),
	    T(test_taken),
	    T(test_taken_index_lost),
	    T(test_taken_done_list_of_zeros),
	    T(test_taken_results_repeated),
	    T(test_taken_inflight_lost),
	    T(test_taken_silence),
	    T(test_partly),
	    T(test_partly_index_lost),
	    T(test_delivered),
	    T(test_delivered_index_lost),
	    T(test_delivered_file_gone),
	    T(test_names),
	    T(test_recipients_index_lost),
	    T(test_all_recipients_index_lost),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
