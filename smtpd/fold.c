/* SPDX-License-Identifier: ISC */
/*
 * Most messages have no long line, and are not searched for line ends either: of each stretch of
 * 998 bytes the last LF is looked for, from behind, and the next stretch begins there.
 */
#include "smtpd/fold.h"

#include <string.h>

#include "lib/dot.h"

#define UTF8_MAX 4 /* bytes of a character */

/* fold_init - at the beginning */
void fold_init(struct fold *f, bool header)
{
	*f = (struct fold){.header = header, .start = true};
}

/* break_at - where within n bytes a break is best: not inside a UTF-8 character */
static size_t break_at(const char *in, size_t n)
{
	size_t at = n;

	/* in[n] exists: there is no break at the end of what is known. */
	while (at > 0 && n - at < UTF8_MAX && ((unsigned char)in[at] & 0xc0) == 0x80)
		at--;
	return at > 0 && ((unsigned char)in[at] & 0xc0) != 0x80 ? at : n;
}

/* skip_header - how many bytes of in belong to the header */
static size_t skip_header(struct fold *f, const char *in, size_t n)
{
	size_t at = 0;

	while (at < n) {
		if (f->start && in[at] == '\r') {
			f->header = false;
			f->start = false;
			break;
		}
		const char *lf = memchr(in + at, '\n', n - at);
		f->start = lf != NULL;
		at = lf ? (size_t)(lf - in) + 1 : n;
	}
	return at;
}

/* pass_dot - the dot that stuffing put at the start of a line doesn't count */
static size_t pass_dot(struct fold *f, const char *in, size_t at, size_t n)
{
	if (!f->start || at == n)
		return at;
	f->start = false;
	return at + (in[at] == '.');
}

/* pass_lines - to the end of the last line that ends in time; n when all fits, without an end */
static size_t pass_lines(struct fold *f, const char *in, size_t at, size_t n)
{
	while (at < n) {
		at = pass_dot(f, in, at, n);
		size_t left = n - at, window = DOT_LINE_MAX - f->col + 2; /* with CRLF */
		const char *lf = memrchr(in + at, '\n', left < window ? left : window);

		if (!lf) {
			if (left > DOT_LINE_MAX - f->col)
				return at;
			f->col += (unsigned)left;
			return n;
		}
		f->col = 0;
		f->start = true;
		at = (size_t)(lf - in) + 1;
	}
	return at;
}

/* fold - where pass_lines() stops, a line is too long, or CR stands in the place behind its end */
void fold(struct fold *f, const char *in, size_t n, fold_put *put, void *to)
{
	size_t done = 0, at = f->header ? skip_header(f, in, n) : 0;

	while ((at = pass_lines(f, in, at, n)) < n) {
		size_t fits = DOT_LINE_MAX - f->col;

		if (in[at + fits] == '\r') { /* of a CRLF whose LF didn't come yet */
			at += fits + 1;
			f->col = DOT_LINE_MAX;
			continue;
		}
		at += break_at(in + at, fits);
		put(to, in + done, at - done);
		put(to, "\r\n ", FOLD_ADDS);
		f->added += FOLD_ADDS;
		f->col = 1;
		done = at;
	}
	if (done < n)
		put(to, in + done, n - done);
}

/* fold_passes - no line of the body is too long */
bool fold_passes(struct fold *f, const char *in, size_t n)
{
	struct fold after = *f;
	if (after.header || pass_lines(&after, in, 0, n) < n)
		return false;
	*f = after;
	return true;
}

/* line_len - of the line at text, without its CRLF; *next is set behind it */
static size_t line_len(const char *text, const char *end, const char **next)
{
	const char *lf = memchr(text, '\n', (size_t)(end - text));

	*next = lf ? lf + 1 : end;
	size_t n = (size_t)((lf ? lf : end) - text);
	return n > 0 && text[n - 1] == '\r' ? n - 1 : n;
}

/* fold_needed - line by line */
bool fold_needed(const char *text, size_t len)
{
	const char *end = text + len, *next;

	for (; text < end; text = next)
		if (line_len(text, end, &next) > DOT_LINE_MAX + (*text == '.'))
			return true;
	return false;
}

/* soft_break - the last white space within `most` bytes that isn't the line's first; 0: none */
static size_t soft_break(const char *text, size_t most)
{
	size_t at = most;

	while (at > 0 && text[at] != ' ' && text[at] != '\t')
		at--;
	return at;
}

/* fold_header_line - one line, n bytes without CRLF; never broken behind the dot of stuffing */
static void fold_header_line(const char *text, size_t n, fold_put *put, void *to)
{
	size_t most = DOT_LINE_MAX, dot = n > 0 && *text == '.';

	put(to, text, dot);
	text += dot;
	n -= dot;
	while (n > most) {
		size_t at = soft_break(text, most);
		bool soft = at > 0;

		if (!soft)
			at = break_at(text, most);
		put(to, text, at);
		put(to, "\r\n ", soft ? 2 : FOLD_ADDS);
		most = soft ? DOT_LINE_MAX : DOT_LINE_MAX - 1;
		text += at;
		n -= at;
	}
	put(to, text, n);
}

/* fold_header - line by line */
void fold_header(const char *text, size_t len, fold_put *put, void *to)
{
	const char *end = text + len, *next;

	for (; text < end; text = next) {
		size_t n = line_len(text, end, &next);

		fold_header_line(text, n, put, to);
		put(to, text + n, (size_t)(next - text) - n);
	}
}
