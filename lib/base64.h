/* SPDX-License-Identifier: ISC */
/*
 * Base64 as SASL and the users file want it (RFC 4648 §4): strict, since what one reader skips and
 * another doesn't is where two of them come to disagree. No line ends, no spaces, padding as it has
 * to be, no bits left over.
 */
#pragma once

#include <stddef.h>

#define BASE64_LEN(n) (((n) + 2) / 3 * 4) /* characters that n bytes take */

/* Writes the text and a NUL. Returns its length, or -EMSGSIZE where size is too small. */
int base64_encode(char *out, size_t size, const void *data, size_t n);

/* Returns how many bytes it wrote; -EINVAL for what is no base64, -EMSGSIZE. */
int base64_decode(void *out, size_t size, const char *text, size_t n);
