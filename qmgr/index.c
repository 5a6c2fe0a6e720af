/* SPDX-License-Identifier: ISC */
/*
 * LMDB with MDB_NOLOCK: the spool lock keeps other qmgrs out, and reads and writes happen on one
 * thread one after the other, so no page that a reader looks at is ever reused under it. With
 * MDB_NOMETASYNC a commit is one fdatasync of data pages.
 *
 * Two marks beside the database: `starting` grows by a byte at each start and goes away when one
 * went well, so an index that kills the process is put aside at the third try; `abandoned` says
 * that a write or sync failed.
 */
#include "qmgr/index.h"

#include <errno.h>
#include <fcntl.h>
#include <lmdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "lib/clock.h"
#include "lib/log.h"
#include "qmgr/keys.h"

#define STARTS_MAX 2 /* starts that may end badly before the index is put aside */
#define STARTING   "starting"
#define AUDITING   "auditing"

static struct {
	char dir[4000];
	MDB_env *env;
	MDB_dbi table[TABLES];
	MDB_txn *read; /* reset between reads */
	bool reading;
	bool reserved;  /* the reserve file is there */
	uint64_t ahead; /* bytes of the file that have blocks */
} ix;

static const char *const table_names[TABLES] = {
    [TABLE_MSG] = "msg",
    [TABLE_RCPT] = "rcpt",
    [TABLE_DUE] = "due",
    [TABLE_SEG] = "seg",
    [TABLE_META] = "meta",
    [TABLE_SITE] = "site",
};

/* from_mdb - LMDB's codes as ours */
static int from_mdb(int rc)
{
	switch (rc) {
	case 0:
		return 0;
	case MDB_NOTFOUND:
		return -ENOENT;
	case MDB_MAP_FULL:
		return -ENOSPC;
	case MDB_KEYEXIST:
	case MDB_CORRUPTED:
	case MDB_PAGE_NOTFOUND:
	case MDB_PANIC:
	case MDB_INVALID:
	case MDB_VERSION_MISMATCH:
	case MDB_INCOMPATIBLE:
		return -EBADMSG;
	default:
		return rc > 0 ? -rc : -EINVAL;
	}
}

/* path - a name in the index's folder */
static const char *path(char *buf, size_t size, const char *name)
{
	snprintf(buf, size, "%s/%s", ix.dir, name);
	return buf;
}

/* check_format - an index of another form is as good as a broken one; a new one gets its mark */
static int check_format(MDB_txn *txn)
{
	MDB_val key = {.mv_size = sizeof(KEYS_META_FORMAT) - 1, .mv_data = KEYS_META_FORMAT}, v;
	MDB_val format = {.mv_size = sizeof(KEYS_FORMAT) - 1, .mv_data = KEYS_FORMAT};
	MDB_stat st;
	int rc = mdb_get(txn, ix.table[TABLE_META], &key, &v);
	if (!rc)
		return v.mv_size == format.mv_size && !memcmp(v.mv_data, KEYS_FORMAT, v.mv_size)
			   ? 0
			   : MDB_VERSION_MISMATCH;
	if (rc != MDB_NOTFOUND)
		return rc;
	for (int i = 0; i < TABLES; i++) {
		rc = mdb_stat(txn, ix.table[i], &st);
		if (rc || st.ms_entries)
			return rc ? rc : MDB_VERSION_MISMATCH;
	}
	return mdb_put(txn, ix.table[TABLE_META], &key, &format, 0);
}

/* open_tables - the tables, made if they aren't there */
static int open_tables(void)
{
	MDB_txn *txn;
	int rc = mdb_txn_begin(ix.env, NULL, 0, &txn);
	if (rc)
		return from_mdb(rc);
	for (int i = 0; !rc && i < TABLES; i++)
		rc = mdb_dbi_open(txn, table_names[i], MDB_CREATE, &ix.table[i]);
	if (!rc)
		rc = check_format(txn);
	if (rc)
		mdb_txn_abort(txn);
	else
		rc = mdb_txn_commit(txn);
	return from_mdb(rc);
}

