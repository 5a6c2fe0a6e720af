/* SPDX-License-Identifier: ISC */
/* qmgr/index: real LMDB in a temporary folder: all or nothing, walks, a full map, broken files. */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "lib/log.h"
#include "qmgr/index.h"

static char top[64], dir[80];

static int setup(void **state)
{
	(void)state;
	log_set(LOG_FORMAT_TEXT, LOG_ERR - 1);
	snprintf(top, sizeof(top), "/tmp/baton-index.XXXXXX");
	assert_non_null(mkdtemp(top));
	snprintf(dir, sizeof(dir), "%s/index", top);
	return 0;
}

static int teardown(void **state)
{
	char cmd[128];
	(void)state;
	index_close();
	snprintf(cmd, sizeof(cmd), "rm -rf %s", top);
	return system(cmd);
}

/* open_it - and say whether it was new */
static bool open_it(void)
{
	bool fresh;
	assert_int_equal(index_open(dir, 16 << 20, &fresh), 0);
	return fresh;
}

/* put - one key and value */
static void put(struct index_ops *ops, const char *key, const char *value)
{
	index_put(ops, TABLE_MSG, key, strlen(key), value, strlen(value));
}

/* value_is - of a key, by a read of its own; NULL: none */
static void value_is(const char *key, const char *want)
{
	struct msg_bytes v;
	assert_int_equal(index_read_begin(), 0);
	int err = index_get(TABLE_MSG, key, strlen(key), &v);
	if (!want) {
		assert_int_equal(err, -ENOENT);
	} else {
		assert_int_equal(err, 0);
		assert_int_equal(v.len, strlen(want));
		assert_memory_equal(v.data, want, v.len);
	}
	index_read_end();
}

static void test_apply(void **state)
{
	(void)state;
	struct index_ops ops;
	assert_true(open_it());
	index_ops_init(&ops);
	put(&ops, "a", "1");
	put(&ops, "b", "2");
	index_del(&ops, TABLE_MSG, "a", 1);
	index_del(&ops, TABLE_MSG, "never", 5);
	assert_int_equal(index_apply(&ops), 0);
	value_is("a", NULL);
	value_is("b", "2");
	assert_int_equal(index_sync(), 0);
	index_started();
	index_close();
	assert_false(open_it()); /* what was committed is there after a close */
	value_is("b", "2");
	index_ops_free(&ops);
}

/* collect - keys into a string; jumps from "b" to "d" */
static int collect(struct msg_bytes key, struct msg_bytes value, struct msg_bytes *seek, void *arg)
{
	char *out = arg;
	(void)value;
	strncat(out, key.data, key.len);
	if (key.data[0] == 'b')
		*seek = (struct msg_bytes){.data = "d", .len = 1};
	return key.data[0] == 'e' ? 7 : 0;
}

static void test_walk(void **state)
{
	(void)state;
	struct index_ops ops;
	char seen[32] = "";
	open_it();
	index_ops_init(&ops);
	for (const char *k = "abcdefg"; *k; k++)
		index_put(&ops, TABLE_MSG, k, 1, "", 0);
	assert_int_equal(index_apply(&ops), 0);
	assert_int_equal(index_read_begin(), 0);
	assert_int_equal(index_walk(TABLE_MSG, NULL, 0, collect, seen), 7);
	assert_string_equal(seen, "abde");
	seen[0] = '\0';
	assert_int_equal(index_walk(TABLE_MSG, "f", 1, collect, seen), 0);
	assert_string_equal(seen, "fg");
	assert_int_equal(index_count(TABLE_MSG), 7);
	index_read_end();
	index_ops_free(&ops);
}

/* A transaction that doesn't fit changes nothing, and smaller ones still go through. */
static void test_full_map(void **state)
{
	(void)state;
	struct index_ops ops;
	static char big[1000];
	open_it();
	index_ops_init(&ops);
	put(&ops, "first", "x");
	for (uint32_t i = 0; i < 40000; i++)
		index_put(&ops, TABLE_RCPT, &i, sizeof(i), big, sizeof(big));
	assert_int_equal(index_apply(&ops), -ENOSPC);
	value_is("first", NULL);
	index_ops_reset(&ops);
	put(&ops, "second", "y");
	assert_int_equal(index_apply(&ops), 0);
	value_is("second", "y");
	index_ops_free(&ops);
}

/* scribble - bytes over the database file */
static void scribble(const void *bytes, size_t len, off_t at)
{
	char name[128];
	snprintf(name, sizeof(name), "%s/data.mdb", dir);
	int fd = open(name, O_WRONLY);
	assert_true(fd >= 0);
	assert_int_equal(pwrite(fd, bytes, len, at), (ssize_t)len);
	close(fd);
}

static void test_broken_is_put_aside(void **state)
{
	char junk[8192];
	(void)state;
	open_it();
	index_started();
	index_close();
	memset(junk, 0xa5, sizeof(junk));
	scribble(junk, sizeof(junk), 0); /* both meta pages */
	assert_true(open_it());
	value_is("a", NULL);
}

/* A flipped bit in the number of pages: nothing is allocated or written behind the file's end. */
static void test_a_wrong_extent_is_put_aside(void **state)
{
	const uint64_t pages = UINT64_C(1) << 19; /* 2 GiB */
	(void)state;
	open_it();
	index_started();
	index_close();
	for (int meta = 0; meta < 2; meta++) /* mm_last_pg, behind a header of 16 bytes */
		scribble(&pages, sizeof(pages), meta * 4096 + 16 + 120);
	assert_true(open_it());
	value_is("a", NULL);
}

static void test_abandoned_is_put_aside(void **state)
{
	(void)state;
	open_it();
	index_started();
	index_abandon();
	index_close();
	assert_true(open_it());
	index_started();
	index_close();
	assert_false(open_it());
}

static void test_third_start_begins_anew(void **state)
{
	(void)state;
	assert_true(open_it()); /* died before index_started() */
	index_close();
	assert_false(open_it()); /* died again */
	index_close();
	assert_true(open_it());
	index_started();
	index_close();
	assert_false(open_it());
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(test_apply, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_walk, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_full_map, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_broken_is_put_aside, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_a_wrong_extent_is_put_aside, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_abandoned_is_put_aside, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_third_start_begins_anew, setup, teardown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
