/* SPDX-License-Identifier: ISC */
/*
 * Five bits a character. Eleven characters hold 55 bits; a larger number takes 12 or 13, and then
 * its first character isn't zero, which keeps number and text one to one.
 */
#include "lib/qid.h"

#include <errno.h>

static const char alphabet[] = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";

/* qid_format - the text of an ID */
size_t qid_format(char buf[QID_TEXT_MAX], uint64_t id)
{
	size_t len = QID_WIDTH;
	if (id >> 5 * QID_WIDTH)
		len = id >> 60 ? 13 : 12;
	buf[len] = '\0';
	for (size_t i = len; i-- > 0; id >>= 5)
		buf[i] = alphabet[id & 31];
	return len;
}

/* digit - the value of one character, or -1 */
static int digit(char c)
{
	/* Letters A-Z without I, L, O and U, which are nobody's digit. */
	static const signed char letter[26] = {
	    10,
	    11,
	    12,
	    13,
	    14,
	    15,
	    16,
	    17,
	    -1,
	    18,
	    19,
	    -1,
	    20,
	    21,
	    -1,
	    22,
	    23,
	    24,
	    25,
	    26,
	    -1,
	    27,
	    28,
	    29,
	    30,
	    31,
	};
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'A' && c <= 'Z')
		return letter[c - 'A'];
	if (c >= 'a' && c <= 'z')
		return letter[c - 'a'];
	return -1;
}

/* qid_parse - the number of an ID's text */
int qid_parse(const char *text, size_t len, uint64_t *id)
{
	uint64_t n = 0;
	if (len < QID_WIDTH || len >= QID_TEXT_MAX)
		return -EINVAL;
	if (len > QID_WIDTH && text[0] == '0')
		return -EINVAL;
	for (size_t i = 0; i < len; i++) {
		int d = digit(text[i]);
		if (d < 0 || n >> 59)
			return -EINVAL;
		n = n << 5 | (unsigned)d;
	}
	if (n == 0)
		return -EINVAL;
	*id = n;
	return 0;
}
