/* SPDX-License-Identifier: ISC */
/* lib/hash: tables work, the seed differs from process to process, no memory is no crash. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

static bool no_memory;

/* maybe_malloc - malloc that fails on demand */
static void *maybe_malloc(size_t n)
{
	return no_memory ? NULL : malloc(n);
}
#define uthash_malloc(n) maybe_malloc(n)

#include "lib/hash.h"

struct item {
	char key[16];
	int value;
	UT_hash_handle hh;
};

static void test_table(void **state)
{
	(void)state;
	static struct item items[1000];
	struct item *table = NULL, *found, *next;
	for (int i = 0; i < 1000; i++) {
		snprintf(items[i].key, sizeof(items[i].key), "k%d", i);
		items[i].value = i;
		struct item *it = &items[i];
		HASH_ADD_STR(table, key, it);
		assert_true(hash_added(it));
	}
	for (int i = 0; i < 1000; i++) {
		HASH_FIND_STR(table, items[i].key, found);
		assert_ptr_equal(found, &items[i]);
	}
	HASH_FIND_STR(table, "k1000", found);
	assert_null(found);
	HASH_ITER (hh, table, found, next)
		HASH_DEL(table, found);
	assert_null(table);
}

static void test_no_memory(void **state)
{
	(void)state;
	struct item it = {.key = "a"}, *p = &it, *table = NULL;
	no_memory = true;
	HASH_ADD_STR(table, key, p);
	no_memory = false;
	assert_false(hash_added(p));
	assert_null(table);
}

/* The seed is set before main(), so a process that execs itself says another number. */
static uint64_t hash_of_another(void)
{
	uint64_t h = 0;
	FILE *f = popen("/proc/$PPID/exe --hash", "r");
	assert_non_null(f);
	assert_int_equal(fread(&h, sizeof(h), 1, f), 1);
	pclose(f);
	return h;
}

static void test_seed(void **state)
{
	(void)state;
	assert_true(hash_bytes("abc", 3) == hash_bytes("abc", 3));
	assert_true(hash_bytes("abc", 3) != hash_bytes("abd", 3));
	assert_true(hash_bytes("abc", 3) != hash_of_another());
	hash_bytes(NULL, 0);
}

int main(int argc, char **argv)
{
	if (argc == 2 && !strcmp(argv[1], "--hash")) {
		uint64_t h = hash_bytes("abc", 3);
		return fwrite(&h, sizeof(h), 1, stdout) != 1;
	}
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_table),
	    cmocka_unit_test(test_no_memory),
	    cmocka_unit_test(test_seed),
	};
	return cmocka_run_group_tests_name("hash", tests, NULL, NULL);
}
