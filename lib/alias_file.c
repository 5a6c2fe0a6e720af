/* SPDX-License-Identifier: ISC */
/*
 * Walked twice: logical lines first (continuations joined by their extent in the text, nothing is
 * copied), then the members of each.
 */
#include "lib/alias_file.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/log.h"
#include "lib/str.h"

struct aliases {
	struct alias *table;
	size_t mistakes;
};

/* dup_slice - as C text; NULL when out of memory */
static char *dup_slice(struct slice s)
{
	char *text = malloc(s.len + 1);
	if (!text)
		return NULL;
	memcpy(text, s.p, s.len);
	text[s.len] = '\0';
	return text;
}

/* free_alias - one and its members */
static void free_alias(struct alias *a)
{
	address_list_free(&a->members);
	free(a->name);
	free(a);
}

/* aliases_free - all of a file */
void aliases_free(struct aliases *aliases)
{
	struct alias *a, *next;
	if (!aliases)
		return;
	HASH_ITER (hh, aliases->table, a, next) {
		HASH_DEL(aliases->table, a);
		free_alias(a);
	}
	free(aliases);
}

/* line_length - to the end of the physical line, its LF included */
static size_t line_length(struct slice rest)
{
	const char *nl = memchr(rest.p, '\n', rest.len);
	return nl ? (size_t)(nl - rest.p) + 1 : rest.len;
}

/* is_blank - nothing on the physical line but white space */
static bool is_blank(struct slice line)
{
	return slice_trim(line).len == 0;
}

/* logical_length - how far a line goes with all that continues it; *lines counts them */
static size_t logical_length(struct slice rest, unsigned *lines)
{
	size_t end = line_length(rest), whole = end;
	unsigned seen = 1;
	*lines = 1;
	while (end < rest.len) {
		struct slice next = {rest.p + end, rest.len - end};
		next.len = line_length(next);
		bool comment = next.p[0] == '#' || is_blank(next);
		if (!comment && next.p[0] != ' ' && next.p[0] != '\t')
			break;
		end += next.len;
		seen++;
		if (!comment) {
			whole = end; /* comments count only when something follows them */
			*lines = seen;
		}
	}
	return whole;
}

/* without_comments - drop whole comment lines from a joined line, in place; the new length */
static size_t without_comments(char *text, size_t len)
{
	size_t out = 0;
	for (size_t i = 0; i < len;) {
		size_t n = line_length((struct slice){text + i, len - i});
		if (text[i] != '#') {
			memmove(text + out, text + i, n);
			out += n;
		}
		i += n;
	}
	return out;
}

/* take_name - the left side in lower case, without quotes; NULL for none */
static char *take_name(struct slice s)
{
	s = slice_trim(s);
	if (s.len > 1 && s.p[0] == '"' && s.p[s.len - 1] == '"')
		s.p++, s.len -= 2;
	if (s.len == 0 || s.len > ALIASES_NAME_MAX || memchr(s.p, '\n', s.len))
		return NULL;
	char *name = dup_slice(s);
	if (name)
		str_lower(name, name, s.len);
	return name;
}

/* take_members - the right side of a line; 0, -EINVAL for what is no member, -ENOMEM */
static int take_members(struct alias *a, struct slice rest)
{
	int e = address_list_add(&a->members, rest.p, rest.len);
	return e ? e : a->members.n > 0 ? 0 : -EINVAL;
}

/* keep_alias - into the table; 0 or -ENOMEM and it is freed */
static int keep_alias(struct aliases *aliases, struct alias *a)
{
	HASH_ADD_KEYPTR(hh, aliases->table, a->name, strlen(a->name), a);
	if (hash_added(a))
		return 0;
	free_alias(a);
	return -ENOMEM;
}

/* add_line - one logical line; 0 or -ENOMEM */
static int add_line(struct aliases *aliases, struct slice line, const char *file, unsigned number)
{
	size_t colon = address_list_outside(line.p, line.len, ':');
	char *name = colon < line.len ? take_name((struct slice){line.p, colon}) : NULL;
	struct alias *a = NULL;
	if (!name) {
		log_error("%s:%u: not \"name: address\", ignored", file, number);
		aliases->mistakes++;
		return 0;
	}
	HASH_FIND_STR(aliases->table, name, a);
	if (a) {
		log_warnx("%s:%u: %s was given before, ignored", file, number, name);
		aliases->mistakes++;
		free(name);
		return 0;
	}
	a = calloc(1, sizeof(*a));
	if (!a) {
		free(name);
		return -ENOMEM;
	}
	a->name = name;
	int e = take_members(a, (struct slice){line.p + colon + 1, line.len - colon - 1});
	if (e == -ENOMEM) {
		free_alias(a);
		return e;
	}
	if (e) {
		a->broken = true;
		aliases->mistakes++;
		log_error("%s:%u: %s has no address, or something that isn't one; its mail waits",
		    file, number, name);
	}
	return keep_alias(aliases, a);
}

/* aliases_parse - the text of a file */
struct aliases *aliases_parse(const char *text, size_t len, const char *name)
{
	struct aliases *aliases = calloc(1, sizeof(*aliases));
	struct slice rest = {text, len};
	unsigned number = 1, lines = 0;
	int e = aliases ? 0 : -ENOMEM;
	for (; rest.len > 0 && !e; number += lines) {
		struct slice first = {rest.p, line_length(rest)};
		size_t n = first.len;
		lines = 1;
		if (first.p[0] != '#' && !is_blank(first)) {
			n = logical_length(rest, &lines);
			char *line = malloc(n);
			if (line) {
				memcpy(line, rest.p, n);
				e = add_line(aliases,
				    (struct slice){line, without_comments(line, n)}, name, number);
			} else {
				e = -ENOMEM;
			}
			free(line);
		}
		rest.p += n;
		rest.len -= n;
	}
	if (e) {
		aliases_free(aliases);
		return NULL;
	}
	return aliases;
}

/* aliases_find - by name */
const struct alias *aliases_find(const struct aliases *aliases, const char *name)
{
	char lower[ALIASES_NAME_MAX + 1];
	struct alias *a = NULL;
	size_t len = strlen(name);
	if (!aliases || len > ALIASES_NAME_MAX)
		return NULL;
	str_lower(lower, name, len);
	HASH_FIND(hh, aliases->table, lower, len, a);
	return a;
}

/* aliases_count - for newaliases */
void aliases_count(const struct aliases *aliases, size_t *names, size_t *mistakes)
{
	*names = HASH_COUNT(aliases->table);
	*mistakes = aliases->mistakes;
}

/* alias_file_read - whole, or what is left of it when it is cut meanwhile */
char *alias_file_read(int fd, size_t max, size_t *len)
{
	struct stat st;
	*len = 0;
	if (fstat(fd, &st) != 0)
		return NULL;
	if (!S_ISREG(st.st_mode) || (size_t)st.st_size > max) {
		errno = EINVAL;
		return NULL;
	}
	char *buf = malloc((size_t)st.st_size + 1);
	while (buf && *len < (size_t)st.st_size) {
		ssize_t n = read(fd, buf + *len, (size_t)st.st_size - *len);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0) {
			free(buf);
			return NULL;
		}
		if (n == 0)
			break;
		*len += (size_t)n;
	}
	if (buf)
		buf[*len] = '\0';
	return buf;
}
