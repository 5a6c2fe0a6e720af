/* SPDX-License-Identifier: ISC */
/*
 * The map of a segment, the file NAME.live beside it: where the records are that lived when holes
 * were punched, or when they were copied here. A lost index is rebuilt by walking from record to
 * record; over the holes only this map leads. It is on disk before the first hole is, or before the
 * copies have their name, and never changes but for one that takes its place whole. Functions wait
 * for the disk: for helper threads and the start.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct livemap {
	uint64_t nonce;    /* of the segment's life */
	uint64_t end;      /* where its records end */
	uint64_t first_id; /* the segment's name; of copies: that of the segment they came from */
	uint64_t source;   /* copies: of this segment's records; 0: holes are punched */
	bool settled;      /* copies: what isn't in the map isn't here; false: it may live there */
	size_t n;
	uint64_t *places; /* offsets of the records, rising */
	uint64_t *from;   /* copies: where each was in the source; else NULL */
};

/* Writes it, synced, in the place of an older one. 0 or -E...: then the older one stands. */
int livemap_write(uint64_t name, const struct livemap *map);

/* Reads it, to be cleared. 0, -ENOENT when there is none, -EBADMSG when it is broken. */
int livemap_read(uint64_t name, struct livemap *map);

/* Frees places and from. */
void livemap_clear(struct livemap *map);

/* The index of `at` among n rising numbers (places or from); n: it isn't there. */
size_t livemap_find(const uint64_t *v, size_t n, uint64_t at);

/* The first place that isn't before `at`; map->end when there is none. */
uint64_t livemap_next(const struct livemap *map, uint64_t at);
