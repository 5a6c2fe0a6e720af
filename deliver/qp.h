/* SPDX-License-Identifier: ISC */
/*
 * Quoted-printable (RFC 2045 §6.7) of text that comes in pieces of lines. No line of the result is
 * longer than 76 octets, begins with a dot, or with a hyphen that stood elsewhere: it needs no
 * stuffing, and no soft line break can make a boundary out of a line's middle.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#define QP_ROOM(len) (4 * (len) + 8) /* octets that a piece may become */

struct qp {
	unsigned column;
	bool soft; /* the line began behind a soft break */
};

/*
 * Encodes a piece of a line, at most QP_ROOM(len) octets into out; last: the line ends here, which
 * adds CRLF. White space at the end of a line must come with `last`. Returns the octets.
 */
size_t qp_encode(struct qp *qp, const char *text, size_t len, bool last, char *out);
