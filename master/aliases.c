/* SPDX-License-Identifier: ISC */
/* The path, what was read, and the file's status then. */
#include "master/aliases.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/clock.h"
#include "lib/log.h"

static char *path;
static struct aliases *in_use;
static struct stat seen; /* the file as it was read */
static int64_t looked_ms;
static bool unreadable; /* and nothing was read before */
static int last_error;

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
	struct stat st = {0};
	size_t len = 0;
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	/* its time before its content: a change between the two is seen the next time */
	char *text =
	    fd >= 0 && fstat(fd, &st) == 0 ? alias_file_read(fd, ALIASES_FILE_MAX, &len) : NULL;
	struct aliases *fresh = text ? aliases_parse(text, len, path) : NULL;
	if (!fresh) {
		report(text ? ENOMEM : errno);
		unreadable = !in_use;
	}
	free(text);
	if (fd >= 0)
		close(fd);
	if (!fresh)
		return;
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
