/* SPDX-License-Identifier: ISC */
#include "deliver/qp.h"

#include <string.h>

#define LINE 75 /* and the "=" of a soft break */

/* is_plain - whether a character may stand for itself here */
static bool is_plain(const struct qp *qp, unsigned char c, bool ends)
{
	if (c == ' ' || c == '\t')
		return !ends;
	if (!qp->column && (c == '.' || (c == '-' && qp->soft)))
		return false;
	return c > ' ' && c < 127 && c != '=';
}

size_t qp_encode(struct qp *qp, const char *text, size_t len, bool last, char *out)
{
	static const char hex[] = "0123456789ABCDEF";
	char *to = out;
	for (size_t i = 0; i < len; i++) {
		unsigned char c = (unsigned char)text[i];
		bool ends = last && i + 1 == len;
		if (qp->column + (is_plain(qp, c, ends) ? 1 : 3) > LINE) {
			memcpy(to, "=\r\n", 3);
			to += 3;
			*qp = (struct qp){.soft = true};
		}
		if (is_plain(qp, c, ends)) {
			*to++ = (char)c;
			qp->column++;
			continue;
		}
		*to++ = '=';
		*to++ = hex[c >> 4];
		*to++ = hex[c & 15];
		qp->column += 3;
	}
	if (last) {
		memcpy(to, "\r\n", 2);
		to += 2;
		*qp = (struct qp){0};
	}
	return (size_t)(to - out);
}
