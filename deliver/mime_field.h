/* SPDX-License-Identifier: ISC */
/*
 * What Content-Type and Content-Transfer-Encoding say (RFC 2045 §5.1, §6.1), as far as it matters
 * to who wants to change an encoding. Pure; the values come unfolded.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#define MIME_BOUNDARY_MAX 70 /* RFC 2046 §5.1.1 */

enum mime_kind {
	MIME_LEAF,
	MIME_MULTIPART, /* parts between boundaries */
	MIME_MESSAGE,   /* another message: header and body */
	MIME_SEALED     /* may have no encoding, or isn't understood: can't be changed */
};

struct mime_type {
	enum mime_kind kind;
	bool is_signed; /* multipart/signed: nothing below it may be changed (RFC 1847 §2.1) */
	bool digest;    /* its parts are messages where they don't say (RFC 2046 §5.1.5) */
	size_t boundary_len;
	char boundary[MIME_BOUNDARY_MAX];
};

enum mime_encoding {
	MIME_7BIT, /* also: nothing said */
	MIME_8BIT, /* and binary */
	MIME_ENCODED
};

/* A value that makes no sense is a leaf: text, as if nothing were said. */
void mime_type_read(const char *value, size_t len, struct mime_type *out);
enum mime_encoding mime_encoding_read(const char *value, size_t len);
