/* SPDX-License-Identifier: ISC */
/*
 * A file of lines that keeper holds in memory and reads anew when it changed. It is looked at when
 * somebody wants something of it, at most once in TEXTFILE_LOOK_MS; read whole and replaced whole;
 * while it can't be read, what was read before stays.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>

#define TEXTFILE_LOOK_MS 1000
#define TEXTFILE_MAX     (64u << 20) /* bytes */

struct textfile {
	/* Takes over the content of the file (a NUL stands behind it); false: out of memory. */
	bool (*read)(struct textfile *file, const char *text, size_t len, const char *path);
	/* There is no such file any more. */
	void (*gone)(struct textfile *file);
	/* private */
	char *path;
	bool known, unreadable;
	struct stat seen;
	int64_t looked_ms;
	int last_error;
};

/* Uses that path from now on ("": none), and reads it. */
void textfile_use(struct textfile *file, const char *path);

/*
 * To be called before its content is used: reads it anew when it changed. 0, or -EAGAIN when the
 * file is there and was never readable. A file that isn't there is an empty one.
 */
int textfile_look(struct textfile *file);

/* Whether there is such a file, or was until it couldn't be read. */
bool textfile_known(const struct textfile *file);

/* Forgets it and its path. */
void textfile_end(struct textfile *file);

/*
 * Takes one line off the front: *line and its length, without its end and white space around it.
 * Lines without content and such that begin with # are skipped. *number counts lines from 1; 0 to
 * begin with. False at the end.
 */
bool textfile_line(
    const char **text, size_t *len, const char **line, size_t *line_len, unsigned *number);
