/* SPDX-License-Identifier: ISC */
/*
 * The form of a done list, the file NAME.done beside a segment: what of its records must not be
 * sent again. An entry is a record that has ended, or one recipient of a record that others still
 * wait for; a recipient is named by a hash of its address, which is the same after an alias has
 * been expanded anew.
 *
 * The file is never synced; each entry carries a check, so that what a power failure leaves of it
 * (zeros) isn't taken for one. Functions wait for the disk: for helper threads and the start.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "lib/msg.h"

#define DONE_ALL   0 /* `who` of an entry for the whole record: it has ended */
#define DONE_MOVED 1 /* the same: a copy in another segment stands for it now (qmgr/compact.h) */

struct done {
	uint64_t offset; /* of the record */
	uint64_t who;    /* DONE_ALL, DONE_MOVED or donefile_who() */
};

/* The hash of a recipient's address; never one of the others. ASCII case doesn't count. */
uint64_t donefile_who(struct msg_bytes address);

/* Orders by offset, then by who, DONE_ALL first: for bsearch() and qsort(). */
int donefile_compare(const void *a, const void *b);

/* Appends n entries, made if it isn't there. 0 or -E.... */
int donefile_append(uint64_t name, const struct done *v, size_t n);

/* Reads all good entries, sorted; *v is malloc'ed. A file that isn't there has none. 0 or -E.... */
int donefile_read(uint64_t name, struct done **v, size_t *n);

/*
 * Writes the file anew with those entries only whose record is in `places` (sorted). One that
 * isn't there stays so. 0 or -E..., then it is as it was.
 */
int donefile_keep(uint64_t name, const uint64_t *places, size_t n);
