/* SPDX-License-Identifier: ISC */
/*
 * A map made of an aliases file (keeper): names to members, in an LMDB file of its own. It is built
 * aside by one thread, which nobody else sees, then opened for look-ups and never written again; a
 * new one takes its place by rename(). Look-ups read mapped pages and allocate nothing.
 *
 * A map knows of which file it was made (struct map_source): one that was made earlier of the same
 * file is as good as a new one.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>

#include "lib/alias_file.h"

#define MAP_SIZE_MAX    (4ull << 30) /* bytes of a map: address space, used as far as needed */
#define MAP_COMMIT_EACH 5000         /* names: what a build holds in memory at a time */

/* The file that a map was made of. All zero: none. */
struct map_source {
	uint64_t dev, ino, size, mtime_ns;
	uint64_t path; /* a hash */
};

struct map_source map_source(const char *path, const struct stat *st);
bool map_source_is(const struct map_source *a, const struct map_source *b);

/* What is known of a map as a whole. */
struct map_facts {
	struct map_source source;
	uint64_t names;
	bool by_domain; /* some names have a domain: an address is more than its local part */
};

/* What a name stands for; its members are valid while the map is open. */
struct map_alias {
	char name[ALIASES_NAME_MAX + 1]; /* as it is in the map */
	bool broken;
	const char *members; /* texts, a NUL behind each */
	size_t len;
};

/* The next member; NULL behind the last. *pos is 0 to begin with. */
const char *map_member(const struct map_alias *alias, size_t *pos);

struct map;

/* Opens one. -ENOENT; -EBADMSG for what is no whole map of this form; or another errno. */
int map_open(const char *path, struct map **map);
void map_close(struct map *map);
const struct map_facts *map_facts(const struct map *map);

/* The alias of that name (lower case). 0, -ENOENT, or why the map can't be read. */
int map_find(const struct map *map, const char *name, struct map_alias *alias);

struct map_build;

/* Begins a map at that path, which is made anew. */
int map_build(const char *path, struct map_build **build);
/* One more; -EEXIST for a name that is there (the first counts), or an errno: nothing fits any
 * more. */
int map_build_add(struct map_build *build, const struct alias_entry *alias);
/* All are in: it is whole, and safe on disk. Frees `build` in any case. */
int map_build_end(struct map_build *build, const struct map_source *source);
/* Not wanted any more; the file stays, unusable. */
void map_build_drop(struct map_build *build);
