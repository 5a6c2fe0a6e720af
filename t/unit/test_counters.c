/* SPDX-License-Identifier: ISC */
/* lib/counters: a page is shared, survives its process, and can't be cut under its readers. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/counters.h"

/* before there is a page: counted in memory */
static void test_unattached(void **state)
{
	(void)state;
	counter_add(C_loop_turns, 2);
	assert_int_equal(counter_read(counters_mine, C_loop_turns), 2);
	assert_int_equal(counters_attach(-1), -EBADF);
	counter_add(C_loop_turns, 1);
	assert_int_equal(counter_read(counters_mine, C_loop_turns), 3);
}

/* run_child - a process in that place adds to a count and to a gauge, then dies */
static void run_child(int fd)
{
	pid_t pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		if (counters_attach(fd) != 0)
			_exit(1);
		counter_add(C_smtp_sessions, 5);
		counter_add(C_smtp_sessions_open, 3);
		_exit(ftruncate(fd, 0) == 0 ? 2 : 0);
	}
	int status;
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

static void test_shared_and_kept(void **state)
{
	(void)state;
	int fd = -1;
	struct counters_page *page = counters_create(&fd);
	assert_non_null(page);
	run_child(fd);
	run_child(fd);
	assert_int_equal(counter_read(page, C_smtp_sessions), 10);
	assert_int_equal(counter_read(page, C_smtp_sessions_open), 3);
	counters_free(page);
	close(fd);
}

static void test_foreign_page(void **state)
{
	(void)state;
	int fd = memfd_create("x", 0);
	assert_int_equal(counters_attach(fd), -EBADMSG);
	assert_int_equal(ftruncate(fd, sizeof(struct counters_page)), 0);
	assert_int_equal(counters_attach(fd), -EBADMSG);
	close(fd);
}

static void test_rows(void **state)
{
	(void)state;
	for (unsigned c = 0; c < COUNTERS; c++) {
		assert_true(*counter_name(c) && *counter_help(c));
		for (unsigned d = 0; d < c; d++)
			assert_string_not_equal(counter_name(c), counter_name(d));
	}
	assert_string_equal(counter_name(C_queue_messages), "queue_messages");
	assert_true(counter_is_gauge(C_queue_messages));
	assert_false(counter_is_gauge(C_queue_jobs));
	assert_string_equal(counter_name(COUNTERS), "");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_unattached),
	    cmocka_unit_test(test_shared_and_kept),
	    cmocka_unit_test(test_foreign_page),
	    cmocka_unit_test(test_rows),
	};
	return cmocka_run_group_tests_name("counters", tests, NULL, NULL);
}
