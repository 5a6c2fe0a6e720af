/* SPDX-License-Identifier: ISC */
/* qmgr/walk.h over a real index: who is read first, that nothing is missed, and what it costs. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "lib/child.h"
#include "qmgr/class.h"
#include "qmgr/index.h"
#include "qmgr/walk.h"

static struct child_self self;
const struct child_self *child_self(void)
{
	return &self;
}

#define NOW       UINT64_C(1000000)
#define DEST      "example.org"
#define BIG       200000 /* recipients of the one heavy sender */
#define SMALL     100000 /* lanes with one recipient each */
#define HEAVY     5      /* lanes */
#define LIGHT     7
#define LANE_OF_A 0x73133fu /* of a@example.org, on every machine and for ever */

static char dir[64];
static struct walk walk;

static int setup(void **state)
{
	bool fresh;
	(void)state;
	snprintf(dir, sizeof(dir), "/tmp/baton-walk.XXXXXX");
	assert_non_null(mkdtemp(dir));
	assert_int_equal(index_open(dir, UINT64_C(1) << 30, &fresh), 0);
	walk_init(&walk);
	return 0;
}

static int teardown(void **state)
{
	char cmd[128];
	(void)state;
	walk_rewind(&walk);
	index_close();
	snprintf(cmd, sizeof(cmd), "rm -rf %s", dir);
	return system(cmd);
}

/* put - the rows of a recipient, as far as a walk looks at them */
static void put(struct index_ops *ops, uint32_t lane, uint64_t due, uint64_t id)
{
	unsigned char key[KEYS_DUE_MAX];
	const struct due_key at = {.lane = lane, .due = due, .id = id};
	index_put(ops, TABLE_DUE, key, keys_due(key, DEST, strlen(DEST), &at), NULL, 0);
	index_put(ops, TABLE_RCPT, key, keys_rcpt(key, id, 0), "x", 1);
	index_put(ops, TABLE_MSG, key, keys_msg(key, id), "y", 1);
}

static void write_all(struct index_ops *ops)
{
	assert_int_equal(index_apply(ops), 0);
	index_ops_reset(ops);
}

/* slice - reads up to max; the IDs go into seen[], how many is returned */
static unsigned slice(unsigned max, bool hungry, unsigned char *seen)
{
	struct walk_slice s = {.dest = DEST,
	    .dest_len = strlen(DEST),
	    .now = NOW,
	    .latest = NOW + 1000000,
	    .max = max,
	    .fresh = hungry ? max : 0,
	    .may_open = true};
	rows_init(&s.rows);
	for (uint32_t i = 0; i < walk.nopen; i++)
		walk.open[i].take = hungry ? max : 0;
	if (walk_wants_sweep(&walk, NOW)) {
		walk.sweeping = true;
		walk.again = false;
		walk.later = WALK_NEVER;
		walk.next = walk.looked = 0;
	}
	walk_lent(&walk);
	assert_int_equal(walk_read(&walk, &s), 0);
	walk_returned(&walk);
	assert_true(s.rows.n <= max);
	struct wire_in in;
	wire_in_init(&in, s.rows.out.base, s.rows.out.len);
	for (uint32_t i = 0; i < s.rows.n; i++) {
		size_t n;
		uint64_t id = wire_get_u64(&in);
		wire_get_u32(&in);
		wire_get_bytes(&in, &n);
		wire_get_bytes(&in, &n);
		wire_get_u8(&in);
		assert_false(seen[id]); /* nothing is read twice */
		seen[id] = 1;
	}
	unsigned n = s.rows.n;
	rows_free(&s.rows);
	return n;
}

/* The light sender's one recipient lies behind the heavy one's many, and comes in the first slice.
 */
static void test_one_behind_many(void **state)
{
	struct index_ops ops;
	unsigned char *seen = calloc(1, BIG + 10);
	(void)state;
	index_ops_init(&ops);
	for (uint64_t i = 1; i <= BIG; i++)
		put(&ops, HEAVY, i, i);
	put(&ops, LIGHT, NOW, BIG + 1);
	put(&ops, LIGHT, NOW + 77, BIG + 2);
	write_all(&ops);
	walk_rewind(&walk);
	assert_int_equal(slice(500, true, seen), 500); /* one lane alone may fill the rest */
	assert_true(seen[BIG + 1]);
	assert_int_equal(walk.nopen, 1); /* only the heavy one takes memory */
	assert_true(walk_due(&walk) == 0);
	unsigned total = 500, n, slices = 1;
	while ((n = slice(500, true, seen))) {
		total += n;
		slices++;
	}
	assert_int_equal(total, BIG + 1);
	assert_int_equal(slices, BIG / 500 + 1);
	assert_true(walk_due(&walk) == NOW + 77);
	index_ops_free(&ops);
	free(seen);
}

/* 100,000 lanes and a heavy one: all is read once, in time and memory that don't grow with lanes.
 */
static void test_many_lanes(void **state)
{
	struct index_ops ops;
	unsigned char *seen = calloc(1, BIG + SMALL + 10);
	clock_t began;
	(void)state;
	index_ops_init(&ops);
	for (uint64_t i = 1; i <= SMALL; i++)
		put(&ops, (uint32_t)(i * 7919), NOW - i % 100, i);
	write_all(&ops);
	for (uint64_t i = 1; i <= BIG; i++)
		put(&ops, UINT32_MAX - 1, i, SMALL + i);
	write_all(&ops);
	walk_rewind(&walk);
	began = clock();
	unsigned total = 0, n;
	while ((n = slice(500, true, seen)))
		total += n;
	double s = (double)(clock() - began) / CLOCKS_PER_SEC;
	assert_int_equal(total, SMALL + BIG);
	assert_true(walk_due(&walk) == WALK_NEVER);
	print_message("%u lanes, %u recipients: read in %.2f s\n", SMALL + 1, total, s);
	assert_true(s < 30);                                     /* quadratic would be hours */
	assert_true(walk.rest_till >= NOW + SMALL / SWEEP_REST); /* sweeps keep their distance */
	index_ops_free(&ops);
	free(seen);
}

