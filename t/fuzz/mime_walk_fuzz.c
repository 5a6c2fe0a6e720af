/* SPDX-License-Identifier: ISC */
/*
 * A message walked twice, in blocks of two sizes: the same result; what could be done has no octet
 * over 127 outside headers that had one, and no lone end of data.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "deliver/mime_walk.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* walk - both times; the second one's output, NULL when it can't be done */
static struct evbuffer *walk(const char *data, size_t size, size_t step)
{
	static struct mime_walk w;
	struct evbuffer *out = evbuffer_new();
	int rc = 0;
	mime_walk_begin(&w);
	for (unsigned round = 0; round < 2 && !rc; round++) {
		for (size_t i = 0; i < size && !rc; i += step)
			rc = mime_walk_feed(&w, data + i, size - i < step ? size - i : step, out);
		rc = rc ? rc : mime_walk_end(&w, out);
		if (rc && (round || !w.why))
			abort(); /* the first walk has to find out */
		if (!rc && !round)
			mime_walk_again(&w);
	}
	if (!rc)
		return out;
	evbuffer_free(out);
	return NULL;
}

/* over_127 - how many octets */
static size_t over_127(const unsigned char *p, size_t len)
{
	size_t n = 0;
	while (len--)
		n += *p++ > 127;
	return n;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct evbuffer *a = walk((const char *)data, size, size + 1);
	struct evbuffer *b = walk((const char *)data, size, 1 + size % 5);
	if (!a != !b)
		abort();
	if (!a)
		return 0;
	size_t n = evbuffer_get_length(a);
	if (n != evbuffer_get_length(b))
		abort();
	unsigned char *one = evbuffer_pullup(a, -1), *two = evbuffer_pullup(b, -1);
	if (n && memcmp(one, two, n))
		abort();
	if (over_127(one, n) > over_127(data, size) || (n && memmem(one, n, "\r\n.\r\n", 5)) ||
	    (n >= 3 && !memcmp(one, ".\r\n", 3)))
		abort();
	evbuffer_free(a);
	evbuffer_free(b);
	return 0;
}
