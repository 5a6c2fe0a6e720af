/* SPDX-License-Identifier: ISC */
/*
 * What a client may send: a session fed whole, and fed in pieces cut where the first byte says,
 * must say the same (queue IDs aside) and leave nothing behind. Messages go into segments in
 * memory.
 */
#include "smtpd.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* hear - what the session says to the input, cut into pieces of `step` bytes */
static size_t hear(const uint8_t *data, size_t size, size_t step, char *heard)
{
	struct session *s = meet(size && data[0] & 1);
	for (size_t at = 0; at < size; at += step)
		feed(s, data + at, size - at < step ? size - at : step);
	part(s);
	return heard_now(heard);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static char whole[HEARD], cut[HEARD];

	if (!conf)
		begin();
	if (size == 0)
		return 0;
	size_t n = hear(data, size, size, whole);
	if (hear(data, size, 1 + data[0] / 2 % 7, cut) != n || memcmp(whole, cut, n) != 0)
		abort();
	return 0;
}
