/* SPDX-License-Identifier: ISC */
/*
 * One pass over the text: words outside brackets are gathered without white space and comments; an
 * angle address replaces what was gathered (it was a display name); comma, semicolon and the end
 * close an address, a colon outside brackets says that what was gathered was a group's name.
 */
#include "lib/mailbox_list.h"

#include <errno.h>
#include <stdbool.h>

/* An address as far as it was read. */
struct part {
	const char *from, *to;
	size_t len;
	char text[MAILBOX_MAX];
};

struct scan {
	const char *p, *end;
	bool has_angle;
	mailbox_found *found;
	void *arg;
	struct part word, angle;
};

/* gather - the character at the cursor belongs to it */
static void gather(struct scan *s, struct part *part)
{
	if (part->len == 0)
		part->from = s->p;
	if (part->len < sizeof(part->text))
		part->text[part->len++] = *s->p;
	part->to = ++s->p;
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

/* take_enclosed - a quoted string or a domain literal, kept with its ends */
static int take_enclosed(struct scan *s, struct part *part, char close)
{
	gather(s, part);
	while (s->p < s->end) {
		char c = *s->p;

		gather(s, part);
		if (c == close)
			return 0;
		if (c == '\\' && s->p < s->end)
			gather(s, part);
	}
	return -EINVAL;
}

/* at_literal - does a domain literal begin here? Elsewhere a bracket is a character as others */
static bool at_literal(const struct scan *s, const struct part *part)
{
	return *s->p == '[' && part->len > 0 && part->text[part->len - 1] == '@';
}

/* is_space - between words, folding included */
static bool is_space(char c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

/* take_angle - what stands in < >, without a source route */
static int take_angle(struct scan *s)
{
	struct part *a = &s->angle;

	a->len = 0;
	for (s->p++; s->p < s->end && *s->p != '>';) {
		if (*s->p == '"' || at_literal(s, a)) {
			if (take_enclosed(s, a, *s->p == '"' ? '"' : ']'))
				return -EINVAL;
		} else if (*s->p == '(') {
			if (skip_comment(s))
				return -EINVAL;
		} else if (*s->p == ':' && a->len > 0 && a->text[0] == '@') {
			a->len = 0; /* <@relay,@relay:user@domain> */
			s->p++;
		} else if (is_space(*s->p)) {
			s->p++;
		} else {
			gather(s, a);
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
	const struct part *part = s->has_angle ? &s->angle : &s->word;
	struct mailbox m = {part->text, part->len, part->from, part->to};

	if (part->len > 0)
		s->found(&m, s->arg);
	s->word.len = 0;
	s->has_angle = false;
}

/* step - one character or one construct */
static int step(struct scan *s)
{
	switch (*s->p) {
	case '(':
		return skip_comment(s);
	case '"':
		return take_enclosed(s, &s->word, '"');
	case '<':
		return take_angle(s);
	case ',':
	case ';':
		close_address(s);
		break;
	case ':':
		s->word.len = 0;
		break;
	case ' ':
	case '\t':
	case '\r':
	case '\n':
		break;
	default:
		if (at_literal(s, &s->word))
			return take_enclosed(s, &s->word, ']');
		gather(s, &s->word);
		return 0;
	}
	s->p++;
	return 0;
}

/* mailbox_list_walk - the whole list */
int mailbox_list_walk(const char *text, size_t len, mailbox_found *found, void *arg)
{
	struct scan s; /* two kilobytes of which most stay unused: not cleared */

	s.p = text;
	s.end = text + len;
	s.has_angle = false;
	s.found = found;
	s.arg = arg;
	s.word.len = s.angle.len = 0;
	while (s.p < s.end)
		if (step(&s))
			return -EINVAL;
	close_address(&s);
	return 0;
}
