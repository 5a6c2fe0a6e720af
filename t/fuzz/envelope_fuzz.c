/* SPDX-License-Identifier: ISC */
/*
 * An envelope as it could lie in a damaged segment: refused, or read to its end with as many
 * recipients as it said.
 */
#include <stdint.h>
#include <stdlib.h>

#include "lib/envelope.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct envelope env;
	struct envelope_rcpt rcpt;
	size_t pos = 0;
	uint32_t n = 0;

	if (envelope_read(data, size, &env))
		return 0;
	while (envelope_next_rcpt(data, size, &pos, &rcpt) == 1) {
		if (!rcpt.address.data || !rcpt.address.len)
			abort();
		n++;
	}
	if (n != env.nrcpts || !n)
		abort();
	struct msg_bytes field;
	pos = n = 0;
	while (envelope_next_header(data, size, &pos, &field) == 1)
		n++;
	if (n != env.nheaders)
		abort();
	return 0;
}
