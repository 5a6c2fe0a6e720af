/* SPDX-License-Identifier: ISC */
#include "master/users.h"

#include <stdlib.h>
#include <string.h>

#include "lib/log.h"
#include "lib/str.h"
#include "master/textfile.h"

static struct user *users;

/* drop - a whole table */
static void drop(struct user *table)
{
	struct user *u, *next;
	HASH_ITER (hh, table, u, next) {
		HASH_DEL(table, u);
		explicit_bzero(&u->secret, sizeof(u->secret));
		free(u);
	}
}

/* make - the user of a line; NULL with *good false when it makes no sense, else out of memory */
static struct user *make(const char *line, size_t len, bool *good)
{
	const char *colon = memchr(line, ':', len);
	struct user *u = calloc(1, sizeof(*u));
	if (!u)
		return NULL;
	size_t n = colon ? (size_t)(colon - line) : 0;
	*good = n && str_copy_n(u->name, sizeof(u->name), line, n) == 0 &&
		secret_parse(colon + 1, len - n - 1, &u->secret) == 0;
	if (*good)
		return u;
	free(u);
	return NULL;
}

/* add - to the table; false: out of memory */
static bool add(struct user **table, struct user *u, const char *path, unsigned number)
{
	struct user *have;
	HASH_FIND_STR(*table, u->name, have);
	if (have) {
		log_warnx(
		    "%s:%u: user %s was there already; the first counts", path, number, u->name);
		free(u);
		return true;
	}
	HASH_ADD_STR(*table, name, u);
	if (hash_added(u))
		return true;
	free(u);
	return false;
}

/* take - the whole file anew */
static bool take(struct textfile *file, const char *text, size_t len, const char *path)
{
	(void)file;
	struct user *table = NULL;
	const char *line;
	size_t n;
	unsigned number = 0;
	while (textfile_line(&text, &len, &line, &n, &number)) {
		bool good = true;
		struct user *u = make(line, n, &good);
		if (!good) {
			log_warnx("%s:%u: not a user and a hash or SCRAM verifier", path, number);
			continue;
		}
		if (!u || !add(&table, u, path, number)) {
			drop(table);
			return false;
		}
	}
	drop(users);
	users = table;
	return true;
}

/* gone - no file, no users */
static void gone(struct textfile *file)
{
	(void)file;
	drop(users);
	users = NULL;
}

static struct textfile lines = {.read = take, .gone = gone};

/* users_use - from now on */
void users_use(const char *path)
{
	textfile_use(&lines, path);
}

/* users_find - in the file as it is now */
int users_find(const char *name, const struct user **user, const struct user **decoy)
{
	struct user *u = NULL;
	int e = textfile_look(&lines);
	if (!e)
		HASH_FIND_STR(users, name, u);
	*user = u;
	*decoy = users;
	return e;
}
