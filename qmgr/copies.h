/* SPDX-License-Identifier: ISC */
/*
 * Which of two segments a record belongs to, when what lives of one was copied into another
 * (qmgr/compact.h) and a crash came in between, or the index is lost. The map of the copies pairs
 * the places; as long as both segments are there, what ended at one place has ended at the other.
 */
#pragma once

struct livemap;
struct segment;

/*
 * At start, once all files are known and before anything is read. Copies that the index doesn't
 * know while it knows their source are thrown away: nothing has moved. All others stand for the
 * records in the source; those that aren't settled are held and settled later (compact_resume()).
 */
void copies_sort_out(void);

/* What the source's done list says of copied records, said of the copies too; in memory only. */
void copies_carry(struct segment *copies, const struct segment *source, const struct livemap *map);
