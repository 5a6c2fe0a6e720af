/* SPDX-License-Identifier: ISC */
/*
 * RFC 5321 excludes "=" from values; it is taken all the same, for AUTH=<a=b@c> is seen in the
 * field and nothing else can be meant. UTF-8 is let through for ORCPT (RFC 6533); who doesn't want
 * it finds it when looking at the value.
 */
#include "lib/addr_param.h"

#include <errno.h>
#include <limits.h>
#include <stdbool.h>
#include <stdint.h>

#include "lib/str.h"

/* keyword_byte - may this be in a keyword? */
static bool keyword_byte(char c, bool first)
{
	char l = str_lower_c(c);
	return (l >= 'a' && l <= 'z') || (c >= '0' && c <= '9') || (c == '-' && !first);
}

/* value_end - the end of the value at p; NULL when a byte can't be in one */
static const char *value_end(const char *p, const char *end)
{
	while (p < end && *p != ' ') {
		size_t len = 1;
		if ((uint8_t)*p >= 0x80)
			len = str_utf8(p, (size_t)(end - p));
		if (len == 0 || (uint8_t)*p < ' ' || *p == 0x7f)
			return NULL;
		p += len;
	}
	return p;
}

/* addr_param_next - take the next parameter */
int addr_param_next(const char **pos, const char *end, struct addr_param *out)
{
	const char *p = *pos;
	while (p < end && *p == ' ')
		p++;
	if (p == end) {
		*pos = p;
		return 0;
	}
	if (p == *pos)
		return -EINVAL;
	*out = (struct addr_param){.key = p};
	while (p < end && keyword_byte(*p, p == out->key))
		p++;
	out->key_len = (size_t)(p - out->key);
	if (out->key_len == 0)
		return -EINVAL;
	if (p < end && *p == '=') {
		out->value = ++p;
		p = value_end(p, end);
		if (!p || p == out->value)
			return -EINVAL;
		out->value_len = (size_t)(p - out->value);
	}
	if (p < end && *p != ' ')
		return -EINVAL;
	*pos = p;
	return 1;
}

/* hex - the value of a hexadecimal digit, or -1 */
static int hex(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	char l = str_lower_c(c);
	return l >= 'a' && l <= 'f' ? l - 'a' + 10 : -1;
}

/* addr_xtext_decode - decode xtext */
int addr_xtext_decode(const char *in, size_t n, char *out, size_t size)
{
	size_t o = 0;
	if (size == 0 || size > INT_MAX)
		return -ENAMETOOLONG;
	for (size_t i = 0; i < n; i++) {
		int byte = (uint8_t)in[i];
		if (byte == '+') {
			int high = n - i > 2 ? hex(in[i + 1]) : -1;
			int low = n - i > 2 ? hex(in[i + 2]) : -1;
			if (high < 0 || low < 0)
				return -EINVAL;
			byte = high << 4 | low;
			i += 2;
		} else if (byte <= ' ' || byte == '=') {
			return -EINVAL;
		}
		if (byte < ' ' || byte == 0x7f)
			return -EINVAL;
		if (o + 1 == size)
			return -ENAMETOOLONG;
		out[o++] = (char)byte;
	}
	out[o] = '\0';
	return (int)o;
}

/* addr_xtext_encode - encode bytes as xtext */
int addr_xtext_encode(const char *in, size_t n, char *out, size_t size)
{
	static const char digits[] = "0123456789ABCDEF";
	size_t o = 0;
	if (size == 0 || size > INT_MAX)
		return -ENAMETOOLONG;
	for (size_t i = 0; i < n; i++) {
		uint8_t c = (uint8_t)in[i];
		bool plain = c > ' ' && c < 0x7f && c != '+' && c != '=';
		if (size - o < (plain ? 2 : 4))
			return -ENAMETOOLONG;
		if (plain) {
			out[o++] = (char)c;
			continue;
		}
		out[o++] = '+';
		out[o++] = digits[c >> 4];
		out[o++] = digits[c & 15];
	}
	out[o] = '\0';
	return (int)o;
}
