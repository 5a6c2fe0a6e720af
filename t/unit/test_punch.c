/* SPDX-License-Identifier: ISC */
/*
 * Punched segments (qmgr/punch.h): the first LIVING of a segment's records wait, or what is left of
 * those, and the queue is killed at each step. Each life is a process of its own.
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
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "qmgr/batch.h"
#include "qmgr/punch.h"
#include "qmgr/segments.h"
#include "qmgr/work.h"
#include "qmgr_world.h"

#define RECORDS  2000
#define LIVING   600
#define FEW      5
#define CHECK_MS 20

/* What one process tells the next: shared memory. */
static struct {
	struct world_segment seg;
} * left;

WORLD_SELF

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

static const char *const one[] = {"b@example.net"};
static unsigned living, want;

/* answer_all - whoever isn't answered; the first `living` of the segment come again later */
static bool answer_all(void)
{
	static unsigned at;
	for (; at < world_njobs; at++) {
		struct world_job *job = &world_jobs[at];
		bool lives = job->id - left->seg.first_id < living;
		world_answer(job, lives ? OUT_DEFERRED : OUT_SENT, lives ? 451 : 250, "as told");
	}
	return at == want;
}

static bool known(void)
{
	const struct segment *seg = segment_find(left->seg.name);
	return world_seg.taken == world_seg.end && seg->rows == living && !seg->ndone_new &&
	       batch_idle();
}

/* side - a file beside the segment */
static const char *side(const char *suffix)
{
	static char path[128];
	snprintf(path, sizeof(path), "%s/segments/%016llx%s", world_dir(),
	    (unsigned long long)left->seg.name, suffix);
	return path;
}

/* held - bytes of its blocks; -1: it isn't there */
static long held(const char *suffix)
{
	struct stat st;
	return stat(side(suffix), &st) ? -1 : (long)st.st_blocks * 512;
}

/* copy - a file beside the segment gets the bytes of another */
static void copy(const char *from, const char *to)
{
	char cmd[300], path[128];
	snprintf(path, sizeof(path), "%s", side(from));
	snprintf(cmd, sizeof(cmd), "cp %s %s", path, side(to));
	check(system(cmd) == 0);
}

static bool gone(void)
{
	return held("") < 0;
}

static bool punched(void)
{
	const struct segment *seg = segment_find(left->seg.name);
	return seg && seg->punched_live && !seg->refs;
}

/* punch_ready - closed, taken, all but the first LIVING have ended */
static struct segment *punch_ready(void)
{
	world_open();
	world_link();
	world_want(SEGMENT_SHARED);
	check(world_until(world_granted, 3000));
	for (unsigned i = 0; i < RECORDS; i++)
		world_record(world_seg.first_id + i, "a@x", one, 1);
	left->seg = world_seg;
	world_submit();
	living = LIVING;
	want = RECORDS;
	check(world_until(answer_all, 10000));
	check(world_until(known, 5000));
	struct segment *seg = segment_find(left->seg.name);
	work_wait(work_files); /* the done list is appended to there */
	copy("", ".whole");
	copy(".done", ".all");
	world_smtpd_dies();
	world_for(50);
	return seg;
}

/* The index is synced, map and done list are written, holes are punched. */
static void punch(void)
{
	struct segment *seg = punch_ready();
	seg->closed_ms -= PUNCH_QUIET_MS;
	check(world_until(punched, 5000));
	check(held("") > 0 && (uint64_t)held("") == seg->held);
	check(seg->held < seg->live_bytes + 3 * 4096);
	check(held(".live") > 0 && held(".done") <= 0 && held(".new") < 0);
}

/* One that was closed just now may be about to end. */
static void not_at_once(void)
{
	punch_ready();
	world_for(20 * CHECK_MS);
	check(!segment_find(left->seg.name)->punched);
}

/* What the index knows needs no map; nothing is due yet. */
static void punched_as_it_was(void)
{
	world_open();
	world_link();
	world_for(400);
	const struct segment *seg = segment_find(left->seg.name);
	check(world_njobs == 0 && seg->rows == LIVING && seg->punched);
}

