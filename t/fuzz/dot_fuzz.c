/* SPDX-License-Identifier: ISC */
/*
 * A body with everything behind it: the end found whole and in pieces is the same and is the first
 * CRLF.CRLF; what is in front of it passes dot_scan(), comes back the same from plain text, and is
 * strict after normalising.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "lib/dot.h"
#include "lib/dot_form.h"

enum { KEEP = 1 << 14 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* must - what has to hold */
static void must(bool ok)
{
	if (!ok)
		abort();
}

/* feed - the body's length, in pieces of `step` bytes; *end: whether the mark was there */
static size_t feed(struct dot *d, const char *in, size_t n, size_t step, bool *end)
{
	size_t from = 0, upto = 0, used;

	dot_init(d);
	*end = false;
	while (upto < n && !*end) {
		upto = n - upto < step ? n : upto + step;
		*end = dot_feed(d, in + from, upto - from, &used) == DOT_END;
		must(used <= upto - from);
		from += used;
	}
	return from;
}

/* form - one way of dot_form() over the whole, in pieces of `step` bytes */
static size_t form(enum dot_how how, const char *in, size_t n, size_t step, char *out)
{
	struct dot_form f;
	size_t len = 0;

	dot_form_init(&f, how);
	for (size_t at = 0; at < n; at += step)
		len += dot_form(&f, in + at, n - at < step ? n - at : step, out + len);
	return len + dot_form_end(&f, out + len);
}

/* check_strict - a stored body has no end inside, and only whole lines */
static void check_strict(char *body, size_t n)
{
	struct dot d;
	struct dot_scan s;
	size_t used;

	dot_scan_init(&s);
	must(!dot_scan(&s, body, n) && dot_scan_whole(&s));
	memcpy(body + n, ".\r\n", DOT_MARK);
	dot_init(&d);
	must(dot_feed(&d, body, n + DOT_MARK, &used) == DOT_END && used == n);
	must(!d.bare_lf && !dot_bare_cr(&d));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static char a[KEEP * 2 + 16], b[KEEP * 2 + 16], back[KEEP * 2 + 16];
	const char *in = (const char *)data + 1;
	struct dot whole, pieces;
	bool end, end_pieces;

	if (size < 2 || size > KEEP)
		return 0;
	size_t n = size - 1, step = data[0] % 32 + 1;
	size_t body = feed(&whole, in, n, n, &end);
	must(feed(&pieces, in, n, step, &end_pieces) == body && end == end_pieces);
	must(whole.plain == pieces.plain && whole.longest == pieces.longest &&
	     whole.crs == pieces.crs && whole.lines == pieces.lines && whole.nul == pieces.nul &&
	     whole.eightbit == pieces.eightbit && whole.bare_lf == pieces.bare_lf);

	bool initial = n >= 3 && !memcmp(in, ".\r\n", 3);
	const char *mark = initial ? in - 2 : memmem(in, n, "\r\n.\r\n", 5);
	must(end == (mark != NULL) && (!end || body == (size_t)(mark + 2 - in)));
	struct dot_scan s;
	dot_scan_init(&s);
	must(dot_scan(&s, in, n) == end);

	for (int how = DOT_STUFF; how <= (int)DOT_NORMALISE; how++) {
		size_t len = form((enum dot_how)how, in, n, n, a);
		must(form((enum dot_how)how, in, n, step, b) == len && !memcmp(a, b, len));
		check_strict(a, len);
		if (how != DOT_STUFF)
			continue;
		struct dot_plain u;
		dot_plain_init(&u, true);
		size_t plain = dot_plain(&u, a, len, back);
		must(dot_plain_end(&u, back) == 0);
		must(form(DOT_STUFF, back, plain, step, b) == len && !memcmp(a, b, len));
	}
	return 0;
}
