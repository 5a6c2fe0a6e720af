/* SPDX-License-Identifier: ISC */
#include "lib/field.h"

#include <string.h>

/* field_name_len - printable characters, then a colon */
size_t field_name_len(const char *text, size_t len)
{
	size_t n = 0, end;

	while (n < len && text[n] > 0x20 && text[n] < 0x7f && text[n] != ':')
		n++;
	end = n;
	while (end < len && (text[end] == ' ' || text[end] == '\t'))
		end++;
	return end < len && text[end] == ':' ? n : 0;
}

/* field_len - up to a line that doesn't begin with white space */
size_t field_len(const char *text, size_t len)
{
	size_t at = 0;

	do {
		const char *lf = memchr(text + at, '\n', len - at);

		at = lf ? (size_t)(lf - text) + 1 : len;
	} while (at < len && (text[at] == ' ' || text[at] == '\t'));
	return at;
}
