/* SPDX-License-Identifier: ISC */
/*
 * The map of a punched segment, the file NAME.live beside it: where the records are that lived when
 * holes were punched. A lost index is rebuilt by walking from record to record; over the holes only
 * this map leads. It is on disk before the first hole is, and never changes but for one that takes
 * its place whole. Functions wait for the disk: for helper threads and the start.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

struct livemap {
	uint64_t nonce; /* of the segment's life */
	uint64_t end;   /* where its records end */
	size_t n;
	uint64_t *places; /* offsets of the records, rising */
};

/* Writes it, synced, in the place of an older one. 0 or -E...: then the older one stands. */
int livemap_write(uint64_t name, const struct livemap *map);

/* Reads it; places are malloc'ed. 0, -ENOENT when there is none, -EBADMSG when it is broken. */
int livemap_read(uint64_t name, struct livemap *map);

/* The first place that isn't before `at`; map->end when there is none. */
uint64_t livemap_next(const struct livemap *map, uint64_t at);
