/* SPDX-License-Identifier: ISC */
/*
 * Only the slow paths live here: growth and release. Every get and put is inline in the header,
 * where the compiler merges a list of puts into plain stores behind one compare each. A growing
 * buffer doubles from 256 bytes, so encoding n bytes moves at most 2n.
 */
#include "lib/wire.h"

#include <stdlib.h>

enum { WIRE_FIRST = 256 };

/* wire_out_room - make room for n more bytes or set the sticky error */
int wire_out_room(struct wire_out *w, size_t n)
{
	if (w->err)
		return w->err;
	if (n > w->max - w->len)
		return w->err = -EMSGSIZE;
	if (!w->grows)
		return w->base ? 0 : (w->err = -EMSGSIZE);
	size_t need = w->len + n;
	size_t size = w->size > w->max / 2 ? w->max : w->size * 2;
	if (size < WIRE_FIRST)
		size = w->max < WIRE_FIRST ? w->max : WIRE_FIRST;
	if (size < need)
		size = need;
	uint8_t *base = realloc(w->base, size ? size : 1);
	if (!base)
		return w->err = -ENOMEM;
	w->base = base;
	w->size = size;
	return 0;
}

/* wire_out_take - hand the grown buffer to the caller */
uint8_t *wire_out_take(struct wire_out *w, size_t *len)
{
	uint8_t *base = w->base;
	*len = w->len;
	wire_out_grow(w, w->max);
	return base;
}

/* wire_out_free - free what a growing writer holds */
void wire_out_free(struct wire_out *w)
{
	if (!w->grows)
		return;
	free(w->base);
	wire_out_grow(w, w->max);
}
