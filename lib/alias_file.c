/* SPDX-License-Identifier: ISC */
/* A logical line is put together from its physical ones, then taken apart as a name and members. */
#include "lib/alias_file.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/str.h"

/* One reading of a file. */
struct walk {
	struct alias_reader *reader;
	char *text; /* the logical line so far */
	size_t len, room;
	unsigned begun; /* number of its first line */
};

/* take_name - the left side in lower case, without quotes; false for none */
static bool take_name(const char *text, size_t len, char out[ALIASES_NAME_MAX + 1])
{
	struct slice s = slice_trim((struct slice){text, len});
	if (s.len > 1 && s.p[0] == '"' && s.p[s.len - 1] == '"')
		s.p++, s.len -= 2;
	if (s.len == 0 || s.len > ALIASES_NAME_MAX || s.p[s.len - 1] == '@' ||
	    memchr(s.p, '\n', s.len) || memchr(s.p, '\0', s.len))
		return false;
	str_lower(out, s.p, s.len);
	out[s.len] = '\0';
	return true;
}

/* mistake - something is wrong with the line */
static void mistake(const struct walk *w, const char *words)
{
	if (w->reader->mistake)
		w->reader->mistake(w->reader, w->begun, words);
}

/* take_members - the right side of a line; 0, -EINVAL for what is no member, -ENOMEM */
static int take_members(struct alias_entry *a, const char *text, size_t len)
{
	int e = address_list_add(&a->members, text, len);
	return e ? e : a->members.n > 0 ? 0 : -EINVAL;
}

/* flush - the logical line is whole; 0, -ENOMEM, or the reader's word */
static int flush(struct walk *w)
{
	char name[ALIASES_NAME_MAX + 1], words[ALIASES_NAME_MAX + 100];
	struct alias_entry a = {.name = name, .line = w->begun};
	if (w->len == 0)
		return 0;
	size_t colon = address_list_outside(w->text, w->len, ':'), len = w->len;
	w->len = 0;
	if (colon == len || !take_name(w->text, colon, name)) {
		mistake(w, "not \"name: address\", ignored");
		return 0;
	}
	a.members.wild = name[0] == '@';
	int e = take_members(&a, w->text + colon + 1, len - colon - 1);
	if (e == -EINVAL) {
		a.broken = true;
		snprintf(words, sizeof(words),
		    "%s has no address, or something that isn't one; its mail waits", name);
		mistake(w, words);
	}
	if (e != -ENOMEM)
		e = w->reader->take(w->reader, &a);
	address_list_free(&a.members);
	return e;
}

/* append - one more physical line of the logical one; 0 or -ENOMEM */
static int append(struct walk *w, const char *line, size_t len)
{
	if (w->len + len > w->room) {
		size_t room = w->room * 2 > w->len + len ? w->room * 2 : w->len + len;
		char *text = realloc(w->text, room);
		if (!text)
			return -ENOMEM;
		w->text = text;
		w->room = room;
	}
	memcpy(w->text + w->len, line, len);
	w->len += len;
	return 0;
}

/* take_line - a physical line: a comment, more of the line before, or the first of the next */
static int take_line(struct walk *w, const char *line, size_t len, unsigned number)
{
	if (memchr(line, '\0', len))
		return -EINVAL;
	if (line[0] == '#' || slice_trim((struct slice){line, len}).len == 0)
		return 0;
	if (w->len == 0 || (line[0] != ' ' && line[0] != '\t')) {
		int e = flush(w);
		if (e)
			return e;
		w->begun = number;
	}
	return append(w, line, len);
}

/* alias_file_walk - line by line */
int alias_file_walk(FILE *file, struct alias_reader *reader)
{
	struct walk w = {.reader = reader};
	char *line = NULL;
	size_t room = 0, total = 0;
	ssize_t n;
	int e = 0;
	for (unsigned number = 1; !e; number++) {
		errno = 0;
		n = getline(&line, &room, file);
		if (n < 0) {
			e = ferror(file) || errno == ENOMEM ? -(errno ? errno : EIO) : flush(&w);
			break;
		}
		total += (size_t)n;
		e = total > ALIASES_FILE_MAX ? -EFBIG : take_line(&w, line, (size_t)n, number);
	}
	free(line);
	free(w.text);
	return e;
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
