/* SPDX-License-Identifier: ISC */
/*
 * A stream of commands, offered whole and byte by byte: the lines taken must be the same.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "lib/line.h"

enum { LIMIT = 64, KEEP = 1 << 16 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* split - the good lines of the stream, each with its LF, offered `step` bytes more at a time */
static size_t split(const char *data, size_t size, size_t step, char *out)
{
	struct line l;
	size_t start = 0, have = 0, n = 0;

	line_init(&l, LIMIT);
	for (;;) {
		const char *text;
		size_t used = 0, len = 0;
		enum line_verdict v = line_next(&l, data + start, have - start, &used, &text, &len);
		if (used > have - start)
			abort();
		start += used;
		if (v == LINE_OK) {
			if (len + 2 > LIMIT || memchr(text, '\r', len) || memchr(text, '\n', len))
				abort();
			memcpy(out + n, text, len);
			out[n + len] = '\n';
			n += len + 1;
		}
		if (v == LINE_MORE) {
			if (have == size)
				return n;
			have = size - have < step ? size : have + step;
		}
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static char whole[KEEP], pieces[KEEP];

	if (size > KEEP / 2)
		return 0;
	size_t a = split((const char *)data, size, size + 1, whole);
	size_t b = split((const char *)data, size, 1, pieces);
	if (a != b || memcmp(whole, pieces, a))
		abort();
	return 0;
}
