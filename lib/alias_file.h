/* SPDX-License-Identifier: ISC */
/*
 * The text of an aliases file: `name: member, member` a line (lib/address_list.h). A line that
 * begins with white space continues the one before, one whose first character is # is a comment,
 * also between the two. Names are compared as ASCII without case; of two equal ones the first
 * counts. keeper expands by it, local finds commands in it, newaliases checks it.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "lib/address_list.h"
#include "lib/hash.h"

#define ALIASES_FILE_MAX (64u << 20) /* bytes */
#define ALIASES_NAME_MAX 256

struct alias {
	char *name;  /* lower case */
	bool broken; /* has nothing, or something that is no member: its mail waits */
	struct address_list members;
	UT_hash_handle hh;
};

struct aliases; /* a file's content */

/*
 * Takes text of a file apart; `name` is the file's, for the log, which gets a line for each
 * mistake. A broken alias is kept as such and not left out: that would bounce its mail, or put it
 * into the mailbox of a user of that name. NULL when out of memory.
 */
struct aliases *aliases_parse(const char *text, size_t len, const char *name);
void aliases_free(struct aliases *aliases);

/* The alias of that name (any case), or NULL. */
const struct alias *aliases_find(const struct aliases *aliases, const char *name);

/* How many there are, and how many lines were wrong (broken, given twice, or none). */
void aliases_count(const struct aliases *aliases, size_t *names, size_t *mistakes);

/*
 * Reads an open file from where it stands; NULL with errno: EINVAL for what is no plain file or too
 * large. malloc'ed, a NUL behind *len bytes.
 */
char *alias_file_read(int fd, size_t max, size_t *len);
