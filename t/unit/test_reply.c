/* SPDX-License-Identifier: ISC */
/* lib/reply: codes, lines, limits; the same whatever pieces the bytes come in. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <event2/buffer.h>

#include "lib/reply.h"

enum { SAID = 1000 };

/* Input, and all replies in it as "code|dsn|text;", "!" for a bad one, which ends the parse. */
static const struct {
	const char *in, *out;
} table[] = {
    {"", ""},
    {"250 ok\r\n", "250|2.0.0|ok;"},
    {"250\r\n", "250|2.0.0|;"},
    {"250 \r\n", "250|2.0.0|;"},
    {"250 ok\n", "250|2.0.0|ok;"},
    {"250 ok\r", ""},
    {"250-one\r\n", ""},
    {"250-one\r\n250 two\r\n", "250|2.0.0|one\ntwo;"},
    {"250-one\r\n250-\r\n250 two\r\n", "250|2.0.0|one\n\ntwo;"},
    {"250-one\r\n250\r\n", "250|2.0.0|one\n;"},
    {"250 2.1.0 fine\r\n", "250|2.1.0|fine;"},
    {"250 2.1.0\r\n", "250|2.1.0|;"},
    {"550-5.1.1 no such\r\n550 5.1.1 user\r\n", "550|5.1.1|no such\nuser;"},
    {"550-no such\r\n550 5.1.10 user\r\n", "550|5.1.10|no such\nuser;"},
    {"550-5.7.1 a\r\n550 5.1.1 b\r\n", "550|5.7.1|a\nb;"},
    {"550 4.1.1 x\r\n", "550|5.0.0|4.1.1 x;"},
    {"550 5.1.1x\r\n", "550|5.0.0|5.1.1x;"},
    {"550 5.1.1234 x\r\n", "550|5.0.0|5.1.1234 x;"},
    {"550 5..1 x\r\n", "550|5.0.0|5..1 x;"},
    {"550 5.1\r\n", "550|5.0.0|5.1;"},
    {"550 5.1. x\r\n", "550|5.0.0|5.1. x;"},
    {"550 5.999.999 x\r\n", "550|5.999.999|x;"},
    {"354 3.0.0 go\r\n", "354|3.0.0|3.0.0 go;"},
    {"250 a\x01\x7f\tb\rc\r\n", "250|2.0.0|a???b?c;"},
    {"250 gr\xc3\xbc\xc3\x9f\r\n", "250|2.0.0|gr\xc3\xbc\xc3\x9f;"},
    {"250 a\r\n354 b\r\n221 c\r\n", "250|2.0.0|a;354|3.0.0|b;221|2.0.0|c;"},
    {"250-a\r\n550 b\r\n", "!"},
    {"150 a\r\n", "!"},
    {"650 a\r\n", "!"},
    {"25x a\r\n", "!"},
    {"25\r\n", "!"},
    {"\r\n", "!"},
    {"250x\r\n", "!"},
    {"250_ok\r\n", "!"},
    {"2500 ok\r\n", "!"},
    {"hello\r\n", "!"},
    {" 250 ok\r\n", "!"},
    {"250 ok\r\nhello\r\n250 x\r\n", "250|2.0.0|ok;!"},
};

/* say - note one verdict */
static void say(char *said, const struct reply *r, enum reply_verdict v)
{
	char dsn[REPLY_DSN_SIZE];
	size_t n = strlen(said);
	if (v == REPLY_BAD) {
		assert_non_null(r->error);
		snprintf(said + n, SAID - n, "!");
	} else if (v == REPLY_OK) {
		assert_int_equal(r->text_len, strlen(r->text));
		reply_dsn(r, dsn);
		snprintf(said + n, SAID - n, "%u|%s|%s;", r->code, dsn, r->text);
	}
}

/* parse - all replies, in pieces of `step` bytes; as a buffer of exact size or as evbuffer chains
 */
static void parse(const char *in, size_t step, bool chains, char *said)
{
	struct reply r;
	struct evbuffer *b = evbuffer_new();
	size_t n = strlen(in), from = 0, used;
	enum reply_verdict v = REPLY_MORE;
	memset(&r, 0xee, sizeof(r));
	reply_init(&r);
	said[0] = '\0';
	for (size_t upto = 0; upto < n && v != REPLY_BAD;) {
		size_t piece = n - upto < step ? n - upto : step;
		evbuffer_add_reference(b, in + upto, piece, NULL, NULL);
		upto += piece;
		do {
			char *exact = malloc(upto - from + 1);
			memcpy(exact + 1, in + from, upto - from);
			v = chains ? reply_feed_evbuffer(&r, b)
				   : reply_feed(&r, exact + 1, upto - from, &used);
			from += chains ? 0 : used;
			free(exact);
			say(said, &r, v);
		} while (v == REPLY_OK);
	}
	evbuffer_free(b);
}

