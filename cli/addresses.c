/* SPDX-License-Identifier: ISC */
/*
 * One pass over the text: words outside brackets are gathered without white space and comments; an
 * angle address replaces what was gathered (it was a display name); comma, semicolon and the end
 * close an address, a colon outside brackets says that what was gathered was a group's name.
 */
#include "cli/addresses.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>

#define GATHER_MAX \
	1024 /* longer than any address; what is longer is cut and then refused by smtpd */

struct scan {
	const char *p, *end;
	char word[GATHER_MAX], angle[GATHER_MAX];
	size_t word_len, angle_len;
	bool has_angle;
	address_found *found;
	void *arg;
};

/* gather - one more character */
static void gather(char *to, size_t *len, char c)
{
	if (*len < GATHER_MAX)
		to[(*len)++] = c;
}

/* skip_comment - nested, with quoted pairs */
static int skip_comment(struct scan *s)
{
	int depth = 0;

	for (; s->p < s->end; s->p++) {
		if (*s->p == '\\' && s->p + 1 < s->end)
			s->p++;
		else if (*s->p == '(')
			depth++;
		else if (*s->p == ')' && --depth == 0) {
			s->p++;
			return 0;
		}
	}
	return -EINVAL;
}

/* take_quoted - a quoted string, kept with its quotes */
static int take_quoted(struct scan *s, char *to, size_t *len)
{
	gather(to, len, *s->p++);
	for (; s->p < s->end; s->p++) {
		gather(to, len, *s->p);
		if (*s->p == '\\' && s->p + 1 < s->end)
			gather(to, len, *++s->p);
		else if (*s->p == '"') {
			s->p++;
			return 0;
		}
	}
	return -EINVAL;
}

/* take_angle - what stands in < >, without a source route */
static int take_angle(struct scan *s)
{
	s->angle_len = 0;
	for (s->p++; s->p < s->end && *s->p != '>';) {
		if (*s->p == '"') {
			if (take_quoted(s, s->angle, &s->angle_len))
				return -EINVAL;
		} else if (*s->p == '(') {
			if (skip_comment(s))
				return -EINVAL;
		} else if (*s->p == ':' && s->angle_len > 0 && s->angle[0] == '@') {
			s->angle_len = 0; /* <@relay,@relay:user@domain> */
			s->p++;
		} else {
			if (!strchr(" \t\r\n", *s->p))
				gather(s->angle, &s->angle_len, *s->p);
			s->p++;
		}
	}
	if (s->p == s->end)
		return -EINVAL;
	s->p++;
	s->has_angle = true;
	return 0;
}

/* close_address - hand over what was gathered, and begin anew */
static void close_address(struct scan *s)
{
	if (s->has_angle && s->angle_len > 0)
		s->found(s->angle, s->angle_len, s->arg);
	else if (!s->has_angle && s->word_len > 0)
		s->found(s->word, s->word_len, s->arg);
	s->word_len = 0;
	s->has_angle = false;
}

/* step - one character or one construct */
static int step(struct scan *s)
{
	switch (*s->p) {
	case '(':
		return skip_comment(s);
	case '"':
		return take_quoted(s, s->word, &s->word_len);
	case '<':
		return take_angle(s);
	case ',':
	case ';':
		close_address(s);
		break;
	case ':':
		s->word_len = 0;
		break;
	case ' ':
	case '\t':
	case '\r':
	case '\n':
		break;
	default:
		gather(s->word, &s->word_len, *s->p);
	}
	s->p++;
	return 0;
}

/* addresses_walk - the whole list */
int addresses_walk(const char *text, size_t len, address_found *found, void *arg)
{
	struct scan s = {.p = text, .end = text + len, .found = found, .arg = arg};

	while (s.p < s.end)
		if (step(&s))
			return -EINVAL;
	close_address(&s);
	return 0;
}
