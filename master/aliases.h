/* SPDX-License-Identifier: ISC */
/*
 * The aliases file in use (keeper; lib/alias_file.h has its form): a map of it (master/maps.h) in
 * the folder `maps` of the spool answers. The file's identity, size and time are looked at when
 * somebody asks, at most once in ALIASES_LOOK_MS. When it is another one a thread makes a new map
 * beside the one in use, which answers meanwhile; a file that can't be read, or is no text, leaves
 * it in use and is complained of. What asks right after a change waits for the new map, but not
 * longer than ALIASES_GRACE_MS where there is an old one.
 *
 * Nothing of the file stays in memory. Where the map can't be written nobody can tell what an
 * address stands for: the log says why, and mail waits. One keeper, one file.
 */
#pragma once

#include "master/maps.h"

#define ALIASES_LOOK_MS  1000
#define ALIASES_GRACE_MS 250
#define ALIASES_RETRY_MS 10000  /* a map that couldn't be made is tried again */
#define ALIASES_SAID_MAX 100    /* mistakes of a file that are logged; the rest is counted */
#define ALIASES_FOLDER   "maps" /* in the spool */

/* Uses that file from now on; "": none. folder: where its map is kept. */
void aliases_use(const char *path, const char *folder);

/* Calls `then`, at once unless the map is to be waited for. */
typedef void aliases_then(void *arg);
void aliases_when_ready(aliases_then *then, void *arg);

/*
 * The alias of that name in the map in use. 0 and the alias, valid until the loop's next turn;
 * -ENOENT; or -EAGAIN when there is a file and no map of it.
 */
int aliases_lookup(const char *name, struct map_alias *alias);

/* Whether some of the names have a domain. */
bool aliases_by_domain(void);

/* Makes the map anew, whether the file has changed or not; then calls `done` with words for people.
 */
typedef void aliases_done(bool ok, const char *words, void *arg);
void aliases_rebuild(aliases_done *done, void *arg);

/*
 * The members of an alias as qmgr takes them (qmgr/member.h), included lists in their place,
 * nobody twice. Of a name with a domain a member without one is at `origin`; @domain gets `local`,
 * the local part that was asked for. Commands and files are named by their digest; in an included
 * list they may not be. Returns 0; -EINVAL, having logged why, when a list can't be read or has
 * something else than addresses, or lists include each other deeper than ALIASES_INCLUDE_DEPTH;
 * -ENOMEM.
 */
int aliases_members(
    const struct map_alias *alias, const char *local, const char *origin, struct address_list *out);

#define ALIASES_INCLUDE_DEPTH 5
#define ALIASES_INCLUDE_MAX   (16u << 20) /* bytes of an included list */
