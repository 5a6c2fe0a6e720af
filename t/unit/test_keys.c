/* SPDX-License-Identifier: ISC */
/* qmgr/keys: keys sort as what they mean, rows come back, and stay under their limit. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "lib/wire.h"
#include "qmgr/keys.h"

static struct msg_bytes text(const char *s)
{
	return (struct msg_bytes){.data = s, .len = (uint32_t)strlen(s)};
}

/* The order of the schedule: by destination, lane, time, message and recipient. */
static void test_due_order(void **state)
{
	(void)state;
	static const struct {
		const char *dest;
		struct due_key at; /* due, id, lane, number */
	} rows[] = {
	    {"a.org", {0, 1, 0, 0}},
	    {"a.org", {255, 1, 0, 0}},
	    {"a.org", {256, 1, 0, 0}},
	    {"a.org", {256, 1, 0, 1}},
	    {"a.org", {256, 2, 0, 0}},
	    {"a.org", {UINT64_MAX, 0, 0, 0}},
	    {"a.org", {5, 1, 1, 0}},
	    {"a.org", {5, 1, UINT32_MAX, 0}},
	    {"a.org news", {0, 0, 0, 0}},
	    {"a.orgs", {0, 0, 0, 0}},
	    {"b", {0, 0, 0, 0}},
	};
	unsigned char last[KEYS_DUE_MAX];
	size_t last_len = 0;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		unsigned char key[KEYS_DUE_MAX];
		size_t len = keys_due(key, rows[i].dest, strlen(rows[i].dest), &rows[i].at);
		if (i) {
			size_t n = len < last_len ? len : last_len;
			int d = memcmp(last, key, n);
			assert_true(d < 0 || (d == 0 && last_len < len));
		}
		struct msg_bytes dest;
		struct due_key at;
		assert_int_equal(keys_get_due(key, len, &dest, &at), 0);
		assert_int_equal(dest.len, strlen(rows[i].dest));
		assert_memory_equal(dest.data, rows[i].dest, dest.len);
		assert_true(at.lane == rows[i].at.lane && at.due == rows[i].at.due &&
			    at.id == rows[i].at.id && at.number == rows[i].at.number);
		assert_int_equal(keys_get_due(key, KEYS_DUE_TAIL - 1, &dest, &at), -EBADMSG);
		memcpy(last, key, len);
		last_len = len;
	}
}

static void test_msg_row(void **state)
{
	(void)state;
	unsigned char buf[KEYS_ROW_MAX];
	struct row_msg out, in = {.segment = 1,
				.offset = 2,
				.body_at = 3,
				.body_len = 4,
				.plain_len = 5,
				.arrival_ms = 6,
				.late_len = 7,
				.took_ms = 11,
				.lag_ms = 12,
				.flags = 8,
				.ret = 2,
				.left = 9,
				.next = 10,
				.sender = text("a@b"),
				.envid = text("env"),
				.uid = 11,
				.user = text("u")};
	int len = keys_put_msg_row(&in, buf);
	assert_true(len > 0);
	assert_int_equal(keys_get_msg_row(buf, (size_t)len, &out), 0);
	assert_true(out.segment == 1 && out.offset == 2 && out.body_at == 3 && out.body_len == 4);
	assert_true(out.plain_len == 5 && out.arrival_ms == 6 && out.late_len == 7);
	assert_true(out.took_ms == 11 && out.lag_ms == 12);
	assert_true(out.flags == 8 && out.ret == 2 && out.left == 9 && out.next == 10);
	assert_int_equal(out.sender.len, 3);
	assert_memory_equal(out.envid.data, "env", 3);
	assert_true(out.uid == 11 && out.user.len == 1 && out.user.data[0] == 'u');
	for (int cut = 0; cut < len; cut++)
		assert_int_equal(keys_get_msg_row(buf, (size_t)cut, &out), -EBADMSG);
	buf[0]++; /* a later version */
	assert_int_equal(keys_get_msg_row(buf, (size_t)len, &out), -EBADMSG);
}

