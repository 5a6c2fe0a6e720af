/* SPDX-License-Identifier: ISC */
/*
 * The few string helpers that libc lacks here. Parsed text is pointer and length; C strings are for
 * fixed, bounded fields. "Case-insensitive" means ASCII only (RFC 5321 2.4), whatever the locale.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

/* Copy a C string into dst of `size` bytes. 0, or -ENAMETOOLONG with dst "" when it doesn't fit. */
int str_copy(char *dst, size_t size, const char *src);

/* Copy n bytes as a C string; also -EINVAL with dst "" when they contain a NUL. */
int str_copy_n(char *dst, size_t size, const char *src, size_t n);

/* One ASCII letter in lower case; every other byte as it is. */
static inline char str_lower_c(char c)
{
	return c >= 'A' && c <= 'Z' ? (char)(c + ('a' - 'A')) : c;
}

/* Make n bytes lower case in place, or from src into dst (which may be the same). */
void str_lower(char *dst, const char *src, size_t n);

/* Equal without regard to case: lengths too. */
bool str_eq_ci(const char *a, size_t a_len, const char *b, size_t b_len);

/* Does text begin with the C string `prefix`, without regard to case? */
bool str_starts_ci(const char *text, size_t len, const char *prefix);

/* Is text exactly the C string `word`, without regard to case? For verbs and keywords. */
bool str_is_ci(const char *text, size_t len, const char *word);

/*
 * A decimal number of exactly len digits, no sign, no space. 0; -EINVAL when it is none or empty;
 * -ERANGE when it is over max.
 */
int str_to_u64(const char *text, size_t len, unsigned long long max, unsigned long long *value);

/* Length of the valid UTF-8 sequence for a character over 127 at text (RFC 3629); 0 when none. */
size_t str_utf8(const char *text, size_t len);

/* A part of a text, by its place in it. */
struct slice {
	const char *p;
	size_t len;
};

/* The same without white space around it: blank, tab, CR, LF, VT, FF. */
struct slice slice_trim(struct slice s);
