/* SPDX-License-Identifier: ISC */
#include "lib/job.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static void test_recipients_and_results(void **state)
{
	unsigned char buf[4096];
	struct job_rcpt rcpt = {.number = 3,
	    .address = msg_str("a@b"),
	    .notify = 7,
	    .action = ACTION_DELAYED,
	    .tried_ms = 11,
	    .until_ms = 12,
	    .code = 550,
	    .status = msg_str("5.1.1"),
	    .text = msg_str("no"),
	    .host = msg_str("mx")};
	struct job_result result = {.number = 4,
	    .outcome = OUT_DEFERRED,
	    .passed = 1,
	    .code = 451,
	    .status = msg_str("4.3.0"),
	    .text = msg_str("later")};
	struct job_list list;
	struct job_rcpt r = {0};
	struct job_result s = {0};
	size_t pos = 0;

	(void)state;
	job_list_init(&list, buf, sizeof(buf));
	assert_int_equal(job_put_rcpt(&list, &rcpt), 0);
	rcpt.number = 5;
	assert_int_equal(job_put_rcpt(&list, &rcpt), 0);
	assert_int_equal(job_next_rcpt(job_list_bytes(&list), &pos, &r), 1);
	assert_int_equal(r.number, 3);
	assert_int_equal(r.notify, 7);
	assert_true(r.action == ACTION_DELAYED && r.tried_ms == 11 && r.until_ms == 12);
	assert_memory_equal(r.host.data, "mx", 2);
	assert_int_equal(job_next_rcpt(job_list_bytes(&list), &pos, &r), 1);
	assert_int_equal(r.number, 5);
	assert_int_equal(job_next_rcpt(job_list_bytes(&list), &pos, &r), 0);

	job_list_init(&list, buf, sizeof(buf));
	pos = 0;
	assert_int_equal(job_put_result(&list, &result), 0);
	assert_int_equal(job_next_result(job_list_bytes(&list), &pos, &s), 1);
	assert_int_equal(s.code, 451);
	assert_int_equal(s.passed, 1);
	assert_memory_equal(s.text.data, "later", 5);
	buf[4] = OUT_EXPANDED + 1;
	pos = 0;
	assert_int_equal(job_next_result(job_list_bytes(&list), &pos, &s), -EBADMSG);
}

static void test_whole_entries_only(void **state)
{
	unsigned char buf[64];
	struct job_place place = {1, 2, 3};
	struct job_list list;
	size_t pos = 0, n = 0;

	(void)state;
	job_list_init(&list, buf, sizeof(buf));
	while (job_put_place(&list, &place) == 0)
		n++;
	assert_int_equal(n, 3);
	assert_int_equal(list.error, -EMSGSIZE);
	assert_int_equal(list.len, 60);
	while (job_next_place(job_list_bytes(&list), &pos, &place) == 1)
		n--;
	assert_int_equal(n, 0);
	pos = 0;
	assert_int_equal(job_next_place(msg_bytes(buf, 19), &pos, &place), -EBADMSG);
}

static void test_a_peers_words_are_cut(void **state)
{
	static char words[2000];
	unsigned char buf[4096];
	struct job_result s = {0};
	struct job_list list;
	size_t pos = 0;

	(void)state;
	memset(words, 'x', sizeof(words));
	job_list_init(&list, buf, sizeof(buf));
	assert_int_equal(
	    job_put_result(&list, &(struct job_result){.text = msg_bytes(words, 2000)}), 0);
	assert_int_equal(job_next_result(job_list_bytes(&list), &pos, &s), 1);
	assert_int_equal(s.text.len, JOB_TEXT_MAX);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_recipients_and_results),
	    cmocka_unit_test(test_whole_entries_only),
	    cmocka_unit_test(test_a_peers_words_are_cut),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
