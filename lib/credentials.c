/* SPDX-License-Identifier: ISC */
#include "lib/credentials.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>

/* blank - white space inside a line */
static bool blank(char c)
{
	return c == ' ' || c == '\t' || c == '\r';
}

/* word - the next one of a line; what is behind it begins with the one after */
static size_t word(const char **at, const char *end, const char **out)
{
	while (*at < end && blank(**at))
		++*at;
	*out = *at;
	while (*at < end && !blank(**at))
		++*at;
	size_t n = (size_t)(*at - *out);
	while (*at < end && blank(**at))
		++*at;
	return n;
}

/* read_line - three parts, the last one to the end */
static int read_line(const char *at, const char *end, struct credential *c)
{
	c->name_len = word(&at, end, &c->name);
	c->user_len = word(&at, end, &c->user);
	c->secret = at;
	c->secret_len = (size_t)(end - at);
	if (!c->user_len || !c->secret_len || memchr(c->name, '\0', (size_t)(end - c->name)))
		return -EINVAL;
	return c->name_len > CREDENTIAL_MAX || c->user_len > CREDENTIAL_MAX ||
		       c->secret_len > CREDENTIAL_MAX
		   ? -EINVAL
		   : 1;
}

int credentials_next(const char **text, size_t *len, unsigned *line, struct credential *out)
{
	while (*len) {
		const char *start = *text, *lf = memchr(start, '\n', *len);
		const char *end = lf ? lf : start + *len;
		size_t used = (size_t)(end - start) + (lf != NULL);
		*text += used;
		*len -= used;
		++*line;
		while (start < end && blank(*start))
			start++;
		while (end > start && blank(end[-1]))
			end--;
		if (start < end && *start != '#')
			return read_line(start, end, out);
	}
	return 0;
}

int credentials_find(const char *text, size_t len, const char *name, struct credential *out)
{
	unsigned line = 0;
	size_t n = strlen(name);
	int r;
	while ((r = credentials_next(&text, &len, &line, out)))
		if (r > 0 && out->name_len == n && memcmp(out->name, name, n) == 0)
			return 0;
	return -ENOENT;
}
