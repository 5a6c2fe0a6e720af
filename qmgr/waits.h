/* SPDX-License-Identifier: ISC */
/*
 * Who waits for a transaction (batch_wait()), and the syncs of the index: one at a time, for those
 * who want what they wait for to survive a power failure, and when no commit came for
 * BATCH_SYNC_MS. For batch.c alone.
 */
#pragma once

#include "qmgr/batch.h"

void waits_init(void);

/* wait->done() is called once transaction `number` is committed; sync: and synced. */
void waits_add(struct batch_wait *wait, uint64_t number, bool sync);

/* Whether anybody waits for a commit. */
bool waits_any(void);

/* All transactions up to that number are committed: calls whom it concerns. */
void waits_committed(uint64_t number);
