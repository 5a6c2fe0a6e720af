/* SPDX-License-Identifier: ISC */
/*
 * Hash tables and lists: uthash and utlist, only ever included through this header. Two things
 * differ from plain uthash:
 *
 * - The hash function is XXH3 with a random seed of this process, since the keys are often what a
 *   peer chose (addresses, domains, IPs) and must not be chosen to collide.
 * - Running out of memory isn't fatal. After HASH_ADD...() the element is in the table only if its
 *   hh.tbl isn't NULL; hash_added() says so. Where a peer decides how many elements there are this
 *   must be checked:
 *
 *       struct client { char ip[46]; unsigned n; UT_hash_handle hh; };
 *       HASH_ADD_STR(clients, ip, c);
 *       if (!hash_added(c)) { free(c); return -ENOMEM; }
 *
 * Keys must have no padding bytes, or be zeroed first. An element isn't moved in memory while it is
 * in a table. Never keep a value of hash_bytes(): another process, or this one started again, has
 * another seed.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

/* The keyed hash of n bytes: for tables of uthash, and for other choices that peers mustn't steer.
 */
uint64_t hash_bytes(const void *key, size_t n);

/* The same with a seed of the caller's, for a table that several processes share. */
uint64_t hash_seeded(const void *key, size_t n, uint64_t with);

/*
 * The same everywhere and always, for what is kept on disk. Peers can steer it: never for a table.
 */
uint64_t hash_stable(const void *key, size_t n);

#ifdef UTHASH_H
#error "include lib/hash.h, not uthash.h"
#endif
#define HASH_NONFATAL_OOM                    1
#define HASH_FUNCTION(keyptr, keylen, hashv) ((hashv) = (unsigned)hash_bytes((keyptr), (keylen)))

#include <uthash.h>
#include <utlist.h>

/* Did HASH_ADD...() find the memory to take the element in? */
#define hash_added(element) ((element)->hh.tbl != NULL)
