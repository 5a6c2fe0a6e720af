/* SPDX-License-Identifier: ISC */
/*
 * Both fill a struct on the caller's stack; jobs.c keeps copies no longer than their text.
 */
#include "deliver/words.h"

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

void words_from_reply(struct words *words, const struct reply *reply)
{
	size_t len = reply->text_len < sizeof(words->text) ? reply->text_len : sizeof(words->text);
	words->code = reply->code;
	words->len = (uint16_t)len;
	/* Nearly every reply has "2.x.y" of single digits: no printf() for each of them. */
	if (reply->dsn_subject < 10 && reply->dsn_detail < 10)
		memcpy(words->status,
		    (char[]){(char)('0' + reply->code / 100), '.', (char)('0' + reply->dsn_subject),
			'.', (char)('0' + reply->dsn_detail), '\0'},
		    6);
	else
		reply_dsn(reply, words->status);
	memcpy(words->text, reply->text, len);
	for (char *p = words->text; (p = memchr(p, '\n', len - (size_t)(p - words->text)));)
		*p = ' ';
}
