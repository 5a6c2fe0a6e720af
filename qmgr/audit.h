/* SPDX-License-Identifier: ISC */
/*
 * Once after a start the index is read through on the index thread, in slices beside everything
 * else: LMDB has no sums, and a bit that has flipped on the disk may hide messages from everybody.
 * Looked at is what each transaction keeps true: every row's sum; a message has as many rows of
 * recipients as it says, and each of those that isn't set aside its due key; a segment that was
 * closed and taken has the messages its row counts. An index that breaks this is put aside and
 * rebuilt from the segments.
 *
 * Reading broken pages may also end the process. So the audit leaves a mark while it goes on, and
 * index_open() puts an index aside whose audits ended that way (INDEX_AUDITS_MAX).
 */
#pragma once

#define AUDIT_SLICE_MS 5 /* of reading, and of rest behind it */

/* Begins. The index was opened, and isn't new. */
void audit_start(void);
