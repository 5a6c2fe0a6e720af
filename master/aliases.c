/* SPDX-License-Identifier: ISC */
/*
 * Read in one piece and walked twice: logical lines first (continuations joined by their extent in
 * the text, nothing is copied), then the addresses of each. A broken alias is kept as broken and
 * not left out: leaving it out would bounce its mail, or put it into the mailbox of a user of that
 * name.
 */
#include "master/aliases.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/clock.h"
#include "lib/log.h"
#include "lib/str.h"

struct aliases {
	struct alias *table;
};

/* A slice of the text. */
struct slice {
	const char *p;
	size_t len;
};

/* trim - without white space around */
static struct slice trim(struct slice s)
{
	while (s.len > 0 && isspace((unsigned char)s.p[0]))
		s.p++, s.len--;
	while (s.len > 0 && isspace((unsigned char)s.p[s.len - 1]))
		s.len--;
	return s;
}

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
	for (size_t i = 0; i < a->nmembers; i++)
		free(a->members[i]);
	free(a->members);
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
	return trim(line).len == 0;
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

/* find_outside - the first `c` outside of quotes, <> and comment lines; len when there is none */
static size_t find_outside(struct slice s, char c)
{
	bool quoted = false, angled = false;
	for (size_t i = 0; i < s.len; i++) {
		if (s.p[i] == '\\' && i + 1 < s.len && quoted)
			i++;
		else if (s.p[i] == '"')
			quoted = !quoted;
		else if (!quoted && s.p[i] == c && !angled)
			return i;
		else if (!quoted && (s.p[i] == '<' || s.p[i] == '>'))
			angled = s.p[i] == '<';
	}
	return s.len;
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

/* in_angles - what stands between < and >, for "Words <user@domain>" */
static struct slice in_angles(struct slice s)
{
	const char *open = memchr(s.p, '<', s.len);
	if (open && s.len > 1 && s.p[s.len - 1] == '>' && s.p[0] != '"')
		return trim((struct slice){open + 1, (size_t)(s.p + s.len - 1 - (open + 1))});
	return s;
}

/* is_address - a form that this version expands */
static bool is_address(struct slice s)
{
	if (s.len == 0 || s.len > ALIASES_NAME_MAX || s.p[0] == '|' || s.p[0] == '/' ||
	    s.p[0] == ':' || s.p[0] == '@')
		return false;
	/* "|command with words": quoted as a whole */
	if (s.p[0] == '"' && s.len > 1 && (s.p[1] == '|' || s.p[1] == '/' || s.p[1] == ':'))
		return false;
	bool quoted = false;
	for (size_t i = 0; i < s.len; i++) {
		unsigned char c = (unsigned char)s.p[i];
		if (c == '"')
			quoted = !quoted;
		if (c < ' ' || c == 127 || (c == ' ' && !quoted))
			return false;
	}
	return !quoted;
}

/* add_member - one address to an alias; 0 or -ENOMEM */
static int add_member(struct alias *a, struct slice s)
{
	/* grown by doubling: a power of two is a full list */
	if ((a->nmembers & (a->nmembers - 1)) == 0) {
		size_t room = a->nmembers ? a->nmembers * 2 : 1;
		char **more = realloc(a->members, room * sizeof(*more));
		if (!more)
			return -ENOMEM;
		a->members = more;
	}
	a->members[a->nmembers] = dup_slice(s);
	if (!a->members[a->nmembers])
		return -ENOMEM;
	a->nmembers++;
	return 0;
}

/* add_members - the right side of a line; 0, -EINVAL for what can't be expanded, -ENOMEM */
static int add_members(struct alias *a, struct slice rest)
{
	int e = 0;
	while (rest.len > 0 && e != -ENOMEM) {
		size_t n = find_outside(rest, ',');
		struct slice s = in_angles(trim((struct slice){rest.p, n}));
		rest.p += n < rest.len ? n + 1 : n;
		rest.len -= n < rest.len ? n + 1 : n;
		if (s.len == 0)
			continue; /* "a, , b" and a comma at the end are harmless */
		if (!is_address(s) || a->nmembers >= ALIASES_MEMBERS_MAX)
			e = -EINVAL;
		else if (add_member(a, s) != 0)
			e = -ENOMEM;
	}
	return e ? e : a->nmembers > 0 ? 0 : -EINVAL;
}

/* take_name - the left side in lower case, without quotes; NULL for none */
static char *take_name(struct slice s)
{
	s = trim(s);
	if (s.len > 1 && s.p[0] == '"' && s.p[s.len - 1] == '"')
		s.p++, s.len -= 2;
	if (s.len == 0 || s.len > ALIASES_NAME_MAX || memchr(s.p, '\n', s.len))
		return NULL;
	char *name = dup_slice(s);
	if (name)
		str_lower(name, name, s.len);
	return name;
}

/* add_line - one logical line; 0 or -ENOMEM */
static int add_line(struct aliases *aliases, struct slice line, const char *file, unsigned number)
{
	size_t colon = find_outside(line, ':');
	char *name = colon < line.len ? take_name((struct slice){line.p, colon}) : NULL;
	struct alias *a = NULL;
	if (!name) {
		log_error("%s:%u: not \"name: address\", ignored", file, number);
		return 0;
	}
	HASH_FIND_STR(aliases->table, name, a);
	if (a) {
		log_warnx("%s:%u: %s was given before, ignored", file, number, name);
		free(name);
		return 0;
	}
	a = calloc(1, sizeof(*a));
	if (!a) {
		free(name);
		return -ENOMEM;
	}
	a->name = name;
	int e = add_members(a, (struct slice){line.p + colon + 1, line.len - colon - 1});
	if (e == -EINVAL) {
		a->broken = true;
		log_error("%s:%u: %s has no address, or something that isn't one; its mail waits",
		    file, number, name);
	}
	if (e != -ENOMEM)
		HASH_ADD_KEYPTR(hh, aliases->table, a->name, strlen(a->name), a);
	if (e == -ENOMEM || !hash_added(a)) {
		free_alias(a);
		return -ENOMEM;
	}
	return 0;
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

/* -- the file in use ---------------------------------------------------------------------- */

static char *path;
static struct aliases *in_use;
static struct stat seen; /* the file as it was read */
static int64_t looked_ms;
static bool unreadable; /* and nothing was read before */
static int last_error;

/* read_all - a file's bytes; NULL with errno */
static char *read_all(const char *file, struct stat *st, size_t *len)
{
	char *buf = NULL;
	int fd = open(file, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (fd < 0)
		return NULL;
	if (fstat(fd, st) != 0 || !S_ISREG(st->st_mode) || st->st_size > ALIASES_FILE_MAX) {
		errno = EINVAL;
		close(fd);
		return NULL;
	}
	buf = malloc((size_t)st->st_size + 1);
	ssize_t n = 0;
	for (*len = 0; buf && *len < (size_t)st->st_size; *len += (size_t)n) {
		n = read(fd, buf + *len, (size_t)st->st_size - *len);
		if (n <= 0)
			break; /* cut meanwhile: the next look sees another time */
	}
	close(fd);
	return buf;
}

/* report - a trouble with the file, once until it changes */
static void report(int e)
{
	if (e != last_error)
		log_warnc(e, "%s", path);
	last_error = e;
}

/* load - the file anew */
static void load(void)
{
	struct stat st;
	size_t len = 0;
	char *text = read_all(path, &st, &len);
	struct aliases *fresh = text ? aliases_parse(text, len, path) : NULL;
	free(text);
	if (!fresh) {
		report(text ? ENOMEM : errno);
		unreadable = !in_use;
		return;
	}
	aliases_free(in_use);
	in_use = fresh;
	seen = st;
	unreadable = false;
	last_error = 0;
}

/* is_same - whether the file is the one that was read */
static bool is_same(const struct stat *st)
{
	return st->st_ino == seen.st_ino && st->st_dev == seen.st_dev &&
	       st->st_size == seen.st_size && st->st_mtim.tv_sec == seen.st_mtim.tv_sec &&
	       st->st_mtim.tv_nsec == seen.st_mtim.tv_nsec;
}

/* look - whether the file has changed, at most once in ALIASES_LOOK_MS */
static void look(void)
{
	struct stat st;
	int64_t now = clock_ms();
	if (looked_ms && now - looked_ms < ALIASES_LOOK_MS)
		return;
	looked_ms = now;
	if (stat(path, &st) == 0) {
		if (!in_use || !is_same(&st))
			load();
	} else if (errno == ENOENT) {
		/* no file, no aliases: also after it was taken away */
		aliases_free(in_use);
		in_use = NULL;
		unreadable = false;
	} else {
		report(errno);
		unreadable = !in_use;
	}
}

/* aliases_use - that file from now on */
void aliases_use(const char *file)
{
	if (!path || strcmp(path, file) != 0) {
		aliases_free(in_use);
		in_use = NULL;
		free(path);
		path = strdup(file);
		if (!path)
			log_fatal("out of memory");
	}
	looked_ms = 0;
	last_error = 0;
	unreadable = false;
	if (*path)
		look();
}

/* aliases_lookup - in the file in use */
int aliases_lookup(const char *name, const struct alias **alias)
{
	*alias = NULL;
	if (!path || !*path)
		return 0;
	look();
	if (unreadable)
		return -EAGAIN;
	*alias = aliases_find(in_use, name);
	return 0;
}
