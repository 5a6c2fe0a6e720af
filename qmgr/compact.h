/* SPDX-License-Identifier: ISC */
/*
 * Pinned segments, where holes don't help: what lives is copied into a segment of its own, under
 * the same IDs, and the old one dies the ordinary way. qmgr/punch.h says which and when.
 *
 * The order that makes it safe (qmgr/QUEUE has what a start makes of each step):
 *   1  the records are copied, synced, mapped, and named (qmgr/copy.h); nothing refers to them yet
 *   2  the index gets the new segment's row, and is synced
 *   3  messages that aren't in memory are brought there at their new place and written by an
 *      ordinary transaction; being in memory until that is through, they hide the older rows that
 *      a read may still bring. What is in memory already stays where it is
 *   4  the index is synced
 *   5  done lists and map say what belongs where, should the index be lost: the copies are settled
 * Both segments are held (refs) until then.
 */
#pragma once

#include <stdbool.h>

#define COMPACT_ROWS     200   /* messages moved by one transaction */
#define COMPACT_AGAIN_MS 60000 /* between two rounds over one segment */
#define COMPACT_RETRY_MS 10000 /* settling, after an error */
#define COMPACT_WAIT_MS  100   /* until the source's done list is written, or all of it is read */

struct living;
struct segment;

/*
 * Copies and moves what lives of a closed, quiet, shared segment, and takes over what `living` has
 * found of it. done is called in the end, whatever came of it (logged); before it returns when no
 * name can be had yet.
 */
void compact_start(struct segment *seg, struct living *living, void (*done)(void));

/* At start: copies that aren't settled, with their source; settled once all is in the index. */
void compact_resume(struct segment *copies, struct segment *source);