/* What isn't a reply is quoted, cut and made harmless, whatever was answered before. */
static void test_quote(void **state)
{
	struct reply r;
	size_t used;
	char line[REPLY_LINE_MAX] = "250 2.1.0 fine\r\nHTTP/1.1 \x01 \"no\"\r\n";
	(void)state;
	reply_init(&r);
	assert_int_equal(reply_feed(&r, line, strlen(line), &used), REPLY_OK);
	assert_int_equal(reply_feed(&r, line + used, strlen(line) - used, &used), REPLY_BAD);
	assert_string_equal(r.error, "reply without a code: \"HTTP/1.1 ? \"no\"\"");
	memset(line, 'x', sizeof(line));
	memcpy(line + 1000, "\r\n", 2);
	reply_init(&r);
	assert_int_equal(reply_feed(&r, line, 1002, &used), REPLY_BAD);
	assert_int_equal(strlen(r.error), strlen("reply without a code: \"\"") + REPLY_QUOTE_MAX);
}

static void test_table(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		for (size_t step = 1; step <= strlen(table[i].in) + 1; step++) {
			char said[SAID];
			parse(table[i].in, step, false, said);
			assert_string_equal(said, table[i].out);
			parse(table[i].in, step, true, said);
			assert_string_equal(said, table[i].out);
		}
	}
}

static void test_long_line(void **state)
{
	(void)state;
	static char in[REPLY_LINE_MAX + 10];
	static struct reply r;
	size_t used;
	memset(in, 'x', sizeof(in));
	memcpy(in, "250 ", 4);
	memcpy(in + REPLY_LINE_MAX - 2, "\r\n", 2);
	reply_init(&r);
	assert_int_equal(reply_feed(&r, in, sizeof(in), &used), REPLY_OK);
	assert_int_equal(used, REPLY_LINE_MAX);
	assert_int_equal(r.text_len, REPLY_LINE_MAX - 6);
	memset(in + 4, 'x', sizeof(in) - 4);
	memcpy(in + REPLY_LINE_MAX - 1, "\r\n", 2);
	reply_init(&r);
	assert_int_equal(reply_feed(&r, in, sizeof(in), &used), REPLY_BAD);
	reply_init(&r);
	for (size_t n = 1; n < REPLY_LINE_MAX; n++)
		assert_int_equal(reply_feed(&r, in, n, &used), REPLY_MORE);
	assert_int_equal(reply_feed(&r, in, REPLY_LINE_MAX, &used), REPLY_BAD);
}

/* Text beyond what is kept is dropped, lines beyond what is allowed end the parse. */
static void test_many_lines(void **state)
{
	(void)state;
	static struct reply r;
	char line[200];
	size_t used;
	memset(line, 'y', sizeof(line));
	memcpy(line, "250-", 4);
	memcpy(line + sizeof(line) - 2, "\r\n", 2);
	reply_init(&r);
	for (int i = 0; i < REPLY_LINES_MAX - 1; i++)
		assert_int_equal(reply_feed(&r, line, sizeof(line), &used), REPLY_MORE);
	assert_true(r.cut);
	assert_int_equal(r.text_len, REPLY_TEXT_MAX);
	assert_int_equal(strlen(r.text), REPLY_TEXT_MAX);
	assert_int_equal(reply_feed(&r, "250 z\r\n", 7, &used), REPLY_OK);
	assert_int_equal(r.lines, REPLY_LINES_MAX);
	assert_int_equal(reply_feed(&r, "250 z\r\n", 7, &used), REPLY_OK);
	assert_false(r.cut);
	assert_string_equal(r.text, "z");
	for (int i = 0; i < REPLY_LINES_MAX; i++)
		assert_int_equal(reply_feed(&r, line, sizeof(line), &used), REPLY_MORE);
	assert_int_equal(reply_feed(&r, "250 z\r\n", 7, &used), REPLY_BAD);
}

static void test_lines(void **state)
{
	(void)state;
	static struct reply r;
	const char *pos = NULL, *line;
	size_t used, len;
	const char in[] = "250-a.example\r\n250-SIZE 10\r\n250-\r\n250 PIPELINING\r\n";
	static const char *const want[] = {"a.example", "SIZE 10", "", "PIPELINING"};
	reply_init(&r);
	assert_int_equal(reply_feed(&r, in, sizeof(in) - 1, &used), REPLY_OK);
	for (size_t i = 0; i < 4; i++) {
		assert_true(reply_next_line(&r, &pos, &line, &len));
		assert_int_equal(len, strlen(want[i]));
		assert_memory_equal(line, want[i], len);
	}
	assert_false(reply_next_line(&r, &pos, &line, &len));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_table),
	    cmocka_unit_test(test_quote),
	    cmocka_unit_test(test_long_line),
	    cmocka_unit_test(test_many_lines),
	    cmocka_unit_test(test_lines),
	};
	return cmocka_run_group_tests_name("reply", tests, NULL, NULL);
}
