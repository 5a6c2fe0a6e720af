/* SPDX-License-Identifier: ISC */
/*
 * lib/dot_form against code that works line by line on whole texts: every string of the bytes that
 * matter, cut at every place; what comes out is strict and comes back as it was.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "lib/dot.h"
#include "lib/dot_form.h"

enum { SHORT = 7, OUT = 200 };

/* clean_line - a line's bytes with CRs dropped at its end and each other run of them a space */
static size_t clean_line(const char *in, size_t n, char *out)
{
	size_t len = 0;
	while (n > 0 && in[n - 1] == '\r')
		n--;
	for (size_t i = 0; i < n; i++) {
		if (in[i] != '\r')
			out[len++] = in[i];
		else if (in[i + 1] != '\r')
			out[len++] = ' ';
	}
	return len;
}

/* expected_form - the stored form of a text, and with plain its lines with LF */
static size_t expected_form(
    enum dot_how how, const char *in, size_t n, char *out, char *plain, size_t *plain_len)
{
	size_t o = 0;
	*plain_len = 0;
	for (size_t at = 0; at < n;) {
		const char *lf = memchr(in + at, '\n', n - at);
		size_t raw = lf ? (size_t)(lf - (in + at)) : n - at;
		char line[OUT];
		size_t len = clean_line(in + at, raw, line);
		bool lone = len == 1 && line[0] == '.';
		at += raw + (lf != NULL);
		if (lone && how == DOT_STUFF_STOP)
			break;
		if (lone || (how != DOT_NORMALISE && len > 0 && line[0] == '.'))
			out[o++] = '.';
		memcpy(out + o, line, len);
		memcpy(out + o + len, "\r\n", 2);
		o += len + 2;
		memcpy(plain + *plain_len, line, len);
		plain[*plain_len + len] = '\n';
		*plain_len += len + 1;
	}
	return o;
}

/* form - by dot_form(), in two pieces, each in and out of a buffer of exact size */
static size_t form(enum dot_how how, const char *in, size_t n, size_t cut, char *out)
{
	struct dot_form f;
	size_t len = 0;
	dot_form_init(&f, how);
	for (int part = 0; part < 2; part++) {
		size_t size = part ? n - cut : cut;
		char *piece = malloc(size + 1), *room = malloc(DOT_FORM_ROOM(size));
		memcpy(piece + 1, in + (part ? cut : 0), size);
		size_t got = dot_form(&f, piece + 1, size, room);
		memcpy(out + len, room, got);
		len += got;
		free(piece);
		free(room);
	}
	char *room = malloc(DOT_END_ROOM);
	size_t got = dot_form_end(&f, room);
	memcpy(out + len, room, got);
	free(room);
	return len + got;
}

/* plain - by dot_plain(), likewise */
static size_t plain(bool lf, const char *in, size_t n, size_t cut, char *out)
{
	struct dot_plain u;
	size_t len = 0;
	dot_plain_init(&u, lf);
	for (int part = 0; part < 2; part++) {
		size_t size = part ? n - cut : cut;
		char *piece = malloc(size + 1), *room = malloc(DOT_PLAIN_ROOM(size));
		memcpy(piece + 1, in + (part ? cut : 0), size);
		size_t got = dot_plain(&u, piece + 1, size, room);
		memcpy(out + len, room, got);
		len += got;
		free(piece);
		free(room);
	}
	return len + dot_plain_end(&u, out + len);
}

/* assert_strict - a body is one, by the rules of lib/dot.h */
static void assert_strict(const char *body, size_t n)
{
	char in[OUT + DOT_MARK];
	struct dot d;
	size_t used;
	memcpy(in, body, n);
	memcpy(in + n, ".\r\n", DOT_MARK);
	dot_init(&d);
	assert_int_equal(dot_feed(&d, in, n + DOT_MARK, &used), DOT_END);
	assert_int_equal(used, n);
	assert_false(d.bare_lf || dot_bare_cr(&d));
}

/* check_form - one text in all three ways, cut everywhere */
static void check_form(const char *in, size_t n)
{
	for (int how = DOT_STUFF; how <= (int)DOT_NORMALISE; how++) {
		char want[OUT], lines[OUT], got[OUT], back[OUT];
		size_t lines_len;
		size_t len = expected_form((enum dot_how)how, in, n, want, lines, &lines_len);
		for (size_t cut = 0; cut <= n; cut++) {
			assert_int_equal(form((enum dot_how)how, in, n, cut, got), len);
			assert_memory_equal(got, want, len);
		}
		assert_strict(want, len);
		if (how == DOT_NORMALISE)
			continue;
		for (size_t cut = 0; cut <= len; cut++) {
			assert_int_equal(plain(true, want, len, cut, back), lines_len);
			assert_memory_equal(back, lines, lines_len);
		}
	}
}

/* check_plain - a stored body, even one with faults, unstuffed in both ways, cut everywhere */
static void check_plain(const char *in, size_t n)
{
	for (int lf = 0; lf < 2; lf++) {
		char want[OUT], got[OUT];
		size_t len = 0;
		for (size_t i = 0; i < n; i++) {
			bool start = i == 0 || (i >= 2 && in[i - 2] == '\r' && in[i - 1] == '\n');
			bool crlf = in[i] == '\r' && i + 1 < n && in[i + 1] == '\n';
			if (!(start && in[i] == '.') && !(lf && crlf))
				want[len++] = in[i];
		}
		for (size_t cut = 0; cut <= n; cut++) {
			assert_int_equal(plain(lf, in, n, cut, got), len);
			assert_memory_equal(got, want, len);
		}
	}
}

static void test_all_short_strings(void **state)
{
	(void)state;
	static const char bytes[] = {'\r', '\n', '.', 'a'};
	for (size_t n = 1; n <= SHORT; n++) {
		for (size_t code = 0; code < (size_t)1 << 2 * n; code++) {
			char in[SHORT];
			for (size_t i = 0; i < n; i++)
				in[i] = bytes[code >> 2 * i & 3];
			check_form(in, n);
			check_plain(in, n);
		}
	}
}

static void test_known(void **state)
{
	(void)state;
	static const struct {
		enum dot_how how;
		const char *in, *out;
	} table[] = {
	    {DOT_STUFF, "", ""},
	    {DOT_STUFF, "one\n.two\nthree", "one\r\n..two\r\nthree\r\n"},
	    {DOT_STUFF, ".\r\n\r\n", "..\r\n\r\n"},
	    {DOT_STUFF, "a\r\r\nb\rc\n", "a\r\nb c\r\n"},
	    {DOT_STUFF_STOP, "a\n.b\n.\nc\n", "a\r\n..b\r\n"},
	    {DOT_STUFF_STOP, "a\n.", "a\r\n"},
	    {DOT_NORMALISE, "a\n..b\nc\r\n", "a\r\n..b\r\nc\r\n"},
	    {DOT_NORMALISE, "a\n.\nMAIL FROM:<x>\r\n", "a\r\n..\r\nMAIL FROM:<x>\r\n"},
	    {DOT_NORMALISE, "a\r\n.\r\r\nb\r\n", "a\r\n..\r\nb\r\n"},
	    {DOT_NORMALISE, "a\r.\rb\r\n", "a . b\r\n"},
	};
	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		char got[OUT];
		size_t len = form(table[i].how, table[i].in, strlen(table[i].in), 0, got);
		assert_int_equal(len, strlen(table[i].out));
		assert_memory_equal(got, table[i].out, len);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_all_short_strings),
	    cmocka_unit_test(test_known),
	};
	return cmocka_run_group_tests_name("dot_form", tests, NULL, NULL);
}
