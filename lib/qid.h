/* SPDX-License-Identifier: ISC */
/*
 * Queue IDs as text. A queue ID is a number that grows like microseconds since 1970 and is dealt
 * out of ranges that come with a segment (DESIGN 2), so it is unique without asking. Its text is
 * Crockford's base 32 in upper case (digits and letters without I, L, O and U, so that nothing is
 * misread), most significant digit first: 11 characters until the year 3111, more behind that.
 *
 * One number has one text: sorting texts of an era sorts the numbers, texts differ without regard
 * to case, and none starts with a hyphen or holds anything a shell, path or header would mind.
 * 0 is no ID.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

enum {
	QID_WIDTH = 11,    /* characters of an ID of our time */
	QID_TEXT_MAX = 14, /* the longest ID with its NUL: a buffer's size */
};

/* Write id's text and a NUL into buf; returns its length without the NUL. */
size_t qid_format(char buf[QID_TEXT_MAX], uint64_t id);

/*
 * Read exactly len characters as an ID, lower case too. 0, or -EINVAL for a wrong length, any other
 * character, a needless leading zero, a number over 64 bits, or the number 0.
 */
int qid_parse(const char *text, size_t len, uint64_t *id);
