/* SPDX-License-Identifier: ISC */
/*
 * The hot part of the cache on disk, so that a new process begins with what the last one knew: the
 * entries used last, up to SAVED_BYTES_MAX, written each minute by a thread of their own (the loop
 * doesn't wait for the disk) and at the end. master opens the file; nothing here knows a path.
 *
 * What is read back is believed no more than an answer from the network: form, names, records and
 * times are checked entry by entry, and a file that was cut short or comes from another version is
 * as good as none. Answers that ran out meanwhile are taken as old ones, for the case that no
 * server answers; failures aren't saved.
 *
 * File: "BatonDNS" | version u32 | octets of entries u32 | XXH3 of them u64 | entries, the most
 * recently used first: type u16 | name, counted by u8 | verdict u8 | security u8 | TTL u32 | end of
 * it, ms of the wall clock u64 | records, counted by u32.
 */
#pragma once

#include "dnscache/cache.h"

#define SAVED_VERSION   1
#define SAVED_BYTES_MAX (4u << 20)
#define SAVED_EVERY_MS  60000

/* Writes the file's content, malloc'ed. Returns its length, or -ENOMEM. */
long saved_encode(const struct cache *cache, int64_t now_ms, int64_t wall_ms, uint8_t **out);

/* Puts the content into a cache. Returns how many entries, or -EBADMSG for what isn't such a file.
 */
long saved_decode(
    struct cache *cache, const uint8_t *data, size_t len, int64_t now_ms, int64_t wall_ms);

/*
 * Loads the cache from a file, which is taken over, and saves it there from now on, every so many
 * ms; once for a process.
 */
void saved_start(int fd, struct cache *cache, unsigned every_ms);

/* The last save, at once; waits for one that is under way. */
void saved_finish(void);
