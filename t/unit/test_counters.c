/* SPDX-License-Identifier: ISC */
/* lib/counters, lib/board: pages are shared, survive their process, can't be cut under readers. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/board.h"
#include "lib/clock.h"

static struct board *board;
static int board_fd = -1, reader_fd = -1;

/* before there is a page: counted in memory, and taken along */
static void test_unattached(void **state)
{
	(void)state;
	counter_add(C_loop_turns, 2);
	assert_int_equal(board_attach(-1, 1), -EBADF);
	counter_add(C_loop_turns, 1);
	assert_int_equal(counter_read(counters_mine, C_loop_turns), 3);
	board = board_create(&board_fd, &reader_fd);
	assert_non_null(board);
	assert_ptr_equal(counters_mine, &board->page[0].counters);
	assert_int_equal(counter_read(counters_mine, C_loop_turns), 3);
}

/* run_child - a process of page 2 adds to a count and to a gauge, then dies */
static void run_child(void)
{
	pid_t pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		static struct counters_page none;
		counters_mine = &none; /* as if it were started by exec */
		if (board_attach(board_fd, 2) != 0)
			_exit(1);
		counter_add(C_smtp_sessions, 5);
		counter_add(C_smtp_sessions_open, 3);
		_exit(ftruncate(board_fd, 0) == 0 ? 2 : 0);
	}
	int status;
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

static void test_shared_and_kept(void **state)
{
	(void)state;
	const struct board *seen = board_view(reader_fd);
	assert_non_null(seen);
	run_child();
	run_child();
	assert_int_equal(board_sum(seen, C_smtp_sessions), 0); /* no row says who that is */
	board->head.used = 3;
	assert_int_equal(board_sum(seen, C_smtp_sessions), 10);
	assert_int_equal(board_sum(seen, C_smtp_sessions_open), 0); /* it is dead */
	board->head.row[2].alive = 1;
	assert_int_equal(board_sum(seen, C_smtp_sessions_open), 3);
	board_unview(seen);
}

/* who reads can't write: neither by the descriptor nor by a mapping of it */
static void test_reader(void **state)
{
	(void)state;
	assert_int_equal(pwrite(reader_fd, "x", 1, 0), -1);
	assert_ptr_equal(
	    mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, reader_fd, 0), MAP_FAILED);
	void *p = mmap(NULL, 4096, PROT_READ, MAP_SHARED, reader_fd, 0);
	assert_ptr_not_equal(p, MAP_FAILED);
	assert_int_equal(mprotect(p, 4096, PROT_READ | PROT_WRITE), -1);
	munmap(p, 4096);
}

static void test_foreign_file(void **state)
{
	(void)state;
	int fd = memfd_create("x", 0);
	assert_int_equal(board_attach(fd, 1), -EBADMSG);
	assert_int_equal(ftruncate(fd, (off_t)sizeof(struct board)), 0);
	assert_int_equal(board_attach(fd, 1), -EBADMSG);
	assert_null(board_view(fd));
	assert_null(board_labels(fd));
	assert_int_equal(board_attach(board_fd, 0), -EINVAL);
	assert_int_equal(board_attach(board_fd, BOARD_PAGES), -EINVAL);
	close(fd);
}

/* names are shown as they may be, and never while they change */
static void test_label(void **state)
{
	(void)state;
	struct board_label copy, at = {.name = "a\nb\x9b"};
	assert_true(board_label(&at, &copy));
	assert_string_equal(copy.name, "a?b?");
	memset(at.name, 'x', sizeof(at.name));
	assert_true(board_label(&at, &copy));
	assert_int_equal(strlen(copy.name), BOARD_NAME - 1);
	at.seq = 1;
	assert_false(board_label(&at, &copy));
	assert_false(board_label(&(struct board_label){0}, &copy));
}

/* rates are taken from the sample that is just old enough, or the oldest */
static void test_rate(void **state)
{
	(void)state;
	int64_t span, now = clock_ms();
	assert_true(board_rate(board, TREND_ACCEPTED, 60000, &span) == 0 && span == 0);
	counter_add(C_smtp_messages_accepted, 1000);
	board->head.sample[7] = (struct board_sample){.at_ms = now - 10000, .v = {500}};
	double rate = board_rate(board, TREND_ACCEPTED, 60000, &span);
	assert_true(rate > 25 && rate <= 50 && span >= 10000);
	board->head.sample[8] = (struct board_sample){.at_ms = now - 100000, .v = {0}};
	rate = board_rate(board, TREND_ACCEPTED, 60000, &span);
	assert_true(rate > 5 && rate <= 10 && span >= 100000);
	rate = board_rate(board, TREND_ACCEPTED, 5000, &span);
	assert_true(rate > 25 && rate <= 50);
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
	    cmocka_unit_test(test_reader),
	    cmocka_unit_test(test_foreign_file),
	    cmocka_unit_test(test_label),
	    cmocka_unit_test(test_rate),
	    cmocka_unit_test(test_rows),
	};
	return cmocka_run_group_tests_name("counters", tests, NULL, NULL);
}
