/* SPDX-License-Identifier: ISC */
/*
 * Lists of addresses as the aliases file, lists it includes and .forward files have them, separated
 * by commas:
 *
 *   user, user@domain, "quoted local part"@domain, <any of these>, Words <any of these>
 *   \user               the user's mailbox, whatever aliases and .forward say
 *   |command            a command for /bin/sh; "|command, with a comma" and |"command" are the same
 *   /file, "/file"      a file to append to
 *   :include:/file      the addresses in that file, ":include:/file" too
 *   @domain             whoever was meant, at that domain; only in a list that is `wild`
 *
 * Who reads a list decides which of these may be in it. A member is kept as one text whose first
 * byte says what it is: | / : or else an address, without <> and the quotes around a whole.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "lib/local.h"

#define ADDRESS_LIST_ADDRESS_MAX 256  /* bytes; RFC 5321 §4.5.3.1.3 */
#define ADDRESS_LIST_OTHER_MAX   2000 /* bytes of a command, a file's or an included list's name */
#define ADDRESS_LIST_MAX         100000 /* members */
#define ADDRESS_LIST_INCLUDE     ":include:"

struct address_list {
	size_t n;
	char **v;
	bool wild; /* may have @domain: the same local part there (alias @domain) */
};

/*
 * Adds what stands between commas; white space around members and empty ones are nothing. Returns
 * 0; -EINVAL when there was something that is none of the above, or the list is full: all others
 * are in the list then; -ENOMEM.
 */
int address_list_add(struct address_list *list, const char *text, size_t len);

/* The same of a file's content: each line is a list, one whose first character is # a comment. */
int address_list_add_lines(struct address_list *list, const char *text, size_t len);

/* One member as it is; 0 or -ENOMEM. */
int address_list_put(struct address_list *list, const char *member, size_t len);

void address_list_free(struct address_list *list);

/* Whether a member is an address: no command, file or included list. */
bool address_list_is_address(const char *member);

/* The name of an included list's file, NULL for any other member. */
const char *address_list_included(const char *member);

/* What a member is called outside the file: the first bytes of a hash of its text, in hexadecimal.
 */
void address_list_digest(const char *member, char out[LOCAL_DIGEST_LEN + 1]);

/* The command or file of that digest, or NULL. */
const char *address_list_entry(const struct address_list *list, const char *digest);

/* The first `c` in len bytes outside of quotes and <>; len when there is none. */
size_t address_list_outside(const char *text, size_t len, char c);
