/* SPDX-License-Identifier: ISC */
/*
 * The end of an attempt: what a result makes of a recipient, what is logged, what is counted. A
 * recipient ends here, gets its next due time, or becomes one whose failure has to be reported.
 * Functions may free the recipient and its message.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "lib/job.h"

/* What a sender is told whose mail a tool returns. */
#define SETTLE_RETURNED "returned to its sender by the administrator of this system"

struct rcpt;

/* Where a result comes from, for the log. Texts may be empty. */
struct via {
	struct msg_bytes host, address, tls;
	const char *site;
	uint64_t sent_ms; /* when the job was given out; 0: in an earlier run */
	uint32_t connect_ms, transfer_ms;
	uint8_t kind; /* enum job_kind */
	bool lmtp;    /* the host keeps the mailbox: what it took is delivered */
};

/* Applies one result to a recipient that is in no list and no job any more. */
void settle_result(struct rcpt *rcpt, const struct job_result *result, const struct via *via);

/* It failed for good, before any attempt or by word of ours. */
void settle_failed(
    struct rcpt *rcpt, uint16_t code, const char *status, const char *host, const char *text);
/* It has outlived retry.lifetime; its last trouble is the reason. */
void settle_expired(struct rcpt *rcpt);
/* Not now: a try that counts, for a reason of ours. */
void settle_deferred(struct rcpt *rcpt, const char *status, const char *text);
/* The route says that nobody wants it. */
void settle_discarded(struct rcpt *rcpt);
/*
 * Replaced by other recipients of the same message. several: more than one, which then report no
 * success of their own: that it was expanded is the end of this one (RFC 3461 §5.2.7.3).
 */
void settle_expanded(struct rcpt *rcpt, bool several);
/* Its sender need not be told any more: of a delay that is over. */
void settle_withdrawn(struct rcpt *rcpt);
/* The done list of an earlier run says that all of its message has ended. */
void settle_ended(struct rcpt *rcpt);
/*
 * Carries out what a tool ordered while a worker had it: true when that was its end here. A hold is
 * none: schedule_place() sees to it.
 */
bool settle_ordered(struct rcpt *rcpt);
/* Returned to its sender by a tool: a failure whatever soft_bounce says. */
void settle_returned(struct rcpt *rcpt);
/* Taken away by a tool. */
void settle_deleted(struct rcpt *rcpt);
/* Its record can't be sent: kept for a person. */
void settle_damaged(struct rcpt *rcpt, const char *text);
