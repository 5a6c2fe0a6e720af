/* SPDX-License-Identifier: ISC */
/*
 * A server's answer to EHLO: what is read of it is the same in any case of letters, and a line that
 * says nothing known changes nothing.
 */
#include <ctype.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "deliver/ehlo.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* read_all - what the first whole reply offers; false: there is none */
static bool read_all(const char *text, size_t len, struct ehlo *ehlo)
{
	static struct reply r;
	size_t used;
	reply_init(&r);
	if (reply_feed(&r, text, len, &used) != REPLY_OK)
		return false;
	ehlo_read(ehlo, &r);
	return true;
}

/* same - of two readings */
static bool same(const struct ehlo *a, const struct ehlo *b)
{
	return a->pipelining == b->pipelining && a->chunking == b->chunking && a->size == b->size &&
	       a->eightbit == b->eightbit && a->dsn == b->dsn && a->smtputf8 == b->smtputf8 &&
	       a->starttls == b->starttls && a->size_max == b->size_max;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static char lower[1 << 16], more[(1 << 16) + 32];
	struct ehlo whole, other;
	if (size > sizeof(lower) || !read_all((const char *)data, size, &whole))
		return 0;
	for (size_t i = 0; i < size; i++)
		lower[i] = (char)tolower(data[i]);
	if (!read_all(lower, size, &other) || !same(&whole, &other))
		abort();
	/* The text is kept up to a limit: below it a line in front pushes nothing out. */
	if (size < 4 || size > REPLY_TEXT_MAX / 2)
		return 0;
	memcpy(more, data, 3);
	memcpy(more + 3, "-XNOTHING 1\r\n", 13);
	memcpy(more + 16, data, size);
	if (!read_all(more, size + 16, &other))
		return 0; /* one line too many */
	if (!same(&whole, &other))
		abort();
	return 0;
}
