/* SPDX-License-Identifier: ISC */
/* A table a file, by its path: blocks may share one. */
#include "master/vusers.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/hash.h"
#include "lib/log.h"
#include "lib/str.h"
#include "master/textfile.h"

struct vuser {
	UT_hash_handle hh;
	char name[]; /* lower case */
};

struct vfile {
	struct textfile lines; /* first: what its callbacks get */
	struct vuser *users;
	bool wanted; /* by the configuration in force */
	struct vfile *next;
	char path[];
};

static struct vfile *files;

/* drop - a whole table */
static void drop(struct vuser *table)
{
	struct vuser *u, *next;
	HASH_ITER (hh, table, u, next) {
		HASH_DEL(table, u);
		free(u);
	}
}

/* add - one name, unless it is there; false: out of memory */
static bool add(struct vuser **table, const char *name, size_t len)
{
	struct vuser *u;
	struct vuser *fresh = malloc(sizeof(*fresh) + len + 1);
	if (!fresh)
		return false;
	str_lower(fresh->name, name, len);
	fresh->name[len] = '\0';
	HASH_FIND(hh, *table, fresh->name, len, u);
	if (u) {
		free(fresh);
		return true;
	}
	HASH_ADD_KEYPTR(hh, *table, fresh->name, len, fresh);
	if (hash_added(fresh))
		return true;
	free(fresh);
	return false;
}

/* is_name - what may be part of a path; the rest could lead out of its folder */
static bool is_name(const char *name, size_t len)
{
	if (len == 0 || len > VUSERS_NAME_MAX || name[0] == '.' || name[0] == '@')
		return false;
	for (size_t i = 0; i < len; i++)
		if ((unsigned char)name[i] <= ' ' || name[i] == 127 || name[i] == '/')
			return false;
	return true;
}

/* take - the whole file anew */
static bool take(struct textfile *file, const char *text, size_t len, const char *path)
{
	struct vfile *f = (struct vfile *)file;
	struct vuser *table = NULL;
	const char *line;
	size_t n;
	unsigned number = 0;
	while (textfile_line(&text, &len, &line, &n, &number)) {
		size_t end = 0;
		while (end < n && !strchr(": \t", line[end]))
			end++;
		if (!is_name(line, end)) {
			log_warnx("%s:%u: not the name of a mailbox, ignored", path, number);
		} else if (!add(&table, line, end)) {
			drop(table);
			return false;
		}
	}
	drop(f->users);
	f->users = table;
	return true;
}

/* gone - the file was taken away */
static void gone(struct textfile *file)
{
	struct vfile *f = (struct vfile *)file;
	drop(f->users);
	f->users = NULL;
	log_warnx("%s is not there any more; mail for its names waits", f->path);
}

/* want - the file of that path */
static void want(const char *path)
{
	struct vfile *f;
	LL_FOREACH (files, f)
		if (strcmp(f->path, path) == 0)
			break;
	if (!f) {
		size_t len = strlen(path);
		f = calloc(1, sizeof(*f) + len + 1);
		if (!f)
			log_fatal("out of memory");
		memcpy(f->path, path, len);
		f->lines = (struct textfile){.read = take, .gone = gone};
		LL_PREPEND(files, f);
	}
	if (!f->wanted)
		textfile_use(&f->lines, path);
	if (!f->wanted && !textfile_known(&f->lines))
		log_warnx("%s can't be read; mail for its names waits", path);
	f->wanted = true;
}

/* vusers_use - the files that are named, and no other */
void vusers_use(const struct conf *conf)
{
	struct vfile *f, *next;
	LL_FOREACH (files, f)
		f->wanted = false;
	for (size_t i = 0; i < conf->nvirtual; i++)
		if (*conf->virtual[i].users)
			want(conf->virtual[i].users);
	LL_FOREACH_SAFE (files, f, next) {
		if (f->wanted)
			continue;
		LL_DELETE(files, f);
		f->lines.gone = NULL;
		drop(f->users);
		textfile_end(&f->lines);
		free(f);
	}
}

/* has - whether the file has that name */
static bool has(const struct vfile *f, const char *name)
{
	struct vuser *u;
	HASH_FIND_STR(f->users, name, u);
	return u;
}

/* vusers_find - with its domain, or without */
int vusers_find(const struct conf_virtual *block, const char *name, const char *domain,
    char user[VUSERS_NAME_MAX + 1])
{
	char lower[VUSERS_NAME_MAX + 1];
	struct vfile *f;
	int n = snprintf(user, VUSERS_NAME_MAX + 1, "%s@%s", name, domain);
	if (n < 0 || n > VUSERS_NAME_MAX || !*block->users)
		return -ENOENT;
	str_lower(user, user, (size_t)n);
	LL_FOREACH (files, f)
		if (strcmp(f->path, block->users) == 0)
			break;
	if (!f || textfile_look(&f->lines) != 0 || !textfile_known(&f->lines))
		return -EAGAIN;
	if (!is_name(name, strlen(name)))
		return -ENOENT;
	str_copy_n(lower, sizeof(lower), user, strlen(name));
	return has(f, user) || has(f, lower) ? 0 : -ENOENT;
}
