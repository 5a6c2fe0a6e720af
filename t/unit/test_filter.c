/* SPDX-License-Identifier: ISC */
/* The filter language: words to a filter, its form on the wire, what matches; rows and pauses. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "cli/filter.h"
#include "cli/listing.h"
#include "lib/query.h"

static struct filter filter;
static struct filter_options options;

/* parse - words, NULL at the end */
static int parse(const char *const *words)
{
	char *argv[20];
	int argc = 0;
	for (; words[argc]; argc++)
		argv[argc] = (char *)words[argc];
	return filter_parse(argc, argv, &filter, &options);
}
#define PARSE(...) parse((const char *const[]){__VA_ARGS__, NULL})

/* matches - a pattern against text */
static bool matches(const char *pattern, const char *text)
{
	return query_match(msg_str(pattern), text, strlen(text));
}

static void test_patterns(void **state)
{
	(void)state;
	assert_true(matches("*", "") && matches("*", "x") && matches("a*", "A") &&
		    matches("*@x.org", "me@X.ORG") && matches("a*b*c", "a--b--b-c"));
	assert_false(matches("a*", "ba") || matches("a*b", "a") || matches("", "a") ||
		     matches("a*b*c", "acb"));
	assert_true(matches("<>", ""));
	assert_false(matches("<>", "<>"));
	/* no blow-up: linear in pattern and text */
	char many[401], text[4000];
	for (size_t i = 0; i < sizeof(many) - 1; i++)
		many[i] = i % 2 ? 'a' : '*';
	many[sizeof(many) - 1] = '\0';
	memset(text, 'a', sizeof(text));
	text[sizeof(text) - 1] = 'b';
	assert_false(query_match(msg_str(many), text, sizeof(text)));
}

static void test_words(void **state)
{
	(void)state;
	assert_int_equal(PARSE("--json", "--dry-run", "--all", "--bounce", "--by", "site"), 0);
	assert_true(options.json && options.dry_run && options.bounce && filter.query.all);
	assert_string_equal(options.by, "site");
	assert_int_equal(PARSE("0GZY2J8P900", "--larger", "2K", "--older", "90s"), 0);
	assert_int_equal(filter.query.nids, 1);
	assert_int_equal(filter.query.larger, 2048);
	assert_int_equal(filter.query.older_ms, 90000);
	for (int i = QUERY_READY; i < QUERY_STATES; i++) {
		assert_int_equal(PARSE("--state", query_state_name((unsigned)i)), 0);
		assert_int_equal(filter.query.state, i);
	}
	assert_int_equal(PARSE("--reason", "busy"), 0);
	assert_true(query_match(filter.query.reason, "450 mailbox BUSY now", 20));
	assert_int_equal(PARSE("--reason", "450*"), 0);
	assert_false(query_match(filter.query.reason, "1 450", 5));
	assert_int_equal(PARSE("--class", "bulk"), 0);
	assert_int_equal(filter.query.class.len, 4);
	assert_int_equal(PARSE("--json"), 0);
	assert_true(query_filter_empty(&filter.query));
}

static void test_wrong_words(void **state)
{
	(void)state;
	assert_int_equal(PARSE("--sender"), -1);
	assert_int_equal(PARSE("--older", "x"), -1);
	assert_int_equal(PARSE("--larger", "-1"), -1);
	assert_int_equal(PARSE("--state", "none"), -1);
	assert_int_equal(PARSE("--by"), -1);
	assert_int_equal(PARSE("--nonsense"), -1);
	assert_int_equal(PARSE("no-id"), -1);
	assert_int_equal(PARSE(""), -1);
}

/* What is given survives the wire, what isn't stays away; every cut is refused or means less. */
static void test_wire(void **state)
{
	static uint64_t ids[QUERY_IDS_MAX];
	unsigned char buf[QUERY_FILTER_MAX];
	uint64_t two[2] = {5, 6};
	struct query_filter out, in = {.sender = msg_str("s"),
				     .recipient = msg_str("r"),
				     .domain = msg_str("d"),
				     .site = msg_str("i"),
				     .class = msg_str("c"),
				     .reason = msg_str("why"),
				     .older_ms = 7,
				     .larger = 8,
				     .state = QUERY_HELD,
				     .ids = two,
				     .nids = 2};
	(void)state;
	int n = query_filter_put(&in, buf, sizeof(buf));
	assert_true(n > 0);
	assert_int_equal(query_filter_get(msg_bytes(buf, (size_t)n), &out, ids), 0);
	assert_memory_equal(out.reason.data, "why", 3);
	assert_memory_equal(out.class.data, "c", 1);
	assert_true(out.sender.len == 1 && out.recipient.len == 1 && out.domain.len == 1 &&
		    out.site.len == 1 && out.older_ms == 7 && out.larger == 8 &&
		    out.state == QUERY_HELD && out.nids == 2 && out.ids[1] == 6 && !out.all);
	for (int cut = 0; cut < n; cut++)
		(void)query_filter_get(msg_bytes(buf, (size_t)cut), &out, ids);
	buf[0] = 200;
	assert_int_equal(query_filter_get(msg_bytes(buf, (size_t)n), &out, ids), -EBADMSG);
	in.nids = QUERY_IDS_MAX + 1;
	assert_int_equal(query_filter_put(&in, buf, sizeof(buf)), -EMSGSIZE);
}

