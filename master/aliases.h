/* SPDX-License-Identifier: ISC */
/*
 * The aliases file in use (keeper; lib/alias_file.h has its form). It is read whole and replaced
 * whole; when it can't be read, what was read before stays. It is looked at at most once a second.
 * One keeper, one file.
 */
#pragma once

#include "lib/alias_file.h"

#define ALIASES_LOOK_MS 1000

/* Uses that file from now on; "": none. Reads it. */
void aliases_use(const char *path);

/*
 * The alias of that name in the file in use, looking at the file's time first. *alias is NULL where
 * there is none, and valid until the next call. Returns 0, or -EAGAIN when the file is there and
 * has never been readable: nobody can say then what an address stands for.
 */
int aliases_lookup(const char *name, const struct alias **alias);

/*
 * The members of an alias as qmgr takes them (qmgr/members.h), included lists in their place,
 * nobody twice. Commands and files are named by their digest; in an included list they may not be.
 * Returns 0; -EINVAL, having logged why, when a list can't be read or has something else than
 * addresses, or lists include each other deeper than ALIASES_INCLUDE_DEPTH; -ENOMEM.
 */
int aliases_members(const struct alias *alias, struct address_list *out);

#define ALIASES_INCLUDE_DEPTH 5
#define ALIASES_INCLUDE_MAX   (16u << 20) /* bytes of an included list */
