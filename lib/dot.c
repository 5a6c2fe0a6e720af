/* SPDX-License-Identifier: ISC */
/*
 * Two passes over bytes that are in the cache: one from LF to LF with memchr(), which needs a look
 * at the bytes around each line's end only, and one that counts CRs and collects NULs and 8-bit
 * bytes, 32 at a time in compiler vectors. A bare CR is known from the sums: CRs minus CRLFs.
 *
 * "." and ".CR" at the start of a line are held until the next byte decides. Over several chains
 * they are held by count; at the end of what there is they are given back to the caller.
 */
#include "lib/dot.h"

#include <event2/buffer.h>
#include <string.h>

enum { CHAINS = 8 };

/* dot_init - start at the beginning of a body */
void dot_init(struct dot *d)
{
	*d = (struct dot){.line_start = true};
}

/* Sixteen bytes: what every x86-64 and aarch64 has registers for. */
typedef unsigned char vec __attribute__((vector_size(16), aligned(1), may_alias));
typedef uint64_t words __attribute__((vector_size(16)));

/* any - is a byte of the vector not zero? */
static inline bool any(vec v)
{
	words w = (words)v;
	return (w[0] | w[1]) != 0;
}

/* note_bytes - count CRs, look for NULs and 8-bit bytes */
static void note_bytes(struct dot *d, const char *p, size_t n)
{
	vec high = {0}, zero = {0};
	while (n >= sizeof(vec)) {
		/* 255 rounds, then a lane of the counter could overflow. */
		size_t rounds = n / sizeof(vec) < 255 ? n / sizeof(vec) : 255;
		vec crs = {0};
		n -= rounds * sizeof(vec);
		for (; rounds-- > 0; p += sizeof(vec)) {
			vec v = *(const vec *)p;
			crs -= (vec)(v == '\r');
			high |= v;
			zero |= (vec)(v == 0);
		}
		for (size_t i = 0; i < sizeof(vec); i++)
			d->crs += crs[i];
	}
	d->nul |= any(zero);
	d->eightbit |= any(high & 0x80);
	for (; n > 0; n--, p++) {
		d->crs += *p == '\r';
		d->nul |= *p == '\0';
		d->eightbit |= (*p & 0x80) != 0;
	}
}

/* end_line - a CRLF was seen */
static void end_line(struct dot *d)
{
	uint64_t len = d->line_len - 2;
	if (len > d->longest)
		d->longest = len;
	d->lines++;
	d->line_len = 0;
	d->line_start = true;
}

/*
 * at_line_start - look at the first bytes of a line, some of which may be held from before. Returns
 * true for the mark. *pos moves over what is held or decided.
 */
static bool at_line_start(struct dot *d, const char *in, size_t n, size_t *pos)
{
	static const char mark[DOT_MARK] = {'.', '\r', '\n'};
	while (*pos < n && in[*pos] == mark[d->held]) {
		d->held++;
		++*pos;
		if (d->held == DOT_MARK)
			return true;
	}
	if (*pos == n)
		return false;
	/* Something else came: a stuffed dot if one was held, and a CR that is part of the line. */
	d->line_start = false;
	d->last_cr = d->held == 2;
	d->line_len = d->held == 2;
	d->plain -= d->held > 0;
	d->held = 0;
	return false;
}

/* feed - take in one contiguous piece; *pos is where body (with held bytes) or mark ends */
static enum dot_verdict feed(struct dot *d, const char *in, size_t n, size_t *pos)
{
	size_t at = 0;
	while (at < n) {
		if (d->line_start) {
			if (in[at] == '.' || d->held > 0) {
				bool end = at_line_start(d, in, n, &at);
				*pos = at;
				if (end)
					return DOT_END;
				if (d->line_start)
					return DOT_MORE;
			} else {
				d->line_start = d->last_cr = false;
			}
		}
		const char *nl = memchr(in + at, '\n', n - at);
		if (!nl) {
			d->line_len += n - at;
			d->last_cr = in[n - 1] == '\r';
			break;
		}
		size_t lf = (size_t)(nl - in);
		bool crlf = lf > at ? in[lf - 1] == '\r' : d->last_cr;
		d->line_len += lf + 1 - at;
		d->last_cr = false;
		at = lf + 1;
		if (crlf)
			end_line(d);
		else
			d->bare_lf = true;
	}
	*pos = n;
	return DOT_MORE;
}