static void test_each_alone_is_not_empty(void **state)
{
	const struct query_filter some[] = {{.all = true}, {.sender = msg_str("")},
	    {.recipient = msg_str("")}, {.domain = msg_str("")}, {.site = msg_str("")},
	    {.class = msg_str("")}, {.reason = msg_str("")}, {.older_ms = 1}, {.larger = 1},
	    {.state = QUERY_READY}, {.nids = 1}};
	const struct query_filter none = {0};
	(void)state;
	for (size_t i = 0; i < sizeof(some) / sizeof(some[0]); i++)
		assert_false(query_filter_empty(&some[i]));
	assert_true(query_filter_empty(&none));
}

static void test_rows(void **state)
{
	unsigned char buf[2000];
	struct query_rows rows;
	struct query_row out,
	    in = {.id = 1, .size = 3, .sender = msg_str("s"), .class = msg_str("c")};
	struct query_rcpt r, one = {.address = msg_str("a"),
				 .state = QUERY_HELD,
				 .site = msg_str("i"),
				 .reason = msg_str("y"),
				 .wait = QUERY_WAIT_RELEASE,
				 .wait_text = msg_str("held")};
	size_t pos = 0, at = 0;
	(void)state;
	query_rows_init(&rows, buf, sizeof(buf));
	assert_int_equal(query_row_begin(&rows, &in), 0);
	assert_int_equal(query_row_rcpt(&rows, &one), 0);
	one.state = QUERY_ACTIVE;
	assert_int_equal(query_row_rcpt(&rows, &one), 0);
	query_row_end(&rows, false);
	struct msg_bytes all = msg_bytes(buf, rows.out.len);
	assert_int_equal(query_next_row(all, &pos, &out), 1);
	assert_memory_equal(out.class.data, "c", 1);
	assert_int_equal(listing_state(out.rcpts), QUERY_ACTIVE);
	assert_int_equal(query_next_rcpt(out.rcpts, &at, &r), 1);
	assert_true(r.state == QUERY_HELD && r.wait == QUERY_WAIT_RELEASE && r.wait_text.len == 4);
	assert_int_equal(query_next_row(all, &pos, &out), 0);
}

static void test_pauses(void **state)
{
	unsigned char buf[100];
	struct wire_out w;
	struct query_pause_row out, in = {.kind = QUERY_PAUSE_DOMAIN,
					.name = msg_str("example.org"),
					.since_ms = 1,
					.until_ms = 2};
	size_t pos = 0, fit = 0;
	(void)state;
	wire_out_fixed(&w, buf, sizeof(buf));
	while (query_pause_put(&w, &in) == 0)
		fit++;
	assert_int_equal(fit, 3); /* and what didn't fit left nothing behind */
	for (; query_next_pause(msg_bytes(buf, w.len), &pos, &out) == 1; fit--)
		assert_true(out.kind == QUERY_PAUSE_DOMAIN && out.name.len == 11 &&
			    out.since_ms == 1 && out.until_ms == 2);
	assert_int_equal(fit, 0);
	pos = 0;
	assert_int_equal(query_next_pause(msg_bytes(buf, 9), &pos, &out), -EBADMSG);
	assert_string_equal(query_pause_name(QUERY_PAUSE_IN), "in");
	assert_string_equal(query_pause_name(77), "none");
	assert_string_equal(query_wait_name(QUERY_WAIT_DOWN), "down");
}

/* All, and nothing that narrows it. */
static void test_everything(void **state)
{
	(void)state;
	struct query_filter f = {.all = true};
	assert_true(query_filter_everything(&f));
	f.older_ms = 1;
	assert_false(query_filter_everything(&f));
	f = (struct query_filter){.all = true, .domain = msg_str("*")};
	assert_false(query_filter_everything(&f));
	f = (struct query_filter){0};
	assert_false(query_filter_everything(&f));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_everything),
	    cmocka_unit_test(test_patterns),
	    cmocka_unit_test(test_words),
	    cmocka_unit_test(test_wire),
	    cmocka_unit_test(test_each_alone_is_not_empty),
	    cmocka_unit_test(test_rows),
	    cmocka_unit_test(test_pauses),
	    cmocka_unit_test(test_wrong_words),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
