/* SPDX-License-Identifier: ISC */
/*
 * What senders are told of their mail (RFC 3461 §5): whether, about what, when, and who stands in
 * for a sender. A recipient whose sender is to be told has a stage that says of what (stage_owed())
 * and goes to DEST_NOTICE; it lives until smtpd has taken the notice, so none is lost. Of a delay a
 * further recipient of the message tells, since the original one goes on.
 *
 *   failed, expired       FAILURE, and by default
 *   delayed               DELAY, and by default; once a recipient, after retry.warn (qmgr/delay.h)
 *   relayed, delivered,   SUCCESS only
 *   expanded
 *
 * Mail without a sender and our own notices are reported to conf's double_bounce if they can't be
 * delivered, else to nobody; what is told to double_bounce is never reported on itself.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "lib/job.h"
#include "qmgr/keys.h"

/* A notice gathers recipients of its message for so long. */
#define REPORT_GATHER_MS 2000

struct message;
struct rcpt;

/* Whether anybody is to be told that the recipient has come to that stage. */
bool report_wanted(const struct rcpt *rcpt, enum rcpt_stage stage);

/*
 * The recipient enters that stage: its sender will be told once the index knows. It is in no list
 * and no job.
 */
void report_owe(struct rcpt *rcpt, enum rcpt_stage stage);

/*
 * The recipient is late: notes that, and adds one that tells of it if that is wanted. Does nothing
 * for one that isn't, was reported before, or isn't to be delivered any more.
 */
void report_delay(struct rcpt *rcpt);

/* Whether it is older than retry.warn. */
bool report_late(const struct message *msg);

/*
 * A recipient whose notice is due: whether it may go now. Else it was put off, or has ended: it may
 * be gone.
 */
bool report_ready(struct rcpt *rcpt);

/* Who gets the notices of that recipient: its sender, or who stands in; "": nobody. */
const char *report_to(const struct rcpt *rcpt);

/* Whether recipients in these stages are told of by one notice. */
bool report_together(uint8_t a, uint8_t b);

/* The recipient as a JOB_NOTICE has it, pointing into it; of another job without what happened. */
void report_rcpt(const struct rcpt *rcpt, struct job_rcpt *out);
