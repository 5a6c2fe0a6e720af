/* SPDX-License-Identifier: ISC */
/*
 * The done lists: beside each segment a file that says which of its records are done, and which
 * recipients of records that aren't (qmgr/donefile.h). They are never synced: their pages survive
 * the death of processes, not that of the machine. They tell what not to send again where the index
 * doesn't know it: what ended since the last commit when the whole tree was killed, and everything
 * when the index was lost.
 *
 * Entries are gathered for DONELIST_MS and appended on the helper thread, one round at a time; the
 * index, which follows within BATCH_MS, doesn't wait for them.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "lib/msg.h"

#define DONELIST_MS 5

struct segment;

/* A message of the segment has ended. */
void donelist_add(struct segment *seg, uint64_t offset);

/*
 * A recipient has ended, others of its message live. Not for one that others took the place of:
 * after a lost index it is expanded anew.
 */
void donelist_add_rcpt(struct segment *seg, uint64_t offset, struct msg_bytes address);

/* Whether the list read at start (seg->done) has that record. */
bool donelist_has(const struct segment *seg, uint64_t offset);
/* Whether a copy stands for that record now. */
bool donelist_moved(const struct segment *seg, uint64_t offset);
/* Whether it has that recipient of it; the whole record is another question. */
bool donelist_has_rcpt(const struct segment *seg, uint64_t offset, struct msg_bytes address);
