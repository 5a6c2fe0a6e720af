/* SPDX-License-Identifier: ISC */
/*
 * Header fields in a text (RFC 5322 §2.2), whose lines end with LF or CRLF: where one ends, and
 * what its name is. For sendmail's reading of a header and smtpd's mending of one.
 */
#pragma once

#include <stddef.h>

/*
 * The length of the name of the field that begins the text; 0: its first line is no field. White
 * space between name and colon (obsolete) is allowed.
 */
size_t field_name_len(const char *text, size_t len);

/* The bytes of the field that begins the text, its folded lines and the last line's end included.
 */
size_t field_len(const char *text, size_t len);