/* The largest of everything still makes a row, with the peer's words cut. */
static void test_rcpt_row_is_bounded(void **state)
{
	(void)state;
	static char big[2000];
	unsigned char buf[KEYS_ROW_MAX];
	memset(big, 'x', sizeof(big) - 1);
	struct msg_bytes address = {.data = big, .len = 256}, dest = {.data = big, .len = 400};
	struct msg_bytes words = {.data = big, .len = 1500};
	struct row_rcpt out, in = {.stage = STAGE_EXPIRED,
				 .depth = 3,
				 .notify = 4,
				 .order = ORDER_HOLD,
				 .flags = RCPTF_WARNED,
				 .attempts = 5,
				 .code = 450,
				 .parent = 7,
				 .lane = 9,
				 .due_ms = 8,
				 .tried_ms = 9,
				 .class_name = text("bulk"),
				 .address = address,
				 .dest = dest,
				 .orcpt = words,
				 .status = text("4.2.2"),
				 .host = words,
				 .text = words};
	int len = keys_put_rcpt_row(&in, buf);
	assert_in_range(len, 1, KEYS_ROW_MAX);
	assert_int_equal(keys_get_rcpt_row(buf, (size_t)len, &out), 0);
	assert_true(out.stage == STAGE_EXPIRED && out.depth == 3 && out.notify == 4 &&
		    out.order == ORDER_HOLD);
	assert_true(out.attempts == 5 && out.code == 450 && out.parent == 7 && out.due_ms == 8);
	assert_true(out.flags == RCPTF_WARNED && out.tried_ms == 9);
	assert_true(out.lane == 9 && out.class_name.len == 4);
	assert_int_equal(out.address.len, 256);
	assert_int_equal(out.dest.len, 400);
	assert_memory_equal(out.status.data, "4.2.2", 5);
	in.address.len = 20;
	in.dest.len = 20;
	in.orcpt.len = 0;
	in.text = text("short");
	len = keys_put_rcpt_row(&in, buf);
	assert_int_equal(keys_get_rcpt_row(buf, (size_t)len, &out), 0);
	assert_int_equal(out.text.len, 5);
	for (int cut = 0; cut < len; cut++)
		assert_int_equal(keys_get_rcpt_row(buf, (size_t)cut, &out), -EBADMSG);
}

static void test_seg_row(void **state)
{
	(void)state;
	unsigned char buf[KEYS_ROW_MAX];
	struct row_seg out,
	    in = {.nonce = 1, .kind = 1, .size = 3, .limit = 4, .taken = 5, .end = 6, .live = 7};
	int len = keys_put_seg_row(&in, buf);
	assert_true(len > 0);
	assert_int_equal(keys_get_seg_row(buf, (size_t)len, &out), 0);
	assert_true(out.nonce == 1 && out.kind == 1 && out.size == 3 && out.limit == 4);
	assert_true(out.taken == 5 && out.end == 6 && out.live == 7);
	assert_int_equal(keys_get_seg_row(buf, (size_t)len - 1, &out), -EBADMSG);
}

static void test_site_row(void **state)
{
	(void)state;
	unsigned char buf[KEYS_ROW_MAX];
	struct row_site out, in = {.used_ms = 1,
				 .limit = 2,
				 .ceiling = 3,
				 .hold_ms = 4,
				 .try_ms = 5,
				 .recipients = 6,
				 .down_ms = 7,
				 .interval_ms = 8,
				 .probe_ms = 9,
				 .trouble_ms = 10,
				 .one_domain = 11,
				 .steps_ms = 12,
				 .trouble = text("421 no")};
	int len = keys_put_site_row(&in, buf);
	assert_true(len > 0);
	/* a field of a later version is skipped */
	static const unsigned char later[] = {100, 0, 0, 0, 0, 0, 0, 0, 1};
	memcpy(buf + len - 4, later, sizeof(later)); /* over the sum */
	len += (int)sizeof(later);
	assert_int_equal(keys_get_site_row(buf, (size_t)len, &out), -EBADMSG);
	keys_seal_row(buf, (size_t)len);
	assert_int_equal(keys_get_site_row(buf, (size_t)len, &out), 0);
	assert_true(out.used_ms == 1 && out.limit == 2 && out.ceiling == 3 && out.hold_ms == 4);
	assert_true(out.try_ms == 5 && out.recipients == 6 && out.down_ms == 7);
	assert_true(out.interval_ms == 8 && out.probe_ms == 9 && out.trouble_ms == 10 &&
		    out.one_domain == 11 && out.steps_ms == 12);
	assert_int_equal(out.trouble.len, 6);
	assert_memory_equal(out.trouble.data, "421 no", 6);
	assert_int_equal(keys_get_site_row(buf, (size_t)len - 1, &out), -EBADMSG);
	/* what is 0 isn't stored */
	assert_int_equal(keys_put_site_row(&(struct row_site){0}, buf), 5);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_due_order),
	    cmocka_unit_test(test_msg_row),
	    cmocka_unit_test(test_rcpt_row_is_bounded),
	    cmocka_unit_test(test_seg_row),
	    cmocka_unit_test(test_site_row),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
