/* SPDX-License-Identifier: ISC */
/*
 * Plain loops: the texts are verbs, domains and addresses of some ten bytes, where a call into a
 * locale-aware libc function costs more than it saves.
 */
#include "lib/str.h"

#include <errno.h>
#include <stdint.h>

/* str_copy_n - copy bytes as a C string */
int str_copy_n(char *dst, size_t size, const char *src, size_t n)
{
	if (size == 0)
		return -ENAMETOOLONG;
	dst[0] = '\0';
	if (n >= size)
		return -ENAMETOOLONG;
	if (n && memchr(src, '\0', n))
		return -EINVAL;
	if (n)
		memcpy(dst, src, n);
	dst[n] = '\0';
	return 0;
}

/* str_copy - copy a C string */
int str_copy(char *dst, size_t size, const char *src)
{
	return str_copy_n(dst, size, src, strlen(src));
}

/* str_lower - make bytes lower case */
void str_lower(char *dst, const char *src, size_t n)
{
	for (size_t i = 0; i < n; i++)
		dst[i] = str_lower_c(src[i]);
}

/* equal_ci - are n bytes equal without regard to case? */
static bool equal_ci(const char *a, const char *b, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (str_lower_c(a[i]) != str_lower_c(b[i]))
			return false;
	return true;
}

/* str_eq_ci - are two texts equal without regard to case? */
bool str_eq_ci(const char *a, size_t a_len, const char *b, size_t b_len)
{
	return a_len == b_len && equal_ci(a, b, a_len);
}

/* str_starts_ci - does a text begin with a prefix? */
bool str_starts_ci(const char *text, size_t len, const char *prefix)
{
	size_t n = strlen(prefix);
	return n <= len && equal_ci(text, prefix, n);
}

/* str_is_ci - is a text this word? */
bool str_is_ci(const char *text, size_t len, const char *word)
{
	return str_eq_ci(text, len, word, strlen(word));
}

/* str_to_u64 - the value of decimal digits */
int str_to_u64(const char *text, size_t len, unsigned long long max, unsigned long long *value)
{
	unsigned long long v = 0;
	bool over = false;
	if (len == 0)
		return -EINVAL;
	for (size_t i = 0; i < len; i++) {
		if (text[i] < '0' || text[i] > '9')
			return -EINVAL;
		over |= __builtin_mul_overflow(v, 10, &v);
		over |= __builtin_add_overflow(v, (unsigned long long)(text[i] - '0'), &v);
	}
	if (over || v > max)
		return -ERANGE;
	*value = v;
	return 0;
}

/* str_utf8 - length of the valid sequence at text */
size_t str_utf8(const char *text, size_t len)
{
	const uint8_t *p = (const uint8_t *)text;
	if (len == 0 || p[0] < 0xc2 || p[0] > 0xf4)
		return 0;
	size_t need = p[0] >= 0xf0 ? 4 : p[0] >= 0xe0 ? 3 : 2;
	if (len < need)
		return 0;
	for (size_t i = 1; i < need; i++)
		if ((p[i] & 0xc0) != 0x80)
			return 0;
	/* Overlong forms, surrogates, and what lies behind U+10FFFF. */
	if ((p[0] == 0xe0 && p[1] < 0xa0) || (p[0] == 0xed && p[1] > 0x9f) ||
	    (p[0] == 0xf0 && p[1] < 0x90) || (p[0] == 0xf4 && p[1] > 0x8f))
		return 0;
	return need;
}

/* is_space - white space of ASCII */
static bool is_space(char c)
{
	return c == ' ' || (c >= '\t' && c <= '\r');
}

/* slice_trim - from both ends */
struct slice slice_trim(struct slice s)
{
	while (s.len > 0 && is_space(s.p[0]))
		s.p++, s.len--;
	while (s.len > 0 && is_space(s.p[s.len - 1]))
		s.len--;
	return s;
}
