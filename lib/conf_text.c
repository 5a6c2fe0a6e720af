/* SPDX-License-Identifier: ISC */
/*
 * libconfuse 3.3 counts the lines of comments wrongly, refuses comments inside lists, takes a
 * section without its closing brace for complete and drops characters it has no rule for. So its
 * text is made harmless first: one pass over the file's tokens, which blanks comments out, keeps
 * the braces and stops at the first thing that libconfuse would misread. What is left of mistakes
 * is libconfuse's to find, with lines that are right then.
 */
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/conf_raw.h"

enum token { TOKEN_NONE, TOKEN_WORD, TOKEN_STRING, TOKEN_EQUALS, TOKEN_OTHER };

struct scan {
	char *p; /* the text, changed in place; ends in 0 */
	uint32_t line;
	enum token last;
	uint32_t last_line;    /* of the last token */
	uint32_t section_line; /* of the section that is open, or 0 */
	uint32_t list_line;    /* of the list that is open, or 0 */
	struct conf_text *text;
	struct conf_messages *msgs;
	const char *file;
};

/* fail - the file ends here for us */
#define FAIL(s, at, ...) (conf_error((s)->msgs, (s)->file, (at), __VA_ARGS__), -EINVAL)

/* blank_line - a comment up to the end of the line */
static void blank_line(struct scan *s)
{
	while (*s->p && *s->p != '\n')
		*s->p++ = ' ';
}

/* blank_block - a comment with an end mark */
static int blank_block(struct scan *s)
{
	uint32_t start = s->line;
	char *end = strstr(s->p + 2, "*/");
	if (!end)
		return FAIL(s, start, "comment is never closed");
	for (; s->p < end + 2; s->p++) {
		if (*s->p == '\n')
			s->line++;
		else
			*s->p = ' ';
	}
	return 0;
}

/* check_variable - ${NAME} or ${NAME:-text}, all in one string; leaves s->p at its brace */
static int check_variable(struct scan *s)
{
	char name[256];
	size_t n = strcspn(s->p, "}\n\"");
	if (s->p[n] != '}' || n >= sizeof(name))
		return FAIL(s, s->line, "\"${\" without \"}\" (single quotes keep it as it is)");
	memcpy(name, s->p + 2, n - 2);
	name[n - 2] = '\0';
	if (!strstr(name, ":-") && !getenv(name))
		return FAIL(s, s->line, "environment variable %s isn't set", name);
	s->p += n;
	return 0;
}

/* skip_string - from quote to quote */
static int skip_string(struct scan *s)
{
	char quote = *s->p++;
	for (; *s->p != quote; s->p++) {
		if (*s->p == '\0' || *s->p == '\n')
			return FAIL(s, s->line, "string is never closed");
		if (*s->p == '\\' && s->p[1] != '\n' && s->p[1]) {
			s->p++;
			if (*s->p != '\\' && *s->p != quote)
				return FAIL(s, s->line,
				    "unknown escape \\%c in a string; a backslash itself is \\\\",
				    *s->p);
		} else if (quote == '"' && s->p[0] == '$' && s->p[1] == '{') {
			int r = check_variable(s);
			if (r)
				return r;
		}
	}
	s->p++;
	return 0;
}

/* word_char - may it be part of a word without quotes (libconfuse's rule) */
static bool word_char(const char *p)
{
	return *p && !strchr(" #\"'\t\n\r={}()+,*", *p) && !(p[0] == '/' && p[1] == '*');
}

/* open_brace - of a list behind a "=", else of a section */
static int open_brace(struct scan *s)
{
	if (s->list_line)
		return FAIL(s, s->list_line, "list is never closed");
	if (s->last == TOKEN_EQUALS) {
		s->list_line = s->line;
		return 0;
	}
	if (s->section_line)
		return FAIL(s, s->section_line,
		    "section is never closed (another one starts in line %u)", s->line);
	struct conf_text *t = s->text;
	struct conf_text_section *v =
	    reallocarray(t->sections, t->nsections + 1, sizeof(*t->sections));
	if (!v)
		return -ENOMEM;
	t->sections = v;
	s->section_line = s->last_line ? s->last_line : s->line;
	t->sections[t->nsections++].line = s->section_line;
	return 0;
}

/* close_brace - of what was opened last */
static int close_brace(struct scan *s)
{
	if (s->list_line)
		s->list_line = 0;
	else if (s->section_line)
		s->section_line = 0;
	else
		return FAIL(s, s->line, "\"}\" without \"{\"");
	return 0;
}

/* punctuation - a token of one character; the rest is refused */
static int punctuation(struct scan *s)
{
	switch (*s->p) {
	case '{':
		return open_brace(s);
	case '}':
		return close_brace(s);
	case '=':
		return s->list_line ? FAIL(s, s->list_line, "list is never closed") : 0;
	case '(':
	case ')':
	case ',':
		return 0;
	case '+':
		if (s->p[1] == '=')
			return FAIL(
			    s, s->line, "\"+=\" isn't known; give the whole list with \"=\"");
		break;
	}
	if (isgraph((unsigned char)*s->p))
		return FAIL(s, s->line, "\"%c\" has to stand in quotes", *s->p);
	return FAIL(s, s->line, "stray control character 0x%02x", (unsigned char)*s->p);
}

