/* SPDX-License-Identifier: ISC */
/*
 * lib/line against a slow and obvious splitter: every string over the bytes that matter, cut at
 * every place, whole and byte by byte, as a plain buffer and as an evbuffer of as many chains.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <event2/buffer.h>

#include "lib/line.h"

enum { TEXT_MAX = 7, LIMIT = 5, SAID_MAX = 200 };

/* What a splitter said, as text: lines in brackets, "!" for a line it didn't take. */
struct said {
	char text[SAID_MAX];
	size_t len;
};

static void say(struct said *s, const char *text, size_t len)
{
	assert_true(s->len + len + 3 < SAID_MAX);
	s->text[s->len++] = '[';
	memcpy(s->text + s->len, text, len);
	s->len += len;
	s->text[s->len++] = ']';
}

static void say_bad(struct said *s)
{
	s->text[s->len++] = '!';
}

/* expected - split by looking at everything */
static struct said expected(const char *in, size_t n, bool lf_ends)
{
	struct said s = {.len = 0};
	size_t at = 0;
	while (at < n) {
		size_t end = at, size = 0;
		for (size_t i = at; i < n && size == 0; i++) {
			bool crlf = in[i] == '\n' && i > at && in[i - 1] == '\r';
			if (crlf || (lf_ends && in[i] == '\n')) {
				end = crlf ? i - 1 : i;
				size = i + 1 - at;
			}
		}
		bool whole = size > 0, wrong = false;
		if (!whole) {
			end = n;
			size = n - at;
		}
		for (size_t i = at; i < end; i++) {
			wrong |= in[i] == '\n' || (in[i] == '\r' && (whole || i + 1 < n));
			wrong |= whole && in[i] == '\0';
		}
		wrong |= whole ? size > LIMIT : size >= LIMIT;
		if (wrong)
			say_bad(&s);
		else if (whole)
			say(&s, in + at, end - at);
		at += size;
	}
	return s;
}

/* heed - note one verdict */
static void heed(struct said *s, enum line_verdict v, const char *text, size_t len)
{
	if (v == LINE_OK)
		say(s, text, len);
	else if (v != LINE_MORE)
		say_bad(s);
}

/* split_plain - by line_next(), in pieces that end at each 1 bit of `cuts` */
static struct said split_plain(const char *in, size_t n, bool lf_ends, unsigned cuts)
{
	struct said s = {.len = 0};
	struct line l;
	size_t from = 0, used, len;
	const char *text;
	line_init(&l, LIMIT);
	l.lf_ends = lf_ends;
	for (size_t upto = 1; upto <= n; upto++) {
		if (upto < n && !(cuts >> (upto - 1) & 1))
			continue;
		for (;;) {
			/* A copy of exact size, so that ASan sees a byte read too far. */
			char *copy = malloc(upto - from + 1);
			memcpy(copy, in + from, upto - from);
			char *exact = copy;
			enum line_verdict v = line_next(&l, exact, upto - from, &used, &text, &len);
			heed(&s, v, text, len);
			free(copy);
			assert_true(used <= upto - from);
			from += used;
			if (v == LINE_MORE)
				break;
		}
	}
	return s;
}

/* split_evbuffer - by line_next_evbuffer(), each piece a chain of its own, all there at once or not
 */
static struct said split_evbuffer(
    const char *in, size_t n, bool lf_ends, unsigned cuts, bool at_once)
{
	struct said s = {.len = 0};
	struct line l;
	struct evbuffer *b = evbuffer_new();
	size_t from = 0, used, len;
	const char *text;
	line_init(&l, LIMIT);
	l.lf_ends = lf_ends;
	for (size_t upto = 1; upto <= n; upto++) {
		if (upto < n && !(cuts >> (upto - 1) & 1))
			continue;
		evbuffer_add_reference(b, in + from, upto - from, NULL, NULL);
		from = upto;
		if (at_once && upto < n)
			continue;
		for (;;) {
			enum line_verdict v = line_next_evbuffer(&l, b, &used, &text, &len);
			heed(&s, v, text, len);
			evbuffer_drain(b, used); /* after LINE_MORE that is nothing */
			if (v == LINE_MORE)
				break;
		}
	}
	evbuffer_free(b);
	return s;
}