/* More heavy lanes than may be open: each gets its turn all the same. */
static void test_more_heavy_lanes_than_may_be_open(void **state)
{
	enum { LANES = LANES_OPEN_MAX + 500, EACH = 20 };
	struct index_ops ops;
	unsigned char *seen = calloc(1, LANES * EACH + 1);
	(void)state;
	index_ops_init(&ops);
	for (uint64_t i = 0; i < LANES * EACH; i++)
		put(&ops, (uint32_t)(i % LANES) + 1, 1 + i / LANES, i + 1);
	write_all(&ops);
	walk_rewind(&walk);
	while (walk.sweeping || walk_wants_sweep(&walk, NOW))
		assert_int_not_equal(slice(500, false, seen), 0);
	for (uint32_t lane = 0; lane < LANES; lane++)
		assert_true(seen[lane + 1]);
	assert_int_equal(walk.nopen, LANES_OPEN_MAX);
	assert_true(walk.again); /* those that found no place come with the next sweep */
	assert_int_equal(walk_due(&walk), 0);
	index_ops_free(&ops);
	free(seen);
}

/* What comes to the index while a lane is known, and while it isn't. */
static void test_notes(void **state)
{
	struct walk_notes notes;
	(void)state;
	walk_note(&walk, 3, NOW + 50, NOW);
	assert_true(walk_due(&walk) == NOW + 50);
	walk_note(&walk, 3, NOW - 5, NOW);
	assert_true(walk_due(&walk) == 0 && walk_find(&walk, 3));
	walk_find(&walk, 3)->last.id = 9;
	walk_note(&walk, 3, NOW, NOW); /* behind what was read: it will come */
	assert_int_equal(walk_find(&walk, 3)->last.id, 9);
	walk_note(&walk, 3, NOW - 6, NOW); /* before: read again from there */
	assert_int_equal(walk_find(&walk, 3)->last.id, 0);
	assert_true(walk_find(&walk, 3)->last.due == NOW - 6);
	walk_notes_init(&notes);
	for (uint32_t lane = 10; lane < 10 + WALK_NOTES; lane++)
		walk_notes_add(&notes, lane, NOW, NOW);
	walk_notes_add(&notes, 10, NOW - 1, NOW);
	walk_notes_add(&notes, 99, NOW + 7, NOW);
	assert_true(!notes.again && notes.later == NOW + 7);
	walk_notes_add(&notes, 98, NOW, NOW);
	assert_true(notes.again);
	walk_notes_apply(&walk, &notes, NOW);
	assert_true(walk_find(&walk, 10)->last.due == NOW - 1 && walk_find(&walk, 17));
	assert_true(walk.again && walk.later == NOW + 7);
}

/* More came during a slice than notes could hold: also what lies behind us in an open lane. */
static void test_behind_an_open_lane(void **state)
{
	struct index_ops ops;
	struct walk_notes notes;
	unsigned char *seen = calloc(1, 1000), *all = calloc(1, 1000);
	(void)state;
	index_ops_init(&ops);
	for (uint64_t i = 1; i <= 500; i++)
		put(&ops, HEAVY, 1000 + i, i);
	write_all(&ops);
	walk_rewind(&walk);
	assert_int_equal(slice(100, true, seen), 100);
	put(&ops, HEAVY, 7, 600);
	write_all(&ops);
	walk_notes_init(&notes);
	notes.again = true;
	walk_notes_apply(&walk, &notes, NOW);
	walk.rest_till = 0;
	slice(100, true, all); /* some of it for the second time */
	assert_true(all[600]);
	index_ops_free(&ops);
	free(seen);
	free(all);
}

/* A lane is a class and a sender, whatever the sender's case; a list's many addresses are one. */
static void test_lanes(void **state)
{
	const struct class *normal = class_normal(), *bulk = class_named(msg_str(CLASS_BULK));
	(void)state;
	assert_int_equal(class_lane(normal, "A@Example.org"), class_lane(normal, "a@example.ORG"));
	assert_int_not_equal(
	    class_lane(normal, "a@example.org"), class_lane(normal, "b@example.org"));
	assert_int_not_equal(
	    class_lane(normal, "a@example.org"), class_lane(bulk, "a@example.org"));
	assert_int_equal(class_lane(normal, "news-return-7-joe=one.example@lists.example"),
	    class_lane(normal, "news-return-812-ann=two.example@lists.example"));
	assert_int_not_equal(class_lane(normal, "news-7-joe=one.example@lists.example"),
	    class_lane(normal, "fun-7-joe=one.example@lists.example"));
	assert_int_not_equal(class_lane(normal, ""), class_lane(normal, "a@example.org"));
	assert_true(class_lane(class_urgent(), "x@y") < class_lane(normal, "x@y"));
	assert_true(class_lane(normal, "x@y") < class_lane(bulk, "x@y"));
	assert_int_equal(class_lane(normal, "a@example.org"), 0x80000000u | LANE_OF_A);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(test_one_behind_many, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_many_lanes, setup, teardown),
	    cmocka_unit_test_setup_teardown(
		test_more_heavy_lanes_than_may_be_open, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_notes, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_behind_an_open_lane, setup, teardown),
	    cmocka_unit_test(test_lanes),
	};
	return cmocka_run_group_tests_name("walk", tests, NULL, NULL);
}
