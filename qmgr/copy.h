/* SPDX-License-Identifier: ISC */
/*
 * The files' side of qmgr/compact.h: records copied from one segment's file into another, and the
 * done lists and map that settle which of the two a record belongs to. These functions wait for the
 * disk and are called on the files thread.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "qmgr/livemap.h"
#include "qmgr/living.h"

#define COPY_SLICE (1u << 20) /* bytes copied before others get in between */

struct copy {
	/* the caller's */
	uint64_t source, source_nonce, first_id;
	uint64_t name, nonce;
	const struct living_record *v;
	size_t n;
	/* what came of it: the map's places are of what was copied; v[took[i]] each */
	struct livemap map;
	size_t *took;
	size_t next; /* of v */
	bool more;
	int err;
	int in, out; /* -1 at first */
};

/*
 * Copies a slice: each record is checked whole, and written with header and trailer for its new
 * place. One that has rotted is left out (logged). With the last one everything is synced, the map
 * is written, the file gets its name, the folder is synced: !more. With err nothing is left.
 */
void copy_some(struct copy *copy);
void copy_clear(struct copy *copy);

/*
 * Settles what belongs where once the moves are synced: `living` is what lives in the source still.
 * Each done list gets what the other one knows of what is here, the source's also the records that
 * moved; the map is written without what didn't. May be repeated. 0 or -E....
 */
int copy_settle(uint64_t name, const struct living *living);