/* The map leads to all that lives; when the last has ended everything goes, nothing is recycled. */
static void rebuilt_by_map(void)
{
	world_remove_index();
	world_open();
	world_link();
	living = 0;
	want = LIVING;
	check(world_until(answer_all, 10000));
	check(world_until(gone, 5000));
	world_for(300);
	check(world_njobs == LIVING);
	check(held("") < 0 && held(".live") < 0 && held(".done") < 0 && held(".free") < 0);
}

/* Killed between the map and the holes: the map only says more than is needed. */
static void map_without_holes(void)
{
	copy(".whole", "");
	copy(".all", ".done");
	rebuilt_by_map();
}

/* Killed while a map was being written: half of one is worth nothing, the older one stands. */
static void half_a_map(void)
{
	copy(".live", ".new");
	check(truncate(side(".new"), 100) == 0);
	rebuilt_by_map();
	check(held(".new") < 0);
}

/* Rebuilt, then fewer live: punched again, with a map of those only. */
static void punched_again(void)
{
	world_remove_index();
	world_pace.quiet_ms = 0;
	world_open();
	world_link();
	living = FEW;
	want = LIVING;
	check(world_until(answer_all, 10000));
	check(world_until(punched, 5000));
	const struct segment *seg = segment_find(left->seg.name);
	check(seg->rows == FEW && seg->held <= 2 * 4096);
}

static void rebuilt_few(void)
{
	world_remove_index();
	world_open();
	world_link();
	living = 0;
	want = FEW;
	check(world_until(answer_all, 5000));
	check(world_until(gone, 5000));
	check(world_njobs == FEW && held(".live") < 0);
}

/* A map that rotted is no map; nothing of the file is thrown away. */
static void rotten_map(void)
{
	unsigned char c = 0;
	int fd = open(side(".live"), O_RDWR);
	check(fd >= 0 && pread(fd, &c, 1, 60) == 1);
	c ^= 1;
	check(pwrite(fd, &c, 1, 60) == 1);
	close(fd);
	punched_as_it_was();
	world_remove_index();
}

static void kept(void)
{
	world_answers = true;
	world_open();
	world_link();
	world_for(500);
	check(world_njobs == 0 && segment_find(left->seg.name)->damaged && held("") > 0);
}

/* A living record that rotted: the others are found all the same, the file is kept. */
static void one_rotten(void)
{
	world_flip(left->seg.name, 130); /* the first one's envelope */
	world_remove_index();
	world_open();
	world_link();
	living = 0;
	want = LIVING - 1;
	check(world_until(answer_all, 10000));
	world_for(500);
	check(world_njobs == LIVING - 1 && segment_find(left->seg.name)->damaged && held("") > 0);
}

/* The segment went, the map didn't. */
static void map_alone(void)
{
	check(unlink(side("")) == 0);
	world_remove_index();
	world_open();
	world_link();
	world_for(300);
	check(world_njobs == 0);
	check(held(".live") < 0);
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

LIVES(test_not_at_once, not_at_once)
LIVES(test_punched, punch, punched_as_it_was)
LIVES(test_index_lost, punch, rebuilt_by_map)
LIVES(test_map_without_holes, punch, map_without_holes)
LIVES(test_half_a_map, punch, half_a_map)
LIVES(test_punched_again, punch, punched_again, rebuilt_few)
LIVES(test_rotten_map, punch, rotten_map, kept)
LIVES(test_rotten_record, punch, one_rotten)
LIVES(test_map_alone, punch, map_alone)

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
	    T(test_not_at_once),
	    T(test_punched),
	    T(test_index_lost),
	    T(test_map_without_holes),
	    T(test_half_a_map),
	    T(test_punched_again),
	    T(test_rotten_map),
	    T(test_rotten_record),
	    T(test_map_alone),
	};
	world_pace.check_ms = CHECK_MS;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
