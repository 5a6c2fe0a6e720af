/* SPDX-License-Identifier: ISC */
/* A file is another one when its identity, size or time of change is: editors replace files. */
#include "master/textfile.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/clock.h"
#include "lib/log.h"

/* slurp - a file's bytes and a NUL; NULL with errno */
static char *slurp(const char *path, struct stat *st, size_t *len)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (fd < 0)
		return NULL;
	char *buf = NULL;
	if (fstat(fd, st) != 0 || !S_ISREG(st->st_mode) || st->st_size > TEXTFILE_MAX)
		errno = EINVAL;
	else
		buf = calloc(1, (size_t)st->st_size + 1);
	for (*len = 0; buf && *len < (size_t)st->st_size;) {
		ssize_t n = read(fd, buf + *len, (size_t)st->st_size - *len);
		if (n <= 0)
			break; /* cut meanwhile: the next look sees another time */
		*len += (size_t)n;
	}
	close(fd);
	return buf;
}

/* report - a trouble with the file, once until it changes */
static void report(struct textfile *f, int e)
{
	if (e != f->last_error)
		log_warnc(e, "%s", f->path);
	f->last_error = e;
	f->unreadable = !f->known;
}

/* load - the file anew */
static void load(struct textfile *f)
{
	struct stat st;
	size_t len = 0;
	char *text = slurp(f->path, &st, &len);
	if (!text) {
		report(f, errno);
		return;
	}
	if (f->read(f, text, len, f->path)) {
		f->known = true;
		f->seen = st;
		f->unreadable = false;
		f->last_error = 0;
	} else {
		report(f, ENOMEM);
	}
	explicit_bzero(text, len);
	free(text);
}

/* is_same - whether the file is the one that was read */
static bool is_same(const struct stat *a, const struct stat *b)
{
	return a->st_ino == b->st_ino && a->st_dev == b->st_dev && a->st_size == b->st_size &&
	       a->st_mtim.tv_sec == b->st_mtim.tv_sec && a->st_mtim.tv_nsec == b->st_mtim.tv_nsec;
}

/* forget - what was read */
static void forget(struct textfile *f)
{
	if (f->known && f->gone)
		f->gone(f);
	f->known = f->unreadable = false;
}

/* textfile_look - at most once in TEXTFILE_LOOK_MS */
int textfile_look(struct textfile *f)
{
	struct stat st;
	int64_t now = clock_ms();
	if (!f->path || !*f->path)
		return 0;
	if (!f->looked_ms || now - f->looked_ms >= TEXTFILE_LOOK_MS) {
		f->looked_ms = now;
		if (stat(f->path, &st) == 0) {
			if (!f->known || !is_same(&st, &f->seen))
				load(f);
		} else if (errno == ENOENT) {
			forget(f);
		} else {
			report(f, errno);
		}
	}
	return f->unreadable ? -EAGAIN : 0;
}

/* textfile_use - that path from now on */
void textfile_use(struct textfile *f, const char *path)
{
	if (!f->path || strcmp(f->path, path) != 0) {
		forget(f);
		free(f->path);
		f->path = strdup(path);
		if (!f->path)
			log_fatal("out of memory");
	}
	f->looked_ms = 0;
	f->last_error = 0;
	textfile_look(f);
}

/* textfile_known - read, and not gone since */
bool textfile_known(const struct textfile *f)
{
	return f->known;
}

/* textfile_end - nothing of it is left */
void textfile_end(struct textfile *f)
{
	forget(f);
	free(f->path);
	f->path = NULL;
}

/* trim - white space at both ends */
static void trim(const char **at, size_t *len)
{
	while (*len && strchr(" \t\r", **at)) {
		++*at;
		--*len;
	}
	while (*len && strchr(" \t\r", (*at)[*len - 1]))
		--*len;
}

/* textfile_line - the next one with content */
bool textfile_line(
    const char **text, size_t *len, const char **line, size_t *line_len, unsigned *number)
{
	while (*len) {
		const char *end = memchr(*text, '\n', *len);
		*line = *text;
		*line_len = end ? (size_t)(end - *text) : *len;
		size_t used = *line_len + (end != NULL);
		*text += used;
		*len -= used;
		++*number;
		trim(line, line_len);
		if (*line_len && **line != '#')
			return true;
	}
	return false;
}
