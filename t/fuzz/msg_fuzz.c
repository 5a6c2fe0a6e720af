/* SPDX-License-Identifier: ISC */
/*
 * A packet as a hostile process could send it: header, then fields, of every type. What is decoded
 * must encode to the same bytes again.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "lib/msg.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static unsigned char again[MSG_PACKET_MAX];

	for (size_t at = 0; at < size;) {
		unsigned type, nfds, fds_out_n = 0;
		size_t body;
		union msg_any msg;
		int fds[256], fds_out[MSG_FDS_MAX];

		memset(fds, 0xff, sizeof(fds));
		if (msg_peek(data + at, size - at, &type, &nfds, &body))
			return 0;
		if (body > size - at - MSG_HEADER)
			abort();
		if (msg_decode(type, data + at + MSG_HEADER, body, fds, nfds, &msg) == 0) {
			int n = msg_encode(type, &msg, again, sizeof(again), fds_out, &fds_out_n);
			if (n >= 0 && ((size_t)n != body + MSG_HEADER ||
					  memcmp(again + MSG_HEADER, data + at + MSG_HEADER, body)))
				abort();
		}
		at += MSG_HEADER + body;
	}
	return 0;
}
