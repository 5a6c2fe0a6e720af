/* SPDX-License-Identifier: ISC */
/*
 * The done lists: beside each segment a file with the places of its records that are done. They are
 * never synced: their pages survive the death of processes, not that of the machine. They tell what
 * not to send again where the index doesn't know it: what ended since the last commit when the
 * whole tree was killed, and everything when the index was lost.
 *
 * Places are gathered for DONELIST_MS and appended on the helper thread, one round at a time; the
 * index, which follows within BATCH_MS, doesn't wait for them.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#define DONELIST_MS 5

struct segment;

/* A message of the segment has ended. */
void donelist_add(struct segment *seg, uint64_t offset);

/* Whether the list read at start (seg->done) has that place. */
bool donelist_has(const struct segment *seg, uint64_t offset);
