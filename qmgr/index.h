/* SPDX-License-Identifier: ISC */
/*
 * The index: the LMDB environment spool/index with the tables of qmgr/keys.h. This is the only
 * file of qmgr that knows LMDB. It is used by one thread at a time: at start-up by main, afterwards
 * by the index thread (qmgr/work.h); there is no reader beside the writer, so it needs no locks.
 *
 * A commit writes and syncs the data pages; the page that makes it count is synced by the next
 * commit or by index_sync(). After a power failure the index is therefore whole, but may be one
 * commit older: nothing may be thrown away on the strength of a commit before index_sync().
 *
 * Errors: -ENOSPC (disk or map full): nothing changed, may be tried again. All others mean that
 * this index can't be trusted any more: index_abandon(), and the process starts anew.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "lib/msg.h"
#include "lib/wire.h"

#define INDEX_MAP_SIZE (sizeof(void *) > 4 ? UINT64_C(64) << 30 : UINT64_C(512) << 20)
#define INDEX_AHEAD    (8u << 20) /* the file is grown by so much before it is needed */
#define INDEX_RESERVE  (32u << 20)

enum index_table { TABLE_MSG, TABLE_RCPT, TABLE_DUE, TABLE_SEG, TABLE_META, TABLE_SITE, TABLES };

/*
 * Opens folder `dir` (made if it isn't there) with a map of map_size bytes. *fresh says that there
 * was none, or none that could be used: a broken one is renamed aside, and so is one during whose
 * last two starts the process died. Returns 0 or -E....
 */
int index_open(const char *dir, uint64_t map_size, bool *fresh);
void index_close(void);

/* The start went well: the next start trusts the index again. */
void index_started(void);

#define INDEX_AUDITS_MAX 3 /* starts whose audit may end badly before the index is put aside */

/* The audit goes on, it is through: see qmgr/audit.h. */
void index_auditing(void);
void index_audited(void);

/*
 * Keeps a file of INDEX_RESERVE bytes that is given back when a commit finds the disk full:
 * deleting from the index needs pages too. Makes it anew when there is room for twice as much;
 * called now and then, on the index thread.
 */
void index_reserve(void);

/* Marks the index as not to be trusted: the next index_open() renames it aside. */
void index_abandon(void);

/* -- changes: gathered as bytes, applied as one transaction ------------------------------------ */

struct index_ops {
	struct wire_out out;
	uint32_t count;
};

void index_ops_init(struct index_ops *ops);
void index_ops_reset(struct index_ops *ops);
void index_ops_free(struct index_ops *ops);
/* Out of memory aborts: these are our own few bytes. */
void index_put(struct index_ops *ops, enum index_table table, const void *key, size_t key_len,
    const void *value, size_t len);
void index_del(struct index_ops *ops, enum index_table table, const void *key, size_t key_len);

/* Applies them all or none. 0 or -E... (deleting what isn't there is no error). */
int index_apply(const struct index_ops *ops);

/* Everything applied so far survives a power failure. 0 or -E.... */
int index_sync(void);

/* -- reading: slices; nothing here may be kept beyond index_read_end() --------------------------
 */

int index_read_begin(void);
void index_read_end(void);

/* Within a read: the value of a key. 0, -ENOENT or -E.... */
int index_get(enum index_table table, const void *key, size_t key_len, struct msg_bytes *value);

/*
 * Within a read: calls fn for each entry from `start` on (the first key that isn't smaller) until
 * it returns something else than 0, which is returned; 0 at the table's end; -E.... fn may call
 * index_get(), and may replace *seek: the walk then goes on at that key instead of the next one
 * (seek->len > 0; it has to be larger than the current key).
 */
typedef int index_walk_fn(
    struct msg_bytes key, struct msg_bytes value, struct msg_bytes *seek, void *arg);
int index_walk(enum index_table table, const void *start, size_t len, index_walk_fn *fn, void *arg);

/* Entries of a table, within a read. */
uint64_t index_count(enum index_table table);