/* settle - give back what is held, add up what was used of `total` bytes */
static size_t settle(struct dot *d, enum dot_verdict verdict, size_t total)
{
	size_t back = verdict == DOT_END ? DOT_MARK : d->held;
	size_t used = total - back;
	d->crs -= back >= 2; /* the CR of a whole or half mark was counted with the rest */
	d->held = 0;
	d->stored += used;
	d->plain += used;
	return used;
}

/* dot_feed - take in what has come */
enum dot_verdict dot_feed(struct dot *d, const char *in, size_t n, size_t *used)
{
	size_t pos = 0;
	enum dot_verdict verdict = feed(d, in, n, &pos);
	note_bytes(d, in, pos);
	*used = settle(d, verdict, pos);
	return verdict;
}

/* dot_feed_evbuffer - take in what has come in an evbuffer */
enum dot_verdict dot_feed_evbuffer(struct dot *d, struct evbuffer *in, size_t *used)
{
	struct evbuffer_iovec v[CHAINS];
	struct evbuffer_ptr from;
	enum dot_verdict verdict = DOT_MORE;
	size_t total = 0, all = evbuffer_get_length(in);
	while (verdict == DOT_MORE && total < all) {
		evbuffer_ptr_set(in, &from, total, EVBUFFER_PTR_SET);
		int chains = evbuffer_peek(in, -1, &from, v, CHAINS);
		for (int i = 0; i < chains && i < CHAINS && verdict == DOT_MORE; i++) {
			size_t pos = 0;
			verdict = feed(d, v[i].iov_base, v[i].iov_len, &pos);
			note_bytes(d, v[i].iov_base, pos);
			total += pos;
		}
	}
	*used = settle(d, verdict, total);
	return verdict;
}

/* dot_scan_init - start at the beginning of a body */
void dot_scan_init(struct dot_scan *s)
{
	s->matched = 2; /* as if behind CRLF */
}

/* match_step - one byte further in CRLF.CRLF: how many of its bytes match now */
static unsigned match_step(unsigned matched, char c)
{
	static const char mark[] = "\r\n.\r\n";
	if (c == mark[matched])
		return matched + 1;
	return c == '\r';
}

/*
 * find_mark - is a whole CRLF.CRLF in here? LF followed by a dot is rare enough (a stuffed line)
 * that sixteen places at once are tested for it and only a hit is looked at closely.
 */
static bool find_mark(const char *p, size_t n)
{
	const char *end = p + n;
	while ((size_t)(end - p) > sizeof(vec)) {
		vec lf = (vec)(*(const vec *)p == '\n');
		vec dot = (vec)(*(const vec *)(p + 1) == '.');
		size_t left = (size_t)(end - p);
		/* With what a mark has before and behind these places, as far as it is in here. */
		const char *from = p > end - n ? p - 1 : p;
		size_t len = left < sizeof(vec) + 4 ? left : sizeof(vec) + 4;
		if (any(lf & dot) && memmem(from, (size_t)(p + len - from), "\r\n.\r\n", 5))
			return true;
		p += sizeof(vec);
	}
	const char *from = p > end - n ? p - 1 : p;
	return memmem(from, (size_t)(end - from), "\r\n.\r\n", 5) != NULL;
}

/* dot_scan - look for an end-of-data mark in a piece */
bool dot_scan(struct dot_scan *s, const char *p, size_t n)
{
	size_t i = 0;
	for (; i < n && s->matched > 0; i++) {
		s->matched = match_step(s->matched, p[i]);
		if (s->matched == 5)
			return true;
	}
	if (i == n)
		return false;
	if (find_mark(p + i, n - i))
		return true;
	/* No whole mark in it: what its last four bytes begin goes on in the next piece. */
	for (i = n - i > 4 ? n - 4 : i; i < n; i++)
		s->matched = match_step(s->matched, p[i]);
	return false;
}

/* dot_scan_whole - does what was scanned end with CRLF? */
bool dot_scan_whole(const struct dot_scan *s)
{
	return s->matched == 2;
}
