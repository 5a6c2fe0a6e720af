/* SPDX-License-Identifier: ISC */
#include "lib/base64.h"

#include <errno.h>
#include <limits.h>
#include <stdint.h>
#include <string.h>

static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/* base64_encode - three bytes to four letters */
int base64_encode(char *out, size_t size, const void *data, size_t n)
{
	const unsigned char *in = data;
	if (n > INT_MAX / 2 || size < BASE64_LEN(n) + 1)
		return -EMSGSIZE;
	char *at = out;
	for (size_t i = 0; i < n; i += 3) {
		uint32_t v = (uint32_t)in[i] << 16;
		v |= i + 1 < n ? (uint32_t)in[i + 1] << 8 : 0;
		v |= i + 2 < n ? in[i + 2] : 0;
		*at++ = letters[v >> 18];
		*at++ = letters[v >> 12 & 63];
		*at++ = i + 1 < n ? letters[v >> 6 & 63] : '=';
		*at++ = i + 2 < n ? letters[v & 63] : '=';
	}
	*at = '\0';
	return (int)(at - out);
}

/* value_of - of one letter, or -1 */
static int value_of(char c)
{
	const char *at = c ? strchr(letters, c) : NULL;
	return at ? (int)(at - letters) : -1;
}

/* base64_decode - four letters to three bytes; padding at the end only, and no bits in it */
int base64_decode(void *out, size_t size, const char *text, size_t n)
{
	unsigned char *at = out;
	if (n % 4 || n > INT_MAX)
		return -EINVAL;
	for (size_t i = 0; i < n; i += 4) {
		size_t pad = i + 4 < n ? 0 : (size_t)((text[i + 3] == '=') + (text[i + 2] == '='));
		uint32_t v = 0;
		if (pad == 1 && text[i + 3] != '=')
			return -EINVAL;
		for (size_t j = 0; j < 4; j++) {
			int d = j < 4 - pad ? value_of(text[i + j]) : 0;
			if (d < 0)
				return -EINVAL;
			v = v << 6 | (uint32_t)d;
		}
		if (v & ((1u << 8 * pad) - 1))
			return -EINVAL;
		if (size < 3 - pad)
			return -EMSGSIZE;
		size -= 3 - pad;
		for (size_t j = 0; j < 3 - pad; j++)
			*at++ = (unsigned char)(v >> (16 - 8 * j));
	}
	return (int)(at - (unsigned char *)out);
}
