/* SPDX-License-Identifier: ISC */
/* lib/status: rows come back as they were written, and no cut of them is taken for whole. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <string.h>

#include "lib/status.h"

/* put_sample - two processes and a counter */
static size_t put_sample(unsigned char *buf, size_t size)
{
	struct wire_out out;
	wire_out_fixed(&out, buf, size);
	status_put_process(
	    &out, &(struct status_process){ROLE_SMTPD, 2, 77, 5000, 3, 1, msg_str("running")});
	status_put_process(
	    &out, &(struct status_process){ROLE_QMGR, 1, 0, 0, 9, 9, msg_str("waiting")});
	status_put_counter(&out, "queue_messages", 1ull << 40);
	assert_int_equal(wire_out_end(&out), 0);
	return out.len;
}

static void test_round_trip(void **state)
{
	(void)state;
	unsigned char buf[256];
	struct status_process p;
	struct status_counter c;
	struct msg_bytes rows = {(char *)buf, (uint32_t)put_sample(buf, sizeof(buf))};
	size_t pos = 0;
	assert_int_equal(status_next(rows, &pos, &p, &c), STATUS_PROCESS);
	assert_int_equal(p.role, ROLE_SMTPD);
	assert_int_equal(p.instance, 2);
	assert_int_equal(p.pid, 77);
	assert_int_equal(p.uptime_ms, 5000);
	assert_int_equal(p.restarts, 3);
	assert_int_equal(p.crashes, 1);
	assert_int_equal(p.state.len, 7);
	assert_memory_equal(p.state.data, "running", 7);
	assert_int_equal(status_next(rows, &pos, &p, &c), STATUS_PROCESS);
	assert_int_equal(p.pid, 0);
	assert_int_equal(status_next(rows, &pos, &p, &c), STATUS_COUNTER);
	assert_int_equal(c.value, 1ull << 40);
	assert_memory_equal(c.name.data, "queue_messages", c.name.len);
	assert_int_equal(status_next(rows, &pos, &p, &c), STATUS_END);
}

static void test_cut(void **state)
{
	(void)state;
	unsigned char buf[256];
	struct status_process p;
	struct status_counter c;
	size_t whole = put_sample(buf, sizeof(buf)), ends = 0;
	for (size_t n = 0; n <= whole; n++) {
		struct msg_bytes rows = {(char *)buf, (uint32_t)n};
		size_t pos = 0;
		int r;
		while ((r = status_next(rows, &pos, &p, &c)) > 0)
			;
		ends += r == STATUS_END;
	}
	assert_int_equal(ends, 4); /* nothing, one, two, all three */
	buf[0] = 9;
	size_t pos = 0;
	assert_int_equal(status_next((struct msg_bytes){(char *)buf, 4}, &pos, &p, &c), -EBADMSG);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_round_trip),
	    cmocka_unit_test(test_cut),
	};
	return cmocka_run_group_tests_name("status", tests, NULL, NULL);
}
