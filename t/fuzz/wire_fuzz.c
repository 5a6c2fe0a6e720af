/* SPDX-License-Identifier: ISC */
/*
 * The first half of the input says which gets are done on the second half: no read past the end, no
 * value after an error, the end check right. What was read is written again and must be the same.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "lib/wire.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* copy_one - read one field and write it again; false once the reader has failed */
static bool copy_one(struct wire_in *r, struct wire_out *w, unsigned kind)
{
	uint8_t u8 = 0;
	uint16_t u16 = 0;
	uint32_t u32 = 0;
	uint64_t u64 = 0;
	const char *bytes = "";
	size_t n = 0;

	switch (kind % 5) {
	case 0:
		u8 = wire_get_u8(r);
		break;
	case 1:
		u16 = wire_get_u16(r);
		break;
	case 2:
		u32 = wire_get_u32(r);
		break;
	case 3:
		u64 = wire_get_u64(r);
		break;
	default:
		bytes = wire_get_bytes(r, &n);
		break;
	}
	if (r->err) {
		if (u8 || u16 || u32 || u64 || n || wire_left(r) || !wire_in_end(r))
			abort();
		return false;
	}
	switch (kind % 5) {
	case 0:
		wire_put_u8(w, u8);
		break;
	case 1:
		wire_put_u16(w, u16);
		break;
	case 2:
		wire_put_u32(w, u32);
		break;
	case 3:
		wire_put_u64(w, u64);
		break;
	default:
		wire_put_bytes(w, bytes, n);
		break;
	}
	return true;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct wire_in r;
	struct wire_out w;
	size_t plan = size / 2, i = 0;
	size_t max = size % 7 ? size : size / 4;

	wire_in_init(&r, data + plan, size - plan);
	wire_out_grow(&w, max);
	while (i < plan && copy_one(&r, &w, data[i]))
		i++;
	if (wire_out_end(&w) == 0 && !r.err) {
		size_t n = size - plan - wire_left(&r);
		if (w.len != n || (n && memcmp(w.base, data + plan, n)))
			abort();
		if ((wire_in_end(&r) == 0) != (wire_left(&r) == 0))
			abort();
	}
	if (w.len > max)
		abort();
	wire_out_free(&w);
	return 0;
}
