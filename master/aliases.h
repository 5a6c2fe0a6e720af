/* SPDX-License-Identifier: ISC */
/*
 * The aliases file (keeper): `name: address, address` a line. A line that begins with white space
 * continues the one before, one whose first character is # is a comment, also between the two.
 * Names are compared as ASCII without case; of two equal ones the first counts.
 *
 * An address is user, user@domain, "quoted local part"@domain, <any of these>, or \user: the
 * user's mailbox, past his alias. :include:, |command and /file aren't known to this version: an
 * alias that has one, like one that can't be read, is there but broken, which makes its mail wait.
 *
 * The file is read whole and replaced whole; when it can't be read, what was read before stays. It
 * is looked at at most once a second. One keeper, one file: the second half keeps it.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "lib/hash.h"

#define ALIASES_FILE_MAX    (64u << 20) /* bytes */
#define ALIASES_NAME_MAX    256
#define ALIASES_MEMBERS_MAX 100000
#define ALIASES_LOOK_MS     1000

struct alias {
	char *name;  /* lower case */
	bool broken; /* has something that this version can't expand: a temporary failure */
	size_t nmembers;
	char **members; /* addresses as written, without <> and white space */
	UT_hash_handle hh;
};

struct aliases; /* a file's content */

/*
 * Takes text of a file apart; `name` is the file's, for the log, which gets a line for each
 * mistake. NULL when out of memory.
 */
struct aliases *aliases_parse(const char *text, size_t len, const char *name);
void aliases_free(struct aliases *aliases);

/* The alias of that name (any case), or NULL. */
const struct alias *aliases_find(const struct aliases *aliases, const char *name);

/* Uses that file from now on; "": none. Reads it. */
void aliases_use(const char *path);

/*
 * The alias of that name in the file in use, looking at the file's time first. *alias is NULL where
 * there is none, and valid until the next call. Returns 0, or -EAGAIN when the file is there and
 * has never been readable: nobody can say then what an address stands for.
 */
int aliases_lookup(const char *name, const struct alias **alias);
