/* SPDX-License-Identifier: ISC */
/*
 * What living deliver workers say of jobs that an earlier qmgr gave them: results it didn't commit,
 * and recipients that are still on the wire (INFLIGHT). Each is a claim on a place (segment,
 * offset, recipient number). A claim finds its recipient in memory, in the index, or later when
 * intake reads the record; a recipient that is claimed is given to nobody else. A claim on what is
 * neither in memory nor in the index and has been read is of a recipient that has ended.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "lib/chan.h"

struct rcpt;
struct worker;

/* RESULT with connection 0; INFLIGHT. */
void claims_result(struct worker *worker, const struct msg_deliver_result *m);
void claims_inflight(struct worker *worker, struct msg_bytes places);
/* Its recipients on the wire are free again; results it had sent still count. */
void claims_worker_gone(struct worker *worker);

bool claims_any(void);
/* Whether a recipient about to be placed is claimed: then it is taken care of, and may be gone. */
bool claims_take(struct rcpt *rcpt);

/* The record at a place was done before this qmgr read it: all claims on it are over. */
void claims_ended(uint64_t segment, uint64_t offset);
/* The same of one recipient. */
void claims_ended_rcpt(uint64_t segment, uint64_t offset, uint32_t number);

/* Calls fn, perhaps at once, when every claim has been looked for in the index. */
void claims_when_found(void (*fn)(void));
