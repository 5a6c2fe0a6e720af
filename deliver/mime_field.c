/* SPDX-License-Identifier: ISC */
/* One cursor over the value; comments and white space are skipped wherever they may stand. */
#include "deliver/mime_field.h"

#include <string.h>
#include <strings.h>

#include "lib/str.h"

struct cursor {
	const char *at, *end;
};

/* skip_comment - to behind its end; the cursor is at the parenthesis */
static void skip_comment(struct cursor *c)
{
	unsigned depth = 0;
	do {
		char ch = *c->at++;
		if (ch == '\\' && c->at < c->end)
			c->at++;
		depth += ch == '(';
		depth -= ch == ')';
	} while (depth && c->at < c->end);
}

/* skip - white space and comments */
static void skip(struct cursor *c)
{
	while (c->at < c->end && (*c->at == ' ' || *c->at == '\t' || *c->at == '(')) {
		if (*c->at == '(')
			skip_comment(c);
		else
			c->at++;
	}
}

/* token - a word; its length, 0: there is none */
static size_t token(struct cursor *c, const char **word)
{
	skip(c);
	*word = c->at;
	while (c->at < c->end && *c->at > ' ' && !strchr("()<>@,;:\\\"/[]?=", *c->at) &&
	       *c->at != 127)
		c->at++;
	return (size_t)(c->at - *word);
}

/* take - one character, if it comes next */
static bool take(struct cursor *c, char ch)
{
	skip(c);
	if (c->at >= c->end || *c->at != ch)
		return false;
	c->at++;
	return true;
}

/* quoted - a quoted string's content into out; its length, which may be more than size */
static size_t quoted(struct cursor *c, char *out, size_t size)
{
	size_t n = 0;
	while (c->at < c->end && *c->at != '"') {
		if (*c->at == '\\' && c->at + 1 < c->end)
			c->at++;
		if (n < size)
			out[n] = *c->at;
		n++;
		c->at++;
	}
	c->at += c->at < c->end;
	return n;
}

/* value - of a parameter, quoted or not */
static size_t value_of(struct cursor *c, char *out, size_t size)
{
	const char *word;
	if (take(c, '"'))
		return quoted(c, out, size);
	size_t n = token(c, &word);
	memcpy(out, word, n < size ? n : size);
	return n;
}

/* read_boundary - the parameter, as long as it may be */
static void read_boundary(struct cursor *c, struct mime_type *out)
{
	char value[MIME_BOUNDARY_MAX + 1];
	const char *name;
	while (c->at < c->end) {
		if (!take(c, ';')) {
			c->at++;
			continue;
		}
		size_t len = token(c, &name);
		if (!len || !take(c, '='))
			continue;
		size_t n = value_of(c, value, sizeof(value));
		if (!str_is_ci(name, len, "boundary") || out->boundary_len)
			continue;
		if (!n || n > MIME_BOUNDARY_MAX)
			return;
		memcpy(out->boundary, value, n);
		out->boundary_len = n;
	}
}

void mime_type_read(const char *value, size_t len, struct mime_type *out)
{
	struct cursor c = {value, value + len};
	const char *type, *sub;
	*out = (struct mime_type){.kind = MIME_LEAF};
	size_t type_len = token(&c, &type);
	if (!take(&c, '/'))
		return;
	size_t sub_len = token(&c, &sub);
	if (str_is_ci(type, type_len, "multipart")) {
		read_boundary(&c, out);
		out->kind = out->boundary_len ? MIME_MULTIPART : MIME_SEALED;
		out->is_signed = str_is_ci(sub, sub_len, "signed");
		out->digest = str_is_ci(sub, sub_len, "digest");
	} else if (str_is_ci(type, type_len, "message")) {
		/* RFC 2046 §5.2: these may have no encoding of their own; others are like text. */
		if (str_is_ci(sub, sub_len, "rfc822") || str_is_ci(sub, sub_len, "global") ||
		    str_is_ci(sub, sub_len, "news"))
			out->kind = MIME_MESSAGE;
		else if (str_is_ci(sub, sub_len, "partial") ||
			 str_is_ci(sub, sub_len, "external-body"))
			out->kind = MIME_SEALED;
	}
}

enum mime_encoding mime_encoding_read(const char *value, size_t len)
{
	struct cursor c = {value, value + len};
	const char *word;
	size_t n = token(&c, &word);
	if (!n || str_is_ci(word, n, "7bit"))
		return MIME_7BIT;
	bool eight = str_is_ci(word, n, "8bit") || str_is_ci(word, n, "binary");
	return eight ? MIME_8BIT : MIME_ENCODED;
}
