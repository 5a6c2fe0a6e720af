/* SPDX-License-Identifier: ISC */
/*
 * The one function that escapes text for JSON strings (RFC 8259 7). Log lines, queue lines and the
 * tools' lists are put together around it with plain writes: at a million lines a listing, building
 * a tree first would cost more than the listing.
 *
 * Valid UTF-8 passes. Control characters, DEL and U+0080..U+009F (which terminals obey), and each
 * byte that is no valid UTF-8 become \u00XX, so the result is valid JSON whatever a peer sent.
 */
#pragma once

#include <stddef.h>
#include <stdio.h>

enum { JSON_ESCAPE_MAX = 6 }; /* no source byte becomes more than this many */

/*
 * Write the escaped form of n bytes at src into dst, which has room for size bytes; no quotes, no
 * NUL. Stops before a character that doesn't fit whole. Returns the bytes written; *done, unless
 * done is NULL, becomes the bytes of src used (n when all fitted).
 */
size_t json_escape(char *dst, size_t size, const char *src, size_t n, size_t *done);

/* Write n bytes at src to a stream as a JSON string with its quotes; errors show in ferror(). */
void json_write(FILE *out, const char *src, size_t n);
