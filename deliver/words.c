/* SPDX-License-Identifier: ISC */
/*
 * An enhanced status (RFC 2034) counts if it stands in the first line and its class is the code's;
 * later lines repeat it, there it is left out of the text. A server without any gets X.0.0.
 */
#include "deliver/words.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

void words_set(struct words *words, unsigned code, const char *status, const char *fmt, ...)
{
	va_list args;
	words->code = (uint16_t)code;
	snprintf(words->status, sizeof(words->status), "%s", status);
	va_start(args, fmt);
	int n = vsnprintf(words->text, sizeof(words->text), fmt, args);
	va_end(args);
	size_t max = sizeof(words->text) - 1;
	words->len = (uint16_t)(n < 0 ? 0 : (size_t)n < max ? (size_t)n : max);
}

/* digit - an ASCII digit */
static bool digit(char c)
{
	return c >= '0' && c <= '9';
}

/* status_len - length of an enhanced status of that class at the start of text, 0: none */
static size_t status_len(const char *text, size_t len, char class)
{
	size_t pos = 1;
	if (len < 5 || text[0] != class)
		return 0;
	for (unsigned part = 0; part < 2; part++) {
		size_t digits = 0;
		if (pos >= len || text[pos++] != '.')
			return 0;
		while (pos < len && digit(text[pos]) && digits < 4) {
			pos++;
			digits++;
		}
		if (!digits || digits > 3)
			return 0;
	}
	return pos == len || text[pos] == ' ' || text[pos] == '\t' ? pos : 0;
}

/* add_text - one line's text behind what is there; what doesn't fit is cut */
static void add_text(struct words *words, const char *text, size_t len)
{
	size_t room = sizeof(words->text) - words->len;
	while (len && (*text == ' ' || *text == '\t')) {
		text++;
		len--;
	}
	if (!len || room < 2)
		return;
	if (words->len) {
		words->text[words->len++] = ' ';
		room--;
	}
	if (len > room)
		len = room;
	memcpy(words->text + words->len, text, len);
	words->len = (uint16_t)(words->len + len);
}

/* read_line - one line of a reply: 1 when it was the last, 0, -EBADMSG */
static int read_line(struct words_reader *r, const char *line, size_t len)
{
	struct words *w = &r->words;
	if (len < 3 || line[0] < '1' || line[0] > '5' || !digit(line[1]) || !digit(line[2]) ||
	    (len > 3 && line[3] != ' ' && line[3] != '-'))
		return -EBADMSG;
	unsigned code = (unsigned)(line[0] - '0') * 100 + (unsigned)(line[1] - '0') * 10 +
			(unsigned)(line[2] - '0');
	const char *text = line + (len > 3 ? 4 : 3);
	size_t n = len - (size_t)(text - line), status = status_len(text, n, line[0]);
	if (r->lines && code != w->code)
		return -EBADMSG;
	if (!r->lines) {
		w->code = (uint16_t)code;
		w->len = 0;
		if (status) {
			memcpy(w->status, text, status);
			w->status[status] = '\0';
		} else {
			memcpy(w->status, "0.0.0", 6);
			w->status[0] = line[0];
		}
	}
	if (r->line)
		r->line(r->arg, text, n);
	add_text(w, text + status, n - status);
	r->lines++;
	return len == 3 || line[3] == ' ';
}

int words_read(struct words_reader *r, const char *data, size_t len, size_t *used)
{
	*used = 0;
	while (*used < len) {
		const char *line = data + *used;
		size_t left = len - *used;
		const char *lf = memchr(line, '\n', left < WORDS_LINE_MAX ? left : WORDS_LINE_MAX);
		if (!lf)
			return left < WORDS_LINE_MAX ? 0 : -EBADMSG;
		size_t n = (size_t)(lf - line);
		*used += n + 1;
		int rc = read_line(r, line, n && lf[-1] == '\r' ? n - 1 : n);
		if (rc < 0 || (!rc && r->lines >= WORDS_LINES_MAX))
			return -EBADMSG;
		if (rc) {
			r->lines = 0;
			return 1;
		}
	}
	return 0;
}
