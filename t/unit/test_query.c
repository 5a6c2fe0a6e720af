/* SPDX-License-Identifier: ISC */
/* lib/query: filters, rows and patterns survive the way there and back; broken bytes are refused.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "lib/query.h"

static struct msg_bytes text(const char *s)
{
	return (struct msg_bytes){.data = s, .len = (uint32_t)strlen(s)};
}

static void test_match(void **state)
{
	(void)state;
	static const struct {
		const char *pattern, *text;
		bool match;
	} rows[] = {
	    {"a@b", "a@b", true},
	    {"A@B", "a@b", true},
	    {"a@b", "a@bc", false},
	    {"*@b", "xyz@B", true},
	    {"*@b", "xyz@c", false},
	    {"*", "", true},
	    {"", "", true},
	    {"", "a", false},
	    {"mx*.net", "mx1.example.net", true},
	    {"a*b*c", "aXbYbZc", true},
	    {"a*b*c", "aXbYbZ", false},
	    {"<>", "", true},
	    {"<>", "a", false},
	};
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		bool is = query_match(text(rows[i].pattern), rows[i].text, strlen(rows[i].text));
		assert_int_equal(is, rows[i].match);
	}
}

static void test_filter(void **state)
{
	(void)state;
	uint64_t ids[] = {7, 1764000000000001}, room[QUERY_IDS_MAX];
	unsigned char buf[QUERY_FILTER_MAX];
	struct query_filter in = {.sender = text("<>"),
	    .recipient = text("*@example.org"),
	    .domain = text("example.org"),
	    .site = text("[127.0.0.1]:2525"),
	    .older_ms = 3600000,
	    .larger = 1024,
	    .state = QUERY_DEFERRED,
	    .ids = ids,
	    .nids = 2};
	int len = query_filter_put(&in, buf, sizeof(buf));
	assert_true(len > 0);
	struct query_filter out;
	struct msg_bytes bytes = {.data = (char *)buf, .len = (uint32_t)len};
	assert_int_equal(query_filter_get(bytes, &out, room), 0);
	assert_false(query_filter_empty(&out));
	assert_int_equal(out.recipient.len, 13);
	assert_int_equal(out.state, QUERY_DEFERRED);
	assert_true(out.older_ms == 3600000 && out.larger == 1024 && !out.all);
	assert_int_equal(out.nids, 2);
	assert_true(out.ids[1] == ids[1]);
	for (int cut = 1; cut < len; cut++) {
		bytes.len = (uint32_t)cut;
		int err = query_filter_get(bytes, &out, room);
		assert_true(err == 0 || err == -EBADMSG);
	}
	len = query_filter_put(&(struct query_filter){0}, buf, sizeof(buf));
	assert_int_equal(len, 0);
	bytes.len = 0;
	assert_int_equal(query_filter_get(bytes, &out, room), 0);
	assert_true(query_filter_empty(&out));
	in.nids = QUERY_IDS_MAX + 1;
	assert_int_equal(query_filter_put(&in, buf, sizeof(buf)), -EMSGSIZE);
}

static void test_rows(void **state)
{
	(void)state;
	static char buf[QUERY_ROWS_MAX];
	struct query_rows rows;
	struct query_row row = {.id = 9, .arrival_ms = 8, .size = 7, .sender = text("s@x")};
	struct query_rcpt rcpt = {.address = text("r@y"),
	    .state = QUERY_DEFERRED,
	    .attempts = 3,
	    .next_ms = 6,
	    .site = text("mx.y"),
	    .reason = text("450 4.2.1 later")};
	query_rows_init(&rows, buf, 200);
	assert_int_equal(query_row_begin(&rows, &row), 0);
	unsigned fit = 0;
	while (query_row_rcpt(&rows, &rcpt) == 0)
		fit++;
	assert_true(fit > 1);
	query_row_end(&rows, true);
	/* a row without recipients leaves nothing behind */
	size_t len = rows.out.len;
	query_rows_init(&rows, buf, sizeof(buf));
	rows.out.len = len;
	assert_int_equal(query_row_begin(&rows, &row), 0);
	query_row_end(&rows, false);
	assert_int_equal(rows.out.len, len);

	struct msg_bytes list = {.data = buf, .len = (uint32_t)len};
	size_t pos = 0, rpos = 0;
	struct query_row got;
	assert_int_equal(query_next_row(list, &pos, &got), 1);
	assert_true(got.id == 9 && got.arrival_ms == 8 && got.size == 7 && got.more);
	struct query_rcpt r;
	unsigned n = 0;
	while (query_next_rcpt(got.rcpts, &rpos, &r) == 1) {
		assert_true(r.attempts == 3 && r.next_ms == 6 && r.state == QUERY_DEFERRED);
		assert_memory_equal(r.reason.data, "450 4.2.1 later", r.reason.len);
		n++;
	}
	assert_int_equal(n, fit);
	assert_int_equal(query_next_row(list, &pos, &got), 0);
	list.len--;
	pos = 0;
	assert_int_equal(query_next_row(list, &pos, &got), -EBADMSG);
}

static void test_sites(void **state)
{
	(void)state;
	char buf[256];
	struct wire_out out;
	wire_out_fixed(&out, buf, sizeof(buf));
	struct query_site site = {.name = text("mx.example.org"),
	    .state = QUERY_SITE_DOWN,
	    .connections = 1,
	    .limit = 20,
	    .ready = 5,
	    .backlog = true,
	    .probe_ms = 99,
	    .trouble = text("connection refused")};
	unsigned fit = 0;
	while (query_site_put(&out, &site) == 0)
		fit++;
	assert_true(fit >= 2);
	struct msg_bytes list = {.data = buf, .len = (uint32_t)out.len};
	struct query_site got;
	size_t pos = 0;
	unsigned n = 0;
	while (query_next_site(list, &pos, &got) == 1) {
		assert_true(got.backlog && got.limit == 20 && got.probe_ms == 99);
		n++;
	}
	assert_int_equal(n, fit);
	for (unsigned s = QUERY_READY; s < QUERY_STATES; s++)
		assert_int_equal(query_state_parse(query_state_name(s)), (int)s);
	assert_int_equal(query_state_parse("gone"), -EINVAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_match),
	    cmocka_unit_test(test_filter),
	    cmocka_unit_test(test_rows),
	    cmocka_unit_test(test_sites),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
