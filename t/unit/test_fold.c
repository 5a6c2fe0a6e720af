/* SPDX-License-Identifier: ISC */
/* smtpd/fold: the same outcome however the message is cut, no long line left, nothing else changed.
 */
#include "smtpd/fold.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define MAX 40000

struct out {
	char text[MAX];
	size_t len;
};

/* put - collect */
static void put(void *to, const char *bytes, size_t n)
{
	struct out *out = to;
	assert_true(out->len + n < MAX);
	memcpy(out->text + out->len, bytes, n);
	out->len += n;
	out->text[out->len] = '\0';
}

/* run - a body or message in pieces of `step` bytes; what is written keeps to its room */
static const char *run(const char *text, size_t len, size_t step, bool header)
{
	static struct out out;
	struct fold f;
	out.len = 0;
	out.text[0] = '\0';
	fold_init(&f, header);
	for (size_t at = 0; at < len; at += step) {
		size_t n = len - at < step ? len - at : step, before = out.len, room = n;
		while (fold_room(room) < n)
			room++;
		fold(&f, text + at, n, put, &out);
		assert_true(out.len - before <= room + 2 * FOLD_ADDS);
	}
	assert_int_equal(out.len, len + f.added);
	return out.text;
}

/* line - n bytes of c */
static size_t line(char *to, char c, size_t n, const char *end)
{
	memset(to, c, n);
	memcpy(to + n, end, strlen(end) + 1);
	return n + strlen(end);
}

static void test_lengths(void **state)
{
	static const size_t lengths[] = {0, 1, 996, 997, 998, 999, 1000, 1994, 1995, 1996, 3000};
	char text[MAX], want[MAX];
	(void)state;
	for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++)
		for (int dot = 0; dot < 2; dot++) {
			size_t n = 0, w = 0, left = lengths[i], most = 998;
			if (dot) /* stuffed: doesn't count, a dot of the line's own does */
				text[n++] = want[w++] = '.';
			n += line(text + n, '.', left, "\r\nshort\r\n");
			for (; left > most; left -= most, most = 997)
				w += line(want + w, '.', most, "\r\n ");
			line(want + w, '.', left, "\r\nshort\r\n");
			if (!dot && lengths[i]) /* then the first dot is the stuffed one */
				continue;
			assert_string_equal(run(text, n, n, false), want);
			for (size_t step = 1; step < n; step += 1 + step / 3)
				assert_string_equal(run(text, n, step, false), want);
		}
}

/* A character of several bytes isn't cut; what is no UTF-8 is. */
static void test_characters(void **state)
{
	char text[MAX];
	(void)state;
	for (size_t before = 990; before < 999; before++) {
		size_t n =
		    line(text, 'x', before, "\xe2\x82\xac\xe2\x82\xac\xe2\x82\xac\xe2\x82\xac\r\n");
		const char *out = run(text, n, n, false), *cut = strstr(out, "\r\n ");
		assert_non_null(cut);
		assert_true((unsigned char)cut[3] == 0xe2 && cut - out <= 998 && cut - out > 995);
	}
	size_t n = line(text, (char)0x80, 2000, "\r\n");
	assert_int_equal(strstr(run(text, n, n, false), "\r\n ") - run(text, n, n, false), 998);
}

/* The header passes, whatever its lines are; behind its empty line the body doesn't. */
static void test_header_passes(void **state)
{
	char text[MAX], want[MAX];
	(void)state;
	size_t n = line(text, 'A', 2000, ": b\r\n\r\n");
	memcpy(want, text, n);
	size_t w = n;
	n += line(text + n, 'y', 1000, "\r\n");
	w += line(want + w, 'y', 998, "\r\n ");
	line(want + w, 'y', 2, "\r\n");
	for (size_t step = 1; step <= n; step++)
		assert_string_equal(run(text, n, step, true), want);
}

/* header - a section folded */
static const char *header(const char *text)
{
	static struct out out;
	out.len = 0;
	fold_header(text, strlen(text), put, &out);
	return out.text;
}

static void test_header(void **state)
{
	char text[MAX], *at = text;
	(void)state;
	assert_string_equal(header("A: b\r\n c\r\n\r\n"), "A: b\r\n c\r\n\r\n");
	at += snprintf(at, 10, "To:");
	for (int i = 0; i < 500; i++)
		at += snprintf(at, 20, " x%d,", i);
	snprintf(at, 20, "\r\nB: c\r\n\r\n");
	assert_true(fold_needed(text, strlen(text)));
	const char *out = header(text);
	assert_false(fold_needed(out, strlen(out)));
	/* Unfolded it is what it was. */
	char back[MAX], *b = back;
	for (const char *p = out; *p; p++)
		if (strncmp(p, "\r\n ", 3) == 0)
			p++;
		else
			*b++ = *p;
	*b = '\0';
	assert_string_equal(back, text);
	/* Without white space there is only one way. */
	line(text, 'x', 3000, "\r\n");
	memcpy(text, "X:", 2);
	out = header(text);
	assert_false(fold_needed(out, strlen(out)));
	assert_int_equal(strlen(out), 3002 + 9);
	/* What isn't part of the line must not be left alone on one: that would end the message. */
	line(text, 'x', 3000, "\r\n");
	memcpy(text, ". ", 2);
	assert_memory_equal(header(text), ". xxx", 5);
	assert_false(fold_needed(header(text), strlen(header(text))));
	/* Mixed: white space only at the front of what is left. */
	line(text, 'x', 3000, "\r\n");
	memcpy(text, "X: ", 3);
	assert_false(fold_needed(header(text), strlen(header(text))));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_lengths),
	    cmocka_unit_test(test_characters),
	    cmocka_unit_test(test_header_passes),
	    cmocka_unit_test(test_header),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
