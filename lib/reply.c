/* SPDX-License-Identifier: ISC */
/*
 * Line by line: memchr() for LF over bytes not seen before, three digits, perhaps an enhanced code,
 * and the rest copied into the reply. Nearly every reply is one short line.
 */
#include "lib/reply.h"

#include <event2/buffer.h>
#include <stdio.h>
#include <string.h>

/* reply_init - start on a new connection */
void reply_init(struct reply *r)
{
	r->open = false;
	r->scanned = 0;
	r->error = NULL;
	r->code = 0;
	r->text_len = 0;
	r->text[0] = '\0';
}

/* begin - forget the previous reply */
static void begin(struct reply *r, unsigned code)
{
	r->open = true;
	r->code = (uint16_t)code;
	r->dsn_class = r->dsn_subject = r->dsn_detail = 0;
	r->text_len = 0;
	r->cut = false;
	r->lines = 0;
}

/* bad - what came isn't a reply */
static enum reply_verdict bad(struct reply *r, const char *why)
{
	r->error = why;
	r->open = false;
	r->scanned = 0;
	return REPLY_BAD;
}

/* digit - is this one? */
static bool digit(char c)
{
	return c >= '0' && c <= '9';
}

/* number - up to three digits at p; how many there were */
static size_t number(const char *p, const char *end, uint16_t *value)
{
	size_t n = 0;
	*value = 0;
	for (; n < 3 && p + n < end && digit(p[n]); n++)
		*value = (uint16_t)(*value * 10 + (p[n] - '0'));
	return n;
}

/*
 * enhanced_code - take "5.1.1 " off the front of a line's text: its length, 0 where there is none.
 * A class that contradicts the code is no enhanced code but text (RFC 2034 4).
 */
static size_t enhanced_code(struct reply *r, const char *p, const char *end)
{
	uint16_t subject, detail;
	if (end - p < 5 || p[0] - '0' != r->code / 100 || p[1] != '.' || r->code / 100 == 3)
		return 0;
	size_t at = 2, n = number(p + at, end, &subject);
	at += n;
	if (n == 0 || p + at >= end || p[at] != '.')
		return 0;
	at++;
	n = number(p + at, end, &detail);
	at += n;
	if (n == 0 || (p + at < end && p[at] != ' '))
		return 0;
	if (r->dsn_class == 0) {
		r->dsn_class = r->code / 100;
		r->dsn_subject = subject;
		r->dsn_detail = detail;
	}
	return at + (p + at < end);
}

/* keep - add a line's text to the reply's, as far as there is room */
static void keep(struct reply *r, const char *p, size_t n)
{
	size_t room = REPLY_TEXT_MAX - r->text_len;
	if (r->lines > 0 && room > 0) {
		r->text[r->text_len++] = '\n';
		room--;
	}
	if (n > room) {
		n = room;
		r->cut = true;
	}
	char *to = r->text + r->text_len;
	for (size_t i = 0; i < n; i++)
		to[i] = (unsigned char)p[i] < ' ' || p[i] == 0x7f ? '?' : p[i];
	r->text_len += n;
	r->text[r->text_len] = '\0';
}

/* no_code - what it said instead, since that tells an administrator whom we are talking to */
static enum reply_verdict no_code(struct reply *r, const char *p, size_t n)
{
	r->text_len = 0;
	r->lines = 0;
	keep(r, p, n < REPLY_QUOTE_MAX ? n : REPLY_QUOTE_MAX);
	snprintf(r->quote, sizeof(r->quote), "reply without a code: \"%.*s\"", REPLY_QUOTE_MAX,
	    r->text);
	return bad(r, r->quote);
}

/* take_line - one line without its line end */
static enum reply_verdict take_line(struct reply *r, const char *p, size_t n)
{
	const char *end = p + n;
	if (n < 3 || p[0] < '2' || p[0] > '5' || !digit(p[1]) || !digit(p[2]))
		return no_code(r, p, n);
	if (n > 3 && p[3] != ' ' && p[3] != '-')
		return bad(r, "reply without a space behind the code");
	unsigned code =
	    (unsigned)(p[0] - '0') * 100 + (unsigned)(p[1] - '0') * 10 + (unsigned)(p[2] - '0');
	if (!r->open)
		begin(r, code);
	else if (code != r->code)
		return bad(r, "reply with lines of different codes");
	if (r->lines == REPLY_LINES_MAX)
		return bad(r, "reply with too many lines");
	bool last = n == 3 || p[3] == ' ';
	p += n > 3 ? 4 : 3;
	p += enhanced_code(r, p, end);
	keep(r, p, (size_t)(end - p));
	r->lines++;
	r->open = !last;
	return last ? REPLY_OK : REPLY_MORE;
}

/* reply_feed - take one reply */
enum reply_verdict reply_feed(struct reply *r, const char *buf, size_t n, size_t *used)
{
	const char *p = buf, *end = buf + n;
	enum reply_verdict verdict = REPLY_MORE;
	*used = 0;
	while (verdict == REPLY_MORE && (size_t)(end - p) > r->scanned) {
		const char *from = p + r->scanned;
		const char *lf = memchr(from, '\n', (size_t)(end - from));
		size_t len = (size_t)((lf ? lf : end) - p);
		if (len >= REPLY_LINE_MAX)
			return bad(r, "reply with too long a line");
		r->scanned = lf ? 0 : len;
		if (!lf)
			break;
		if (len > 0 && p[len - 1] == '\r')
			len--;
		verdict = take_line(r, p, len);
		p = lf + 1;
	}
	*used = (size_t)(p - buf);
	return verdict;
}

/* reply_feed_evbuffer - take one reply from an evbuffer */
enum reply_verdict reply_feed_evbuffer(struct reply *r, struct evbuffer *in)
{
	for (;;) {
		size_t total = evbuffer_get_length(in);
		size_t n = evbuffer_get_contiguous_space(in), used;
		if (total == 0)
			return REPLY_MORE;
		if (n <= r->scanned) /* the line goes on in another chain */
			n = total < REPLY_LINE_MAX ? total : REPLY_LINE_MAX;
		const char *buf = (const char *)evbuffer_pullup(in, (ev_ssize_t)n);
		if (!buf)
			return bad(r, "out of memory");
		enum reply_verdict verdict = reply_feed(r, buf, n, &used);
		evbuffer_drain(in, used);
		if (verdict != REPLY_MORE || n == total)
			return verdict;
	}
}

/* reply_next_line - walk over the lines of the text */
bool reply_next_line(const struct reply *r, const char **pos, const char **line, size_t *len)
{
	const char *end = r->text + r->text_len;
	const char *from = *pos ? *pos + 1 : r->text;
	if (*pos == end)
		return false;
	const char *lf = memchr(from, '\n', (size_t)(end - from));
	*pos = lf ? lf : end;
	*line = from;
	*len = (size_t)(*pos - from);
	return true;
}

/* reply_dsn - the status for people and DSNs */
void reply_dsn(const struct reply *r, char out[REPLY_DSN_SIZE])
{
	unsigned class = (r->dsn_class ? r->dsn_class : r->code / 100u) % 10;
	snprintf(
	    out, REPLY_DSN_SIZE, "%u.%u.%u", class, r->dsn_subject % 1000u, r->dsn_detail % 1000u);
}
