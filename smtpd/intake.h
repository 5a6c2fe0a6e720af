/* SPDX-License-Identifier: ISC */
/*
 * The way of a message from "whole in memory" to "safe on disk" (DESIGN §2): what completed since
 * the last sync is one batch, written with one write and synced once by the sync thread; then qmgr
 * hears of it (SUBMIT, with the kernel before anything else happens), then each message's
 * PARCEL_DONE comes, on which its session answers 250.
 *
 * A batch that can't be written or synced ends its segment at the last good place; its messages
 * get PARCEL_DONE with the error. Without a segment messages wait, INTAKE_WAIT_MAX_MS at most.
 */
#pragma once

#include "smtpd/parcel.h"

#define INTAKE_BATCH_MAX   512         /* messages of one write */
#define INTAKE_BATCH_BYTES (16u << 20) /* and their bytes, beyond the first */
#define INTAKE_WAIT_MAX_MS 30000       /* for a segment; then -ETIMEDOUT */

/* Call once, with a loop, after syncer_start(). */
void intake_start(void);

/*
 * Takes a whole message: front put, plain_len set (flags: of its envelope, needed for a stream
 * only). PARCEL_DONE follows in a later turn; until then the parcel isn't the caller's.
 */
void intake_commit(struct parcel *parcel, uint32_t flags);

/*
 * A session gets on with a transaction: a batch may wait a moment for its message. *epoch is the
 * session's, 0 at first; to be given to intake_inactive() when the session ends.
 */
void intake_active(uint32_t *epoch);
void intake_inactive(uint32_t epoch);

/* In PARCEL_DONE of one that is no stream: when its sync was over (clock_us()). */
int64_t intake_synced_us(void);

/* Messages committed and not answered yet. */
unsigned intake_pending(void);

/* Forgets what waits (nothing may be with the thread); for tests. */
void intake_reset(void);
