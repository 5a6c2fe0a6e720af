/* SPDX-License-Identifier: ISC */
/*
 * One memchr() for LF over the bytes that are new, then one for CR and one for NUL over the line
 * that was found: three calls of libc's vectorised search a line, no per-byte state machine. A CR
 * at the end of what has come so far is left unjudged until the next byte is there.
 */
#include "lib/line.h"

#include <event2/buffer.h>
#include <string.h>

/* line_init - start at the beginning of a line */
void line_init(struct line *l, size_t max)
{
	*l = (struct line){.max = max};
}

/* restart - the next byte begins a new line */
static void restart(struct line *l)
{
	l->scanned = 0;
	l->skipping = false;
}

/* bad - report a line that can't be taken; what follows up to its CRLF is skipped */
static enum line_verdict bad(struct line *l, enum line_verdict why, size_t upto, size_t *used)
{
	l->scanned = 0;
	l->skipping = true;
	*used = upto;
	return why;
}

/* skip - find the end of a line that is being skipped; bytes to drop, all but a CR at the end */
static size_t skip(struct line *l, const char *buf, size_t n)
{
	const char *p = buf, *end = buf + n;
	while ((p = memchr(p, '\n', (size_t)(end - p)))) {
		p++;
		if (l->lf_ends || (p - buf >= 2 && p[-2] == '\r')) {
			restart(l);
			return (size_t)(p - buf);
		}
	}
	return n - (n > 0 && end[-1] == '\r');
}

/* no_end - the verdict when no LF is in what has come so far */
static enum line_verdict no_end(struct line *l, const char *buf, size_t n, size_t *used)
{
	size_t last_cr = n > 0 && buf[n - 1] == '\r';
	size_t from = l->scanned > 0 ? l->scanned - 1 : 0; /* a CR may have stood there */
	*used = 0;
	if (n - from > last_cr && memchr(buf + from, '\r', n - last_cr - from))
		return bad(l, LINE_BARE_CR, n - last_cr, used);
	if (n >= l->max)
		return bad(l, LINE_LONG, n - last_cr, used);
	l->scanned = n;
	return LINE_MORE;
}

/* at_lf - the verdict when an LF was found, `size` bytes from the start of the line with it */
static enum line_verdict at_lf(
    struct line *l, const char *buf, size_t size, size_t *used, size_t *len)
{
	bool crlf = size >= 2 && buf[size - 2] == '\r';
	if (!crlf && !l->lf_ends)
		return bad(l, size > l->max ? LINE_LONG : LINE_BARE_LF, size, used);
	*used = size;
	*len = size - 1 - crlf;
	/* The line's end was seen, so nothing is left to skip, whatever is wrong with it. */
	restart(l);
	if (size > l->max)
		return LINE_LONG;
	if (memchr(buf, '\r', *len))
		return LINE_BARE_CR;
	return memchr(buf, '\0', *len) ? LINE_NUL : LINE_OK;
}

/* line_next - look for one line */
enum line_verdict line_next(
    struct line *l, const char *buf, size_t n, size_t *used, const char **text, size_t *len)
{
	size_t skipped = 0;
	*used = *len = 0;
	if (l->skipping) {
		skipped = skip(l, buf, n);
		buf += skipped;
		n -= skipped;
	}
	*text = buf;
	enum line_verdict verdict = LINE_MORE;
	if (!l->skipping && n > l->scanned) {
		const char *lf = memchr(buf + l->scanned, '\n', n - l->scanned);
		verdict =
		    lf ? at_lf(l, buf, (size_t)(lf + 1 - buf), used, len) : no_end(l, buf, n, used);
	}
	*used += skipped;
	return verdict;
}

/* line_next_evbuffer - look for one line at the front of an evbuffer */
enum line_verdict line_next_evbuffer(
    struct line *l, struct evbuffer *in, size_t *used, const char **text, size_t *len)
{
	size_t seen = l->scanned; /* bytes at the front that hold no line's end */
	*used = *len = 0;
	*text = "";
	for (;;) {
		size_t total = evbuffer_get_length(in);
		size_t n = evbuffer_get_contiguous_space(in);
		if (total == 0)
			return LINE_MORE;
		if (n <= seen) /* the first piece alone won't do: take as much more as is a line */
			n = total < l->max ? total : l->max;
		const char *buf = (const char *)evbuffer_pullup(in, (ev_ssize_t)n);
		if (!buf)
			return bad(l, LINE_LONG, total, used);
		enum line_verdict verdict = line_next(l, buf, n, used, text, len);
		if (verdict != LINE_MORE)
			return verdict;
		evbuffer_drain(in, *used);
		seen = n - *used;
		*used = 0;
		if (n == total)
			return LINE_MORE;
	}
}