/* check - one string, cut in every way */
static void check(const char *in, size_t n, bool lf_ends)
{
	struct said want = expected(in, n, lf_ends);
	for (unsigned cuts = 0; cuts < 1u << (n - 1); cuts++) {
		struct said got[] = {
		    split_plain(in, n, lf_ends, cuts),
		    split_evbuffer(in, n, lf_ends, cuts, false),
		    split_evbuffer(in, n, lf_ends, cuts, true),
		};
		for (size_t i = 0; i < 3; i++) {
			if (got[i].len == want.len && !memcmp(got[i].text, want.text, want.len))
				continue;
			fprintf(stderr, "way %zu cuts %x lf_ends %d:", i, cuts, lf_ends);
			for (size_t j = 0; j < n; j++)
				fprintf(stderr, " %02x", (unsigned char)in[j]);
			fprintf(stderr, "\nwant %.*s\n got %.*s\n", (int)want.len, want.text,
			    (int)got[i].len, got[i].text);
			fail();
		}
	}
}

static void test_all_short_strings(void **state)
{
	(void)state;
	static const char bytes[] = {'a', '\r', '\n', '\0'};
	for (size_t n = 1; n <= TEXT_MAX; n++) {
		/* Long strings without NUL, to keep the number down. */
		size_t kinds = n <= 5 ? 4 : 3, count = 1;
		for (size_t i = 0; i < n; i++)
			count *= kinds;
		for (size_t code = 0; code < count; code++) {
			char in[TEXT_MAX];
			for (size_t i = 0, c = code; i < n; i++, c /= kinds)
				in[i] = bytes[c % kinds];
			check(in, n, false);
			check(in, n, true);
		}
	}
}

static void test_verdicts(void **state)
{
	(void)state;
	static const struct {
		const char *in;
		size_t n;
		enum line_verdict verdict;
		size_t used;
	} table[] = {
	    {"NOOP\r\nQ", 7, LINE_OK, 6},
	    {"NOOP\r", 5, LINE_MORE, 0},
	    {"NOOP\nQUIT\r\n", 11, LINE_BARE_LF, 5},
	    {"NO\rP\r\n", 6, LINE_BARE_CR, 6},
	    {"NO\rP", 4, LINE_BARE_CR, 4},
	    {"NO\0P\r\n", 6, LINE_NUL, 6},
	    {"\r\n", 2, LINE_OK, 2},
	    {"\n", 1, LINE_BARE_LF, 1},
	    {"\r\r\n", 3, LINE_BARE_CR, 3},
	};
	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		struct line l;
		size_t used, len;
		const char *text;
		line_init(&l, LINE_MAX_COMMAND);
		assert_int_equal(
		    line_next(&l, table[i].in, table[i].n, &used, &text, &len), table[i].verdict);
		assert_int_equal(used, table[i].used);
	}
}

/* A line of 1 MB costs no memory and one report; the next line is taken. */
static void test_long_line(void **state)
{
	(void)state;
	static char big[64 << 10];
	struct evbuffer *b = evbuffer_new();
	struct line l;
	size_t used, len, reports = 0;
	const char *text;
	memset(big, 'x', sizeof(big));
	line_init(&l, LINE_MAX_COMMAND);
	for (int i = 0; i < 16; i++) {
		evbuffer_add(b, big, sizeof(big));
		enum line_verdict v;
		while ((v = line_next_evbuffer(&l, b, &used, &text, &len)) != LINE_MORE) {
			assert_int_equal(v, LINE_LONG);
			evbuffer_drain(b, used);
			reports++;
		}
		assert_int_equal(evbuffer_get_length(b), 0);
	}
	assert_int_equal(reports, 1);
	evbuffer_add(b, "\r\nNOOP\r\n", 8);
	assert_int_equal(line_next_evbuffer(&l, b, &used, &text, &len), LINE_OK);
	assert_int_equal(len, 4);
	assert_memory_equal(text, "NOOP", 4);
	evbuffer_free(b);
}

static void test_limit(void **state)
{
	(void)state;
	char in[LINE_MAX_COMMAND + 3];
	struct line l;
	size_t used, len;
	const char *text;
	memset(in, 'x', sizeof(in));
	memcpy(in + LINE_MAX_COMMAND - 2, "\r\n", 2);
	line_init(&l, LINE_MAX_COMMAND);
	assert_int_equal(line_next(&l, in, LINE_MAX_COMMAND, &used, &text, &len), LINE_OK);
	assert_int_equal(len, LINE_MAX_COMMAND - 2);
	memset(in, 'x', sizeof(in));
	memcpy(in + LINE_MAX_COMMAND - 1, "\r\n", 2);
	assert_int_equal(line_next(&l, in, LINE_MAX_COMMAND + 1, &used, &text, &len), LINE_LONG);
	assert_int_equal(used, LINE_MAX_COMMAND + 1);
	assert_int_equal(line_next(&l, "A\r\n", 3, &used, &text, &len), LINE_OK);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_all_short_strings),
	    cmocka_unit_test(test_verdicts),
	    cmocka_unit_test(test_long_line),
	    cmocka_unit_test(test_limit),
	};
	return cmocka_run_group_tests_name("line", tests, NULL, NULL);
}
