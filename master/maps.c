/* SPDX-License-Identifier: ISC */
/*
 * One file a map (MDB_NOSUBDIR), without locks: while it is built one thread knows of it,
 * afterwards nobody writes. Syncs are left out but for the last: a map that was cut short has no
 * facts in it, which are written behind everything else. One read transaction a map is enough for
 * its life.
 */
#include "master/maps.h"

#include <errno.h>
#include <lmdb.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <xxhash.h>

/* Of the facts; no name has a line end. */
#define FACTS_KEY  "\nfacts"
#define FACTS_FORM 1u

/* As they lie in the map. */
struct facts_row {
	uint32_t form;
	uint32_t by_domain;
	uint64_t names;
	struct map_source source;
};

struct map {
	MDB_env *env;
	MDB_txn *txn;
	MDB_dbi dbi;
	struct map_facts facts;
};

struct map_build {
	MDB_env *env;
	MDB_txn *txn;
	MDB_dbi dbi;
	unsigned pending; /* names since the last commit */
	struct map_facts facts;
	char *value;
	size_t room;
};

/* map_source - by identity, size and time */
struct map_source map_source(const char *path, const struct stat *st)
{
	return (struct map_source){.dev = st->st_dev,
	    .ino = st->st_ino,
	    .size = (uint64_t)st->st_size,
	    .mtime_ns = (uint64_t)st->st_mtim.tv_sec * 1000000000u + (uint64_t)st->st_mtim.tv_nsec,
	    .path = XXH3_64bits(path, strlen(path))};
}

/* map_source_is - the same */
bool map_source_is(const struct map_source *a, const struct map_source *b)
{
	return a->dev == b->dev && a->ino == b->ino && a->size == b->size &&
	       a->mtime_ns == b->mtime_ns && a->path == b->path;
}

/* to_errno - LMDB's own codes are negative, those of the system positive */
static int to_errno(int rc)
{
	switch (rc) {
	case MDB_SUCCESS:
		return 0;
	case MDB_NOTFOUND:
		return -ENOENT;
	case MDB_KEYEXIST:
		return -EEXIST;
	case MDB_MAP_FULL:
		return -EFBIG;
	default:
		return rc > 0 ? -rc : -EBADMSG;
	}
}

/* text_val - bytes as LMDB takes them */
static MDB_val text_val(const char *text, size_t len)
{
	return (MDB_val){.mv_data = (void *)text, .mv_size = len};
}

/* new_env - a handle on the file */
static int new_env(const char *path, unsigned flags, MDB_env **env)
{
	*env = NULL;
	int rc = mdb_env_create(env);
	if (!rc)
		rc = mdb_env_set_mapsize(*env, MAP_SIZE_MAX);
	if (!rc)
		rc = mdb_env_open(*env, path, MDB_NOSUBDIR | MDB_NOLOCK | flags, 0600);
	if (rc && *env) {
		mdb_env_close(*env);
		*env = NULL;
	}
	return to_errno(rc);
}

/* read_facts - 0, or -EBADMSG for a map that isn't whole, or of another form */
static int read_facts(struct map *map)
{
	MDB_val key = text_val(FACTS_KEY, sizeof(FACTS_KEY) - 1), data;
	struct facts_row row;
	int rc = mdb_get(map->txn, map->dbi, &key, &data);
	if (rc)
		return rc == MDB_NOTFOUND ? -EBADMSG : to_errno(rc);
	if (data.mv_size != sizeof(row))
		return -EBADMSG;
	memcpy(&row, data.mv_data, sizeof(row));
	if (row.form != FACTS_FORM)
		return -EBADMSG;
	map->facts = (struct map_facts){row.source, row.names, row.by_domain};
	return 0;
}

/* map_open - for look-ups */
int map_open(const char *path, struct map **out)
{
	struct map *map = calloc(1, sizeof(*map));
	*out = NULL;
	if (!map)
		return -ENOMEM;
	int e = new_env(path, MDB_RDONLY | MDB_NORDAHEAD, &map->env);
	if (!e)
		e = to_errno(mdb_txn_begin(map->env, NULL, MDB_RDONLY, &map->txn));
	if (!e)
		e = to_errno(mdb_dbi_open(map->txn, NULL, 0, &map->dbi));
	if (!e)
		e = read_facts(map);
	if (e)
		map_close(map);
	else
		*out = map;
	return e;
}

/* map_close - and what was found in it */
void map_close(struct map *map)
{
	if (!map)
		return;
	if (map->txn)
		mdb_txn_abort(map->txn);
	if (map->env)
		mdb_env_close(map->env);
	free(map);
}

/* map_facts - of an open map */
const struct map_facts *map_facts(const struct map *map)
{
	return &map->facts;
}

