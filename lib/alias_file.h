/* SPDX-License-Identifier: ISC */
/*
 * The text of an aliases file: `name: member, member` a line (lib/address_list.h). A line that
 * begins with white space continues the one before, one whose first character is # is a comment,
 * also between the two. A name is `name`, `name@domain` or `@domain`; names are kept in lower case,
 * as they are compared. It is read line by line, one alias in memory at a time. keeper makes its
 * map of it, local finds commands in it, newaliases checks it.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#include "lib/address_list.h"

#define ALIASES_FILE_MAX (256u << 20) /* bytes */
#define ALIASES_NAME_MAX 320          /* a local part, @ and a domain */

/* One alias, while the file is read. */
struct alias_entry {
	const char *name; /* lower case */
	unsigned line;    /* where it begins */
	bool broken;      /* has nothing, or something that is no member: its mail waits */
	struct address_list members;
};

/* Who reads it. */
struct alias_reader {
	/*
	 * Gets each alias in the order of the file; may keep the members, leaving an empty list.
	 * What it returns but 0 ends the reading. Of two aliases of one name the first counts: the
	 * reader sees both.
	 */
	int (*take)(struct alias_reader *reader, struct alias_entry *alias);
	/* Something wrong in a line, in words. A broken alias is taken as well. May be NULL. */
	void (*mistake)(struct alias_reader *reader, unsigned line, const char *words);
};

/*
 * Reads an open file to its end. 0; what `take` returned; -EINVAL for what is no text (it has a
 * NUL); -EFBIG for one of more than ALIASES_FILE_MAX; -ENOMEM; or why it can't be read.
 */
int alias_file_walk(FILE *file, struct alias_reader *reader);

/*
 * Reads an open file from where it stands; NULL with errno: EINVAL for what is no plain file or too
 * large. malloc'ed, a NUL behind *len bytes.
 */
char *alias_file_read(int fd, size_t max, size_t *len);