/*
 * check_extent - the pages that the database says it has are in the file, but for some at its end
 * that were freed before they were written. A damaged number would make LMDB write far behind the
 * end, and let it believe that its map is full.
 */
static int check_extent(void)
{
	MDB_envinfo info;
	mdb_filehandle_t fd;
	struct stat st;
	int rc = mdb_env_info(ix.env, &info);
	if (!rc)
		rc = mdb_env_get_fd(ix.env, &fd);
	if (rc)
		return from_mdb(rc);
	if (fstat(fd, &st))
		return -errno;
	return info.me_last_pgno > ((uint64_t)st.st_size + INDEX_AHEAD) / 4096 ? -EBADMSG : 0;
}

/* open_env - the environment and its tables */
static int open_env(uint64_t map_size)
{
	const unsigned flags = MDB_NOMETASYNC | MDB_NOLOCK | MDB_NORDAHEAD | MDB_NOTLS;
	int rc = mdb_env_create(&ix.env);
	if (rc)
		return from_mdb(rc);
	mdb_env_set_mapsize(ix.env, map_size);
	mdb_env_set_maxdbs(ix.env, TABLES);
	rc = mdb_env_open(ix.env, ix.dir, flags, 0600);
	int err = rc ? from_mdb(rc) : check_extent();
	if (!err)
		err = open_tables();
	if (!err)
		err = from_mdb(mdb_txn_begin(ix.env, NULL, MDB_RDONLY, &ix.read));
	if (err) {
		mdb_env_close(ix.env);
		ix.env = NULL;
		return err;
	}
	mdb_txn_reset(ix.read);
	ix.ahead = 0;
	ix.reserved = false;
	index_reserve();
	return 0;
}

/* put_aside - rename the folder, so that a person can look at it */
static int put_aside(const char *why)
{
	char to[4096];
	snprintf(to, sizeof(to), "%s.broken-%llu", ix.dir, (unsigned long long)clock_wall_ms());
	if (rename(ix.dir, to))
		return -errno;
	log_error("index: %s; put aside as %s and rebuilt from the segments", why, to);
	return mkdir(ix.dir, 0700) ? -errno : 0;
}

/* count - one more in a mark's file, which index_started() or index_audited() takes away; how many
 */
