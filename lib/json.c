/* SPDX-License-Identifier: ISC */
/*
 * Runs of ordinary characters, which is nearly all there is, are found with one table look-up a
 * byte and copied at once; only what stands between them is looked at closely.
 */
#include "lib/json.h"

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "lib/str.h"

/* plain - stands for itself inside a JSON string */
static bool plain(uint8_t c)
{
	return c >= 0x20 && c < 0x7f && c != '"' && c != '\\';
}

/* escape_one - the escape of one byte or code point below 256; its length */
static size_t escape_one(char out[JSON_ESCAPE_MAX], uint8_t c)
{
	static const char digits[] = "0123456789abcdef";
	static const char letters[] = "\"\"\\\\\nn\rr\tt";
	for (const char *l = letters; *l; l += 2) {
		if ((uint8_t)*l == c) {
			out[0] = '\\';
			out[1] = l[1];
			return 2;
		}
	}
	memcpy(out, "\\u00", 4);
	out[4] = digits[c >> 4];
	out[5] = digits[c & 15];
	return 6;
}

/* json_escape - escape bytes into a buffer */
size_t json_escape(char *dst, size_t size, const char *src, size_t n, size_t *done)
{
	const uint8_t *s = (const uint8_t *)src;
	size_t i = 0, o = 0;
	while (i < n) {
		size_t run = i;
		while (run < n && run - i < size - o && plain(s[run]))
			run++;
		if (run > i) {
			memcpy(dst + o, s + i, run - i);
			o += run - i;
			i = run;
			continue;
		}
		size_t len = s[i] >= 0x80 ? str_utf8(src + i, n - i) : 0;
		bool c1 = len == 2 && s[i] == 0xc2 && s[i + 1] < 0xa0;
		char esc[JSON_ESCAPE_MAX];
		const char *put = src + i;
		size_t out = len;
		if (len == 0 || c1) {
			out = escape_one(esc, c1 ? s[i + 1] : s[i]);
			put = esc;
			len = c1 ? 2 : 1;
		}
		if (out > size - o)
			break;
		memcpy(dst + o, put, out);
		o += out;
		i += len;
	}
	if (done)
		*done = i;
	return o;
}

/* json_write - write a JSON string to a stream */
void json_write(FILE *out, const char *src, size_t n)
{
	char buf[512];
	fputc('"', out);
	for (size_t done = 0; n > 0; src += done, n -= done)
		fwrite(buf, 1, json_escape(buf, sizeof(buf), src, n, &done), out);
	fputc('"', out);
}
