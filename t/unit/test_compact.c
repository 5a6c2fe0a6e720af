/* SPDX-License-Identifier: ISC */
/*
 * What lives of a segment is copied into another (qmgr/compact.h): of RECORDS records each EVERYth
 * waits, for one of its two recipients, and the queue is killed at each step, with and without the
 * index. Each life is a process of its own.
 */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cmocka.h>

#include "qmgr/batch.h"
#include "qmgr/compact.h"
#include "qmgr/donefile.h"
#include "qmgr/index.h"
#include "qmgr/load.h"
#include "qmgr/message.h"
#include "qmgr/now.h"
#include "qmgr/punch.h"
#include "qmgr/route.h"
#include "qmgr/schedule.h"
#include "qmgr/segments.h"
#include "qmgr/work.h"
#include "qmgr_world.h"

#define EVERY   13
#define LIVING  300
#define RECORDS (EVERY * LIVING)

/* What one process tells the next: shared memory. */
static struct {
	struct world_segment seg;
	uint64_t offset[LIVING]; /* of what waits */
	unsigned sent[LIVING];   /* how often its second recipient was delivered */
} * left;

static bool no_holes, no_sync;     /* the file system's */
static bool (*sync_hangs_when)(void); /* until the process is killed */

WORLD_SELF

/* Stands for the C library's. */
int fallocate(int fd, int mode, off_t at, off_t len)
{
	if (no_holes) {
		errno = EOPNOTSUPP;
		return -1;
	}
	return (int)syscall(SYS_fallocate, fd, mode, at, len);
}

/* Stands for the C library's. */
int fsync(int fd)
{
	while (sync_hangs_when && sync_hangs_when())
		pause();
	if (no_sync) {
		errno = EIO;
		return -1;
	}
	return (int)syscall(SYS_fsync, fd);
}

