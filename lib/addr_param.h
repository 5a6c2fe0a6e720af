/* SPDX-License-Identifier: ISC */
/*
 * What follows the path in MAIL and RCPT: parameters such as SIZE=1000 BODY=8BITMIME (RFC 5321
 * 4.1.2), and the xtext that some of them carry (RFC 3461 4). Pure; slices of the given text.
 */
#pragma once

#include <stddef.h>

struct addr_param {
	const char *key; /* letters, digits, hyphens; compare without regard to case */
	size_t key_len;
	const char *value; /* NULL where there is no "=" */
	size_t value_len;
};

/*
 * Take the next parameter off the front of [*pos, end), which begins right behind the path (or at
 * the previous parameter's end). Returns 1 with *out set, 0 when none is left, -EINVAL when what
 * stands there is none. Spaces at the end are ignored.
 */
int addr_param_next(const char **pos, const char *end, struct addr_param *out);

/*
 * Decode xtext into C text of at most size bytes. Returns the length; -EINVAL for bytes that xtext
 * has not, or a decoded control character or NUL; -ENAMETOOLONG.
 */
int addr_xtext_decode(const char *in, size_t n, char *out, size_t size);

/* Encode n bytes as xtext, as C text. Returns the length or -ENAMETOOLONG. */
int addr_xtext_encode(const char *in, size_t n, char *out, size_t size);