static long count(const char *mark)
{
	char name[4096];
	struct stat st;
	int fd =
	    open(path(name, sizeof(name), mark), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
	if (fd < 0)
		return 0;
	if (write(fd, "+", 1) != 1)
		log_warn("index: %s", name);
	long n = fstat(fd, &st) ? 0 : (long)st.st_size;
	close(fd);
	return n;
}

/* counted - without one more */
static long counted(const char *mark)
{
	char name[4096];
	struct stat st;
	return stat(path(name, sizeof(name), mark), &st) ? 0 : (long)st.st_size;
}

/* uncount - what was feared hasn't come */
static void uncount(const char *mark)
{
	char name[4096];
	if (unlink(path(name, sizeof(name), mark)) && errno != ENOENT)
		log_warn("index: %s", name);
}

/* index_open - open, or put a broken one aside and begin a new one */
int index_open(const char *dir, uint64_t map_size, bool *fresh)
{
	char name[4096];
	int err = 0;
	snprintf(ix.dir, sizeof(ix.dir), "%s", dir);
	if (mkdir(dir, 0700) && errno != EEXIST)
		return -errno;
	*fresh = access(path(name, sizeof(name), "data.mdb"), F_OK) != 0;
	if (access(path(name, sizeof(name), "abandoned"), F_OK) == 0)
		err = put_aside("a write had failed");
	else if (count(STARTING) > STARTS_MAX || counted(AUDITING) >= INDEX_AUDITS_MAX)
		err = put_aside("the last starts with it failed");
	else
		goto open;
	*fresh = true;
	if (err)
		return err;
	count(STARTING);
open:
	err = open_env(map_size);
	if (!err || err == -ENOSPC || err == -ENOMEM || err == -EACCES || err == -EROFS)
		return err;
	log_warnc(err, "index: %s can't be opened", dir);
	*fresh = true;
	err = put_aside("unreadable");
	if (err)
		return err;
	count(STARTING);
	return open_env(map_size);
}

/* index_started - forget the failed starts */
void index_started(void)
{
	uncount(STARTING);
}

/* index_auditing - from here on reading it may end the process */
void index_auditing(void)
{
	count(AUDITING);
}

/* index_audited - it didn't */
void index_audited(void)
{
	uncount(AUDITING);
}

/* index_abandon - leave a mark for the next start */
void index_abandon(void)
{
	char name[4096];
	int fd = open(path(name, sizeof(name), "abandoned"), O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	if (fd < 0)
		log_warn("index: %s", name);
	else
		close(fd);
}

/* index_close - sync and close */
void index_close(void)
{
	if (!ix.env)
		return;
	mdb_txn_abort(ix.read);
	mdb_env_sync(ix.env, 1);
	mdb_env_close(ix.env);
	ix.env = NULL;
	ix.reading = false;
}

/* -- changes */

/* index_ops_init - an empty list of changes */
void index_ops_init(struct index_ops *ops)
{
	wire_out_grow(&ops->out, SIZE_MAX / 2);
	ops->count = 0;
}

/* index_ops_reset - empty it, keep the memory */
void index_ops_reset(struct index_ops *ops)
{
	wire_out_reset(&ops->out);
	ops->count = 0;
}

/* index_ops_free - give the memory back */
void index_ops_free(struct index_ops *ops)
{
	wire_out_free(&ops->out);
}

/* put_op - one change: what, table, lengths, key, value */
static void put_op(struct index_ops *ops, uint8_t put, enum index_table table, const void *key,
    size_t key_len, const void *value, size_t len)
{
	wire_put_u8(&ops->out, put);
	wire_put_u8(&ops->out, (uint8_t)table);
	wire_put_bytes(&ops->out, key, key_len);
	wire_put_bytes(&ops->out, value, len);
	if (wire_out_end(&ops->out))
		log_fatal("index: out of memory for changes");
	ops->count++;
}

/* index_put - set a key's value */
void index_put(struct index_ops *ops, enum index_table table, const void *key, size_t key_len,
    const void *value, size_t len)
{
	put_op(ops, 1, table, key, key_len, value, len);
}

/* index_del - take a key away */
void index_del(struct index_ops *ops, enum index_table table, const void *key, size_t key_len)
{
	put_op(ops, 0, table, key, key_len, NULL, 0);
}

/* apply_one - the next change of the list */
static int apply_one(MDB_txn *txn, struct wire_in *in)
{
	bool put = wire_get_bool(in);
	uint8_t table = wire_get_u8(in);
	MDB_val key, value;
	key.mv_data = (void *)wire_get_bytes(in, &key.mv_size);
	value.mv_data = (void *)wire_get_bytes(in, &value.mv_size);
	if (in->err || table >= TABLES)
		log_bug("index: a list of changes is broken");
	if (put)
		return mdb_put(txn, ix.table[table], &key, &value, 0);
	int rc = mdb_del(txn, ix.table[table], &key, NULL);
	return rc == MDB_NOTFOUND ? 0 : rc;
}

/*
 * grow_ahead - give the file blocks before they are needed, so that a full disk is met here. Damage
 * may have made either the number of pages or the file too long: the disk isn't filled for that.
 */
static void grow_ahead(void)
{
	MDB_envinfo info;
	mdb_filehandle_t fd;
	struct stat st;
	if (mdb_env_info(ix.env, &info) || mdb_env_get_fd(ix.env, &fd) || fstat(fd, &st))
		return;
	uint64_t used = ((uint64_t)info.me_last_pgno + 1) * 4096;
	if (used > (uint64_t)st.st_size)
		used = (uint64_t)st.st_size;
	if (used + INDEX_AHEAD / 2 < ix.ahead)
		return;
	uint64_t to = (used / INDEX_AHEAD + 2) * INDEX_AHEAD;
	if (fallocate(fd, FALLOC_FL_KEEP_SIZE, 0, (off_t)to) == 0 || errno == EOPNOTSUPP)
		ix.ahead = to;
}

/* index_reserve - make the file if it isn't there, where that leaves enough to others */
void index_reserve(void)
{
	char name[4096];
	struct statvfs st;
	if (ix.reserved || statvfs(ix.dir, &st) ||
	    (uint64_t)st.f_bavail * st.f_frsize < 2 * (uint64_t)INDEX_RESERVE)
		return;
	int fd = open(path(name, sizeof(name), "reserve"), O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	if (fd < 0)
		return;
	ix.reserved = fallocate(fd, 0, 0, INDEX_RESERVE) == 0;
	close(fd);
	if (!ix.reserved)
		unlink(name);
}

/* give_back - the reserve, once; whether it was there */
static bool give_back(void)
{
	char name[4096];
	bool had = unlink(path(name, sizeof(name), "reserve")) == 0;
	ix.reserved = false;
	if (had)
		log_warnx("index: the disk is full; the reserve is given back");
	return had;
}

/* apply - one transaction */
static int apply(const struct index_ops *ops)
{
	MDB_txn *txn;
	struct wire_in in;
	grow_ahead();
	int rc = mdb_txn_begin(ix.env, NULL, 0, &txn);
	if (rc)
		return from_mdb(rc);
	wire_in_init(&in, ops->out.base, ops->out.len);
	while (!rc && wire_left(&in))
		rc = apply_one(txn, &in);
	if (rc)
		mdb_txn_abort(txn);
	else
		rc = mdb_txn_commit(txn);
	return from_mdb(rc);
}

/* index_apply - one transaction, with the reserve's space if there is no other */
int index_apply(const struct index_ops *ops)
{
	int err = apply(ops);
	return err == -ENOSPC && give_back() ? apply(ops) : err;
}

/* index_sync - make the last commit safe */
int index_sync(void)
{
	return from_mdb(mdb_env_sync(ix.env, 1));
}

/* -- reading */

/* index_read_begin - a snapshot */
int index_read_begin(void)
{
	int rc = mdb_txn_renew(ix.read);
	ix.reading = rc == 0;
	return from_mdb(rc);
}

/* index_read_end - give the snapshot up */
void index_read_end(void)
{
	if (ix.reading)
		mdb_txn_reset(ix.read);
	ix.reading = false;
}

/* from_val - LMDB's pointer and length as ours */
static struct msg_bytes from_val(const MDB_val *val)
{
	return (struct msg_bytes){.data = val->mv_data, .len = (uint32_t)val->mv_size};
}

/* index_get - one value */
int index_get(enum index_table table, const void *key, size_t key_len, struct msg_bytes *value)
{
	MDB_val k = {.mv_size = key_len, .mv_data = (void *)key}, v;
	int rc = mdb_get(ix.read, ix.table[table], &k, &v);
	if (rc == 0)
		*value = from_val(&v);
	return from_mdb(rc);
}

/* index_walk - entries in order */
int index_walk(enum index_table table, const void *start, size_t len, index_walk_fn *fn, void *arg)
{
	MDB_cursor *cursor;
	MDB_val k = {.mv_size = len, .mv_data = (void *)start}, v;
	int ret = 0;
	int rc = mdb_cursor_open(ix.read, ix.table[table], &cursor);
	if (rc)
		return from_mdb(rc);
	rc = mdb_cursor_get(cursor, &k, &v, len ? MDB_SET_RANGE : MDB_FIRST);
	while (!rc) {
		struct msg_bytes seek = {0};
		ret = fn(from_val(&k), from_val(&v), &seek, arg);
		if (ret)
			break;
		if (seek.len) {
			k = (MDB_val){.mv_size = seek.len, .mv_data = (void *)seek.data};
			rc = mdb_cursor_get(cursor, &k, &v, MDB_SET_RANGE);
		} else {
			rc = mdb_cursor_get(cursor, &k, &v, MDB_NEXT);
		}
	}
	mdb_cursor_close(cursor);
	return rc && rc != MDB_NOTFOUND ? from_mdb(rc) : ret;
}

/* index_count - entries of a table */
uint64_t index_count(enum index_table table)
{
	MDB_stat st;
	return mdb_stat(ix.read, ix.table[table], &st) ? 0 : st.ms_entries;
}