static int setup(void **state)
{
	(void)state;
	left = mmap(NULL, sizeof(*left), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	world_make("route \"*\" { to = \"[127.0.0.1]:25\" }\n"
		   "site \"*\" { messages_per_connection = 100000 }\n"
		   "retry { first = \"1h\" }");
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	munmap(left, sizeof(*left));
	world_clean();
	return 0;
}

static unsigned answered;

/* waits - whether the record's second recipient is told to come again, in its first life */
static bool waits(uint64_t id, unsigned *number)
{
	*number = (unsigned)((id - left->seg.first_id) / EVERY);
	return (id - left->seg.first_id) % EVERY == 0;
}

/* answer_one - one recipient of a job */
static void answer_one(const struct world_job *job, unsigned i, enum outcome outcome)
{
	struct world_job part = *job;
	part.n = 1;
	part.number[0] = job->number[i];
	world_answer(&part, outcome, outcome == OUT_SENT ? 250 : 451, "as told");
}

/* first_answers - all is delivered but the second recipient of each EVERYth */
static bool first_answers(void)
{
	unsigned number;
	for (; answered < world_njobs; answered++) {
		struct world_job *job = &world_jobs[answered];
		bool lives = waits(job->id, &number);
		for (unsigned i = 0; i < job->n; i++)
			answer_one(job, i, lives && job->number[i] ? OUT_DEFERRED : OUT_SENT);
	}
	return answered == RECORDS;
}

/* deliver - what comes now is delivered, and was to come: a second recipient that waits */
static bool deliver(void)
{
	unsigned number;
	for (; answered < world_njobs; answered++) {
		const struct world_job *job = &world_jobs[answered];
		check(waits(job->id, &number) && job->n == 1 && job->number[0] == 1);
		left->sent[number]++;
		answer_one(job, 0, OUT_SENT);
	}
	return false;
}

/* other - the segment of copies, the newest of them */
static struct segment *other(void)
{
	struct segment *seg, *found = NULL;
	for (seg = segment_first(); seg; seg = seg->hh.next) {
		if (seg->kind == SEGMENT_COPIED && (!found || seg->name > found->name))
			found = seg;
	}
	return found;
}

static struct segment *source(void)
{
	return segment_find(left->seg.name);
}

static bool known(void)
{
	return world_seg.taken == world_seg.end && source()->rows == LIVING && batch_idle();
}

/* pinned - closed and taken; each EVERYth lives */
static void pinned(void)
{
	static const char *const two[] = {"b@example.net", "c@example.net"};
	world_open();
	world_link();
	world_want(SEGMENT_SHARED);
	check(world_until(world_granted, 3000));
	for (unsigned i = 0; i < RECORDS; i++) {
		uint64_t at = world_record(world_seg.first_id + i, "a@x", two, 2);
		if (i % EVERY == 0)
			left->offset[i / EVERY] = at;
	}
	left->seg = world_seg;
	world_submit();
	check(world_until(first_answers, 20000));
	check(world_until(known, 5000));
	world_smtpd_dies();
	world_for(50);
}

/* begin - it has been quiet for long enough */
static void begin(void)
{
	pinned();
	source()->closed_ms -= PUNCH_QUIET_MS;
}

/* -- where a life ends */

static bool is_named(void)
{
	return world_files(".live") == 1 && !world_files(".copy");
}

static bool is_copying(void)
{
	return world_files(".copy") == 1;
}

static bool is_copying_or_named(void)
{
	return is_copying() || is_named();
}

static bool has_moved(void)
{
	return other() && other()->rows;
}

static bool has_moved_part(void)
{
	const struct segment *to = other();
	return to && to->rows == COMPACT_ROWS && to->write == WRITE_CLEAN;
}

static bool has_moved_all(void)
{
	const struct segment *to = other();
	return to && to->rows == LIVING && to->write == WRITE_CLEAN && to->refs;
}

static bool has_settled(void)
{
	return other() && other()->rows && !other()->refs;
}

static bool source_gone(void)
{
	return !source() && has_settled();
}

static void killed_while_copying(void)
{
	sync_hangs_when = is_copying;
	begin();
	check(world_until(is_copying, 5000));
}

static void killed_when_named(void)
{
	sync_hangs_when = is_named;
	begin();
	check(world_until(is_named, 5000));
	check(!other());
}

static void killed_before_a_commit(void)
{
	begin();
	check(world_until(has_moved, 5000));
}

static void killed_after_a_part(void)
{
	begin();
	check(world_until(has_moved_part, 5000));
}

static void killed_when_moved(void)
{
	begin();
	check(world_until(has_moved_all, 5000));
}

static void killed_when_settled(void)
{
	begin();
	check(world_until(has_settled, 5000));
}

/* held - bytes of the blocks of a segment's file */
static long held(uint64_t name)
{
	char path[128];
	struct stat st;
	snprintf(path, sizeof(path), "%s/segments/%016llx", world_dir(), (unsigned long long)name);
	return stat(path, &st) ? -1 : (long)st.st_blocks * 512;
}

/* All of it: small, and the old one is gone. */
static void copied(void)
{
	begin();
	check(world_until(source_gone, 5000));
	world_for(100);
	const struct segment *to = other();
	check(to->rows == LIVING && held(left->seg.name) < 0);
	check(held(to->name) > 0 && (uint64_t)held(to->name) < to->live_bytes + 4096);
	check(world_files(".live") == 1 && world_files(".done") == 1 && !world_files(".copy"));
}

/* -- what the next one finds */

static bool all_sent(void)
{
	unsigned n = 0;
	deliver();
	for (unsigned i = 0; i < LIVING; i++)
		n += left->sent[i];
	return n >= LIVING;
}

static bool all_gone(void)
{
	deliver();
	return !source() && !other() && !world_files(".live") && !world_files(".done");
}

/* Each once, and nothing stays. */
static void index_lost(void)
{
	world_remove_index();
	world_open();
	world_link();
	check(world_until(all_sent, 10000));
	check(world_until(all_gone, 5000));
	world_for(200);
	deliver();
	for (unsigned i = 0; i < LIVING; i++)
		check(left->sent[i] == 1);
}

static bool is_noted(void)
{
	const struct segment *seg;
	for (seg = segment_first(); seg; seg = seg->hh.next) {
		if (seg->ndone_new)
			return false;
	}
	return world_committed == world_seq;
}

/* noted - what was answered is in the index and in the done lists */
static void noted(void)
{
	check(world_until(is_noted, 5000));
	work_wait(work_files);
}

static bool enough(void)
{
	deliver();
	return answered >= LIVING / 3;
}

/* A part is delivered, then the index is lost again. */
static void index_lost_half_way(void)
{
	world_remove_index();
	world_open();
	world_link();
	check(world_until(enough, 10000));
	noted();
}

/* With its index: nothing is due, nothing is lost; what was begun is ended, or begun anew. */
static void index_there(void)
{
	world_pace.quiet_ms = 0;
	world_open();
	world_link();
	check(world_until(source_gone, 8000));
	world_for(100);
	unsigned rows = 0;
	for (const struct segment *seg = segment_first(); seg; seg = seg->hh.next)
		rows += seg->rows;
	check(world_njobs == 0 && (rows == LIVING || rows + left->sent[0] == LIVING));
}

/* What nothing moved to goes at once. */
static void thrown_away(void)
{
	world_open();
	check(!other() && source()->rows == LIVING);
	check(world_files(".live") == 0 && world_files(".copy") == 0);
}

/* -- what stays where it is */

/* The first message's rows, read as anybody reads them. */
static struct reading {
	struct work work;
	struct rows rows;
	bool under_way;
	bool (*when)(void); /* they come into memory */
	bool ended;         /* or are found to have ended */
	bool over;
} reading;
static struct rcpt *one;

static void run_read(struct work *work)
{
	(void)work;
	rows_init(&reading.rows);
	check(index_read_begin() == 0 && rows_add(&reading.rows, left->seg.first_id, 1) == 0);
	index_read_end();
}

/* have_read - the recipient comes into memory, as a verb would bring it */
static void have_read(struct work *work)
{
	struct row row;
	size_t pos = 0;
	(void)work;
	reading.under_way = false;
	if (!reading.over && reading.when()) {
		check(rows_next(&reading.rows, &pos, &row) == 1);
		one = row_load(&row);
		check(!one == reading.ended);
		if (one)
			route_assign(one);
		reading.over = true;
	}
	rows_free(&reading.rows);
}

/* brought - read again and again, until it came into memory when it should */
static bool brought(void)
{
	if (!reading.over && !reading.under_way) {
		reading.under_way = true;
		reading.work.run = run_read;
		reading.work.done = have_read;
		work_submit(work_index, &reading.work);
	}
	return reading.over;
}

/* In memory when the others move: its copy is none. */
static void one_in_memory(void)
{
	begin();
	reading.when = is_copying_or_named;
	check(world_until(brought, 5000));
	check(one->msg->segment == source());
	check(world_until(has_settled, 5000));
	check(source()->rows == 1 && other()->rows == LIVING - 1);
}

static bool ended(void)
{
	deliver();
	return !source();
}

/* It ends, and so does its segment: the copy stays none. */
static void one_ends(void)
{
	one_in_memory();
	one->due_ms = now_ms();
	schedule_place(one);
	check(world_until(ended, 5000));
	check(left->sent[0] == 1);
}

static bool said(void)
{
	deliver();
	return left->sent[0] == 1;
}

/* Whenever its rows were read: once moved it is sent from its new place, and only there. */
static void one_ends_early(void)
{
	begin();
	reading.when = has_moved;
	check(world_until(brought, 5000));
	check(one->msg->segment == other());
	one->due_ms = now_ms();
	schedule_place(one);
	check(world_until(said, 5000));
	noted();
}

/* Killed before the move was committed, when only the copies' done list knew of an end. */
static void one_done_early(void)
{
	begin();
	check(world_until(has_moved, 5000));
	const struct message *msg = message_find(left->seg.first_id);
	check(msg && msg->segment == other());
	const struct done done = {.offset = msg->offset, .who = DONE_ALL};
	check(donefile_append(other()->name, &done, 1) == 0);
	left->sent[0] = 1;
}

static void one_done_settled(void)
{
	world_pace.quiet_ms = 0;
	world_open();
	world_link();
	check(world_until(has_settled, 8000));
	reading.when = has_settled;
	reading.ended = true;
	check(world_until(brought, 5000));
	check(world_njobs == 0);
}

/* The done list alone knows that it has ended: the tree was killed before its row went. */
static void one_done(void)
{
	const struct done done = {.offset = left->offset[7], .who = DONE_ALL};
	world_open();
	check(donefile_append(left->seg.name, &done, 1) == 0);
}

static void one_done_and_moved(void)
{
	world_pace.quiet_ms = 0;
	world_open();
	world_link();
	check(world_until(has_settled, 8000));
	check(source()->rows == 1 && other()->rows == LIVING - 1);
	left->sent[7] = 1;
}

/* A record that has rotted isn't copied. */
static void one_rotten(void)
{
	pinned();
	world_flip(left->seg.name, left->offset[3] + 130);
	source()->closed_ms -= PUNCH_QUIET_MS;
	check(world_until(has_settled, 5000));
	check(source()->rows == 1 && other()->rows == LIVING - 1);
}

/* -- the file system */

static bool is_punched(void)
{
	return source()->punched_live && !source()->refs;
}

static bool failed(void)
{
	return source()->no_copy;
}

/* Copying fails: nothing is left of it, and there are holes. */
static void no_copy(void)
{
	pinned();
	no_sync = true;
	source()->closed_ms -= PUNCH_QUIET_MS;
	check(world_until(failed, 5000));
	no_sync = false;
	check(!world_files(".copy") && !world_files(".live") && !other());
	source()->copied_ms = 1;
	check(world_until(is_punched, 5000));
}

/* No holes: what lies together is copied, too. */
static void copied_without_holes(void)
{
	no_holes = true;
	copied();
}

/* -- the tests: one life after another */

#define LIVES(name, ...)                                                      \
	static void name(void **state)                                        \
	{                                                                     \
		static void (*const lives[])(void) = {__VA_ARGS__};           \
		(void)state;                                                  \
		for (size_t i = 0; i < sizeof(lives) / sizeof(lives[0]); i++) \
			world_run(lives[i]);                                  \
	}

LIVES(test_copied, copied, index_there, index_lost)
LIVES(test_copying, killed_while_copying, thrown_away, index_lost)
LIVES(test_named, killed_when_named, thrown_away, index_there, index_lost)
LIVES(test_named_lost, killed_when_named, index_lost)
LIVES(test_uncommitted_lost, killed_before_a_commit, index_lost)
LIVES(test_part, killed_after_a_part, index_there, index_lost)
LIVES(test_part_lost, killed_after_a_part, index_lost_half_way, index_lost)
LIVES(test_moved_lost, killed_when_moved, index_lost_half_way, index_lost)
LIVES(test_settled_lost, killed_when_settled, index_lost_half_way, index_lost)
LIVES(test_in_memory, one_in_memory, index_lost)
LIVES(test_in_memory_ends, one_ends, index_lost)
LIVES(test_ends_early, one_ends_early, index_there, index_lost)
LIVES(test_done_early, one_done_early, one_done_settled, index_lost)
LIVES(test_done_early_lost, one_done_early, index_lost)
LIVES(test_done, pinned, one_done, one_done_and_moved, index_lost)
LIVES(test_rotten, one_rotten)
LIVES(test_no_copy, no_copy, index_lost)
LIVES(test_no_holes, copied_without_holes, index_lost)

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
	    T(test_copied),
	    T(test_copying),
	    T(test_named),
	    T(test_named_lost),
	    T(test_uncommitted_lost),
	    T(test_part),
	    T(test_part_lost),
	    T(test_moved_lost),
	    T(test_settled_lost),
	    T(test_in_memory),
	    T(test_in_memory_ends),
	    T(test_ends_early),
	    T(test_done_early),
	    T(test_done_early_lost),
	    T(test_done),
	    T(test_rotten),
	    T(test_no_copy),
	    T(test_no_holes),
	};
	world_pace.check_ms = 20;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