/* map_find - a name */
int map_find(const struct map *map, const char *name, struct map_alias *alias)
{
	MDB_val key = text_val(name, strlen(name)), data;
	if (key.mv_size == 0 || key.mv_size > ALIASES_NAME_MAX)
		return -ENOENT;
	int rc = mdb_get(map->txn, map->dbi, &key, &data);
	if (rc)
		return to_errno(rc);
	const char *bytes = data.mv_data;
	if (data.mv_size < 1 || bytes[data.mv_size - 1] != '\0')
		return -EBADMSG;
	if (data.mv_size < 2)
		return -EBADMSG;
	memcpy(alias->name, name, key.mv_size + 1);
	alias->broken = bytes[0] == '!';
	alias->members = bytes + 2;
	alias->len = data.mv_size - 2;
	return 0;
}

/* map_member - one after the other */
const char *map_member(const struct map_alias *alias, size_t *pos)
{
	if (*pos >= alias->len)
		return NULL;
	const char *member = alias->members + *pos;
	*pos += strlen(member) + 1; /* the last byte of all is a NUL */
	return member;
}

/* begin - the next transaction of a build */
static int begin(struct map_build *b)
{
	b->pending = 0;
	int rc = mdb_txn_begin(b->env, NULL, 0, &b->txn);
	if (!rc)
		rc = mdb_dbi_open(b->txn, NULL, 0, &b->dbi);
	return to_errno(rc);
}

/* map_build - an empty map */
int map_build(const char *path, struct map_build **out)
{
	*out = NULL;
	if (unlink(path) != 0 && errno != ENOENT)
		return -errno;
	struct map_build *b = calloc(1, sizeof(*b));
	if (!b)
		return -ENOMEM;
	int e = new_env(path, MDB_NOSYNC | MDB_NOMEMINIT, &b->env);
	if (!e)
		e = begin(b);
	if (e)
		map_build_drop(b);
	else
		*out = b;
	return e;
}

/* map_build_drop - give it up */
void map_build_drop(struct map_build *b)
{
	if (b->txn)
		mdb_txn_abort(b->txn);
	if (b->env)
		mdb_env_close(b->env);
	free(b->value);
	free(b);
}

/* pack - an alias as it lies in the map: a byte that says whether it is broken, a NUL, the members
 */
static int pack(struct map_build *b, const struct alias_entry *a, size_t *len)
{
	*len = 2;
	for (size_t i = 0; i < a->members.n; i++)
		*len += strlen(a->members.v[i]) + 1;
	if (*len > b->room) {
		char *value = realloc(b->value, *len * 2);
		if (!value)
			return -ENOMEM;
		b->value = value;
		b->room = *len * 2;
	}
	char *to = b->value;
	*to++ = a->broken ? '!' : '=';
	*to++ = '\0';
	for (size_t i = 0; i < a->members.n; i++) {
		size_t n = strlen(a->members.v[i]) + 1;
		memcpy(to, a->members.v[i], n);
		to += n;
	}
	return 0;
}

/* commit - what was put so far, and go on */
static int commit(struct map_build *b)
{
	MDB_txn *txn = b->txn;
	b->txn = NULL; /* it is gone either way */
	int e = to_errno(mdb_txn_commit(txn));
	return e ? e : begin(b);
}

/* map_build_add - one name */
int map_build_add(struct map_build *b, const struct alias_entry *a)
{
	size_t len;
	int e = pack(b, a, &len);
	if (e)
		return e;
	MDB_val key = text_val(a->name, strlen(a->name)), data = text_val(b->value, len);
	e = to_errno(mdb_put(b->txn, b->dbi, &key, &data, MDB_NOOVERWRITE));
	if (e)
		return e;
	b->facts.names++;
	b->facts.by_domain |= memchr(key.mv_data, '@', key.mv_size) != NULL;
	return ++b->pending < MAP_COMMIT_EACH ? 0 : commit(b);
}

/* map_build_end - the facts, then the one sync */
int map_build_end(struct map_build *b, const struct map_source *source)
{
	struct facts_row row = {.form = FACTS_FORM,
	    .by_domain = b->facts.by_domain,
	    .names = b->facts.names,
	    .source = *source};
	MDB_val key = text_val(FACTS_KEY, sizeof(FACTS_KEY) - 1);
	MDB_val data = {.mv_data = &row, .mv_size = sizeof(row)};
	/* everything first: with one sync the facts could be on disk before what they vouch for */
	int e = commit(b);
	if (!e)
		e = to_errno(mdb_env_sync(b->env, 1));
	if (!e)
		e = to_errno(mdb_put(b->txn, b->dbi, &key, &data, 0));
	if (!e)
		e = commit(b);
	if (!e)
		e = to_errno(mdb_env_sync(b->env, 1));
	map_build_drop(b);
	return e;
}
