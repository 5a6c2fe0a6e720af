/* SPDX-License-Identifier: ISC */
/* qmgr/labels, lib/metrics: rows by name are bounded, the busy ones have them; what is printed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/board.h"
#include "lib/metrics.h"
#include "qmgr/labels.h"

static struct board *board;

/* row_of - the row of a name; NULL: it has none */
static const struct board_label *row_of(
    const struct board_label *rows, unsigned n, const char *name)
{
	for (unsigned i = 0; i < n; i++)
		if (strcmp(rows[i].name, name) == 0)
			return &rows[i];
	return NULL;
}

/* print - the text; to be freed */
static char *print(void)
{
	char *text = NULL;
	size_t len = 0;
	FILE *to = open_memstream(&text, &len);
	assert_non_null(to);
	assert_int_equal(metrics_print(board, to), 0);
	assert_int_equal(fclose(to), 0);
	return text;
}

/* has - whether the text has that line */
static bool has(const char *text, const char *line)
{
	char want[400];
	snprintf(want, sizeof(want), "\n%s\n", line);
	return strstr(text, want);
}

static void test_sites(void **state)
{
	const struct board_label *rows = board->labels.site;
	char name[64];
	(void)state;
	for (unsigned i = 0; i < 5000; i++) {
		snprintf(name, sizeof(name), "mx%u.example.net", i % 1000);
		labels_count(name, "normal", BOARD_DELIVERED);
		labels_count("big.example.net", "normal", BOARD_DEFERRED);
	}
	const struct board_label *big = row_of(rows, BOARD_SITES, "big.example.net");
	assert_non_null(big);
	assert_int_equal(big->ends[BOARD_DEFERRED], 5000);
	uint64_t named = 0;
	for (unsigned i = 0; i < BOARD_SITES; i++)
		named += rows[i].ends[BOARD_DELIVERED];
	assert_true(named > 0 && named + rows[BOARD_SITES].ends[BOARD_DELIVERED] <= 5000);
	/* one that comes late and is busy gets a row, whoever had it */
	assert_null(row_of(rows, BOARD_SITES, "late.example.net"));
	for (unsigned i = 0; i < 3000; i++)
		labels_count("late.example.net", "normal", BOARD_BOUNCED);
	const struct board_label *late = row_of(rows, BOARD_SITES, "late.example.net");
	assert_non_null(late);
	assert_true(late->ends[BOARD_BOUNCED] > 2900 && late->ends[BOARD_DELIVERED] == 0);
	assert_non_null(row_of(rows, BOARD_SITES, "big.example.net"));
}

/* names that are odd, or like the one that stands for all others */
static void test_names(void **state)
{
	char large[600];
	(void)state;
	memset(large, 'x', sizeof(large) - 1);
	large[sizeof(large) - 1] = '\0';
	uint64_t before = board->labels.site[BOARD_SITES].ends[BOARD_BOUNCED];
	labels_count("other", "other", BOARD_BOUNCED);
	assert_int_equal(board->labels.site[BOARD_SITES].ends[BOARD_BOUNCED], before + 1);
	assert_int_equal(board->labels.class[BOARD_CLASSES].ends[BOARD_BOUNCED], 1);
	labels_count(NULL, large, BOARD_ACCEPTED);
	labels_count(NULL, large, BOARD_ACCEPTED);
	labels_count(NULL, "a\"b\\c\nd", BOARD_ACCEPTED);
	assert_int_equal(board->labels.class[1].ends[BOARD_ACCEPTED], 2);
	char *text = print();
	assert_true(has(
	    text, "baton_class_recipients_total{class=\"a\\\"b\\\\c?d\",outcome=\"accepted\"} 1"));
	free(text);
}

static void test_classes(void **state)
{
	char name[32];
	(void)state;
	for (unsigned i = 0; i < 100; i++) {
		snprintf(name, sizeof(name), "class%u", i);
		labels_count(NULL, name, BOARD_ACCEPTED);
		labels_latency(name, i * 10);
	}
	char *text = print();
	assert_true(
	    has(text, "baton_class_recipients_total{class=\"class5\",outcome=\"accepted\"} 1"));
	assert_null(strstr(text, "class=\"class50\""));
	assert_true(has(text, "baton_delivery_seconds_bucket{class=\"class5\",le=\"0.01\"} 0"));
	assert_true(has(text, "baton_delivery_seconds_bucket{class=\"class5\",le=\"0.05\"} 1"));
	assert_true(has(text, "baton_delivery_seconds_bucket{class=\"class5\",le=\"+Inf\"} 1"));
	assert_true(has(text, "baton_delivery_seconds_sum{class=\"class5\"} 0.050"));
	free(text);
}

/* a name that two rows have while one of them changes hands is given once */
static void test_twice(void **state)
{
	(void)state;
	memcpy(board->labels.site[1].name, board->labels.site[0].name, BOARD_NAME);
	char *text = print(), want[400];
	snprintf(want, sizeof(want),
	    "baton_site_recipients_total{site=\"%s\",outcome=\"delivered\"}",
	    board->labels.site[0].name);
	char *first = strstr(text, want);
	assert_non_null(first);
	assert_null(strstr(first + 1, want));
	free(text);
}

static void test_units(void **state)
{
	char name[96];
	(void)state;
	assert_string_equal(
	    metrics_name(C_intake_sync_us, name, sizeof(name)), "baton_intake_sync_seconds_total");
	assert_string_equal(
	    metrics_name(C_queue_messages, name, sizeof(name)), "baton_queue_messages");
	counter_add(C_intake_sync_us, 1234567);
	char *text = print();
	assert_true(has(text, "baton_intake_sync_seconds_total 1.234567"));
	assert_true(has(text, "baton_queue_oldest_age_seconds 0.000"));
	free(text);
}

/* setup - a board, of which qmgr has its part */
static int setup(void **state)
{
	int fd, reader;
	(void)state;
	board = board_create(&fd, &reader);
	if (board)
		labels_attach(fd);
	return board ? 0 : -1;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_sites),
	    cmocka_unit_test(test_names),
	    cmocka_unit_test(test_classes),
	    cmocka_unit_test(test_twice),
	    cmocka_unit_test(test_units),
	};
	return cmocka_run_group_tests_name("labels", tests, setup, NULL);
}
