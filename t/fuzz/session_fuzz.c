/* SPDX-License-Identifier: ISC */
/*
 * What a client may send: a session fed whole, and fed in pieces cut where the first byte says,
 * must say the same (queue IDs aside) and leave nothing behind. Messages go into segments in
 * memory. Only which fault of a broken line is seen first may depend on the cuts (lib/line.h), and
 * with it how the session goes on.
 */
#include "smtpd.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* hear - what the session says to the input, cut into pieces of `step` bytes */
static void hear(const uint8_t *data, size_t size, size_t step, char *heard)
{
	struct session *s = meet(size && data[0] & 1);
	for (size_t at = 0; at < size; at += step)
		feed(s, data + at, size - at < step ? size - at : step);
	part(s);
	heard_now(heard);
}

/* same - the replies, up to a broken line that was seen differently */
static bool same(const char *a, const char *b)
{
	static const char broken[] = "500 5.5.2 ";
	size_t i = 0, n = sizeof(broken) - 1;
	while (a[i] && a[i] == b[i])
		i++;
	if (!a[i] && !b[i])
		return true;
	while (i > 0 && a[i - 1] != '\n')
		i--;
	return strncmp(a + i, broken, n) == 0 && strncmp(b + i, broken, n) == 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static char whole[HEARD], cut[HEARD];

	if (!conf)
		begin();
	if (size == 0)
		return 0;
	hear(data, size, size, whole);
	hear(data, size, 1 + data[0] / 2 % 7, cut);
	if (!same(whole, cut))
		abort();
	return 0;
}