/* word - a bare word; on the line behind a "=" it is no value but the next option */
static int word(struct scan *s)
{
	if (s->last == TOKEN_EQUALS && s->line != s->last_line)
		return FAIL(s, s->last_line, "no value behind \"=\"");
	for (; word_char(s->p); s->p++)
		if (s->p[0] == '$' && s->p[1] == '{')
			return FAIL(s, s->line, "\"${\" has to stand in double quotes");
	return 0;
}

/* step - one token, comment or stretch of white space */
static int step(struct scan *s)
{
	char *p = s->p;
	uint32_t line = s->line;
	enum token token = TOKEN_OTHER;
	int r;
	if (*p == '\n')
		s->line++;
	if (*p == '\n' || *p == ' ' || *p == '\t' || *p == '\r') {
		s->p++;
		return 0;
	}
	if (*p == '#' || (p[0] == '/' && p[1] == '/')) {
		blank_line(s);
		return 0;
	}
	if (p[0] == '/' && p[1] == '*')
		return blank_block(s);
	if (*p == '"' || *p == '\'') {
		token = TOKEN_STRING;
		r = skip_string(s);
	} else if (word_char(p) && (unsigned char)*p > ' ' && *p != 0x7f) {
		token = TOKEN_WORD;
		r = word(s);
	} else {
		token = *p == '=' ? TOKEN_EQUALS : TOKEN_OTHER;
		r = punctuation(s);
		s->p++;
	}
	s->last = token;
	s->last_line = line;
	return r;
}

/* scan - the whole text */
static int scan(struct scan *s)
{
	int r = 0;
	if (strncmp(s->p, "\xef\xbb\xbf", 3) == 0)
		memset(s->p, ' ', 3);
	while (!r && *s->p)
		r = step(s);
	if (!r && s->list_line)
		r = FAIL(s, s->list_line, "list is never closed");
	if (!r && s->section_line)
		r = FAIL(s, s->section_line, "section is never closed");
	if (!r && s->last == TOKEN_EQUALS)
		r = FAIL(s, s->last_line, "no value behind \"=\"");
	return r;
}

/* slurp - a whole file, with a newline and a 0 behind it */
static int slurp(const char *path, struct conf_text *t)
{
	size_t size = 0;
	ssize_t n = 0;
	int r = 0, fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	if (fd < 0)
		return -errno;
	do {
		if (size - t->len < 3) { /* a read of nothing would look like the end */
			size = size ? size * 2 : 8192;
			char *buf = size > CONF_FILE_MAX ? NULL : realloc(t->buf, size);
			if (!buf) {
				r = size > CONF_FILE_MAX ? -EFBIG : -ENOMEM;
				goto out;
			}
			t->buf = buf;
		}
		n = read(fd, t->buf + t->len, size - t->len - 2);
		if (n < 0 && errno != EINTR)
			r = -errno;
		t->len += n > 0 ? (size_t)n : 0;
	} while (!r && n);
	memcpy(t->buf + t->len, "\n", 2);
out:
	close(fd);
	return r;
}

/* conf_text_read - reads a file and makes it harmless */
int conf_text_read(
    const char *path, struct conf_text *out, struct conf_messages *m, const char *file)
{
	*out = (struct conf_text){0};
	int r = slurp(path, out);
	if (!r) {
		struct scan s = {.p = out->buf, .line = 1, .text = out, .msgs = m, .file = file};
		r = scan(&s);
		if (!r && s.p != out->buf + out->len + 1)
			r = FAIL(&s, s.line, "stray control character 0x00");
		out->len++;
	}
	if (r)
		conf_text_free(out);
	return r;
}

/* conf_text_free - frees it */
void conf_text_free(struct conf_text *t)
{
	free(t->buf);
	free(t->sections);
	*t = (struct conf_text){0};
}

/* is_word - does `word` stand at p, alone or in quotes */
static const char *is_word(const struct conf_text *t, const char *p, const char *word)
{
	size_t n = strlen(word);
	if (strncmp(p, word, n) != 0 || (word_char(p + n) && p[n]))
		return NULL;
	if (p > t->buf && word_char(p - 1))
		return NULL;
	p += n;
	return p + (*p == '"' || *p == '\'');
}

/* conf_text_bare - where does a word stand without "=" */
uint32_t conf_text_bare(const struct conf_text *t, const char *word, uint32_t line)
{
	uint32_t at = 1, found = line;
	for (const char *p = t->buf; *p && at <= line; at += *p == '\n', p++) {
		const char *end = is_word(t, p, word);
		if (end && end[strspn(end, " \t\r\n")] != '=')
			found = at;
	}
	return found;
}

/* conf_text_empty_list - where is an option given an empty list */
uint32_t conf_text_empty_list(
    const struct conf_text *t, const char *name, uint32_t from, uint32_t to)
{
	uint32_t at = 1, found = from;
	for (const char *p = t->buf; *p && at <= to; at += *p == '\n', p++) {
		const char *q = at >= from ? is_word(t, p, name) : NULL;
		if (!q)
			continue;
		for (const char *want = "={}"; q && *want; want++) {
			q += strspn(q, " \t\r\n");
			q = *q == *want ? q + 1 : NULL;
		}
		if (q)
			found = at;
	}
	return found;
}
