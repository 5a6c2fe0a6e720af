/* SPDX-License-Identifier: ISC */
/*
 * A job inside deliver: what JOB said, copied into one allocation, and what has become of each
 * recipient so far. It is owned by exactly one place at a time: the queue of its hop, then the
 * client (or the pipe) that carries it out, and it ends in results_report(), which frees it.
 */
#pragma once

#include <stdbool.h>

#include "deliver/segments.h"
#include "deliver/words.h"
#include "lib/chan.h"
#include "lib/job.h"

struct hop;

/* One recipient: what qmgr said of it, and its end. */
struct job_end {
	struct job_rcpt rcpt;
	bool decided;
	uint8_t outcome;           /* enum outcome; OUT_NOT_TRIED until decided */
	const struct words *words; /* the job's, may be NULL */
	struct msg_bytes members;  /* OUT_EXPANDED: in the job's `expansion` */
};

struct job {
	struct job *prev,
	    *next;     /* for utlist: the hop's queue, later the list of jobs on the wire */
	uint32_t conn; /* as in JOB; what RESULT names */
	enum job_kind kind;
	uint64_t id, offset, body_at, body_len, plain_len, arrival_ms;
	uint32_t late_len, flags;
	uint8_t ret;             /* enum envelope_ret */
	struct segment *segment; /* held */
	struct msg_bytes sender, envid, user, mailbox, report_to;
	uint8_t mailbox_kind, past;
	bool passed;   /* the peer got the DSN parameters: it reports (RFC 3461 §5.2.1) */
	bool on_wire;  /* a peer may have seen something of it: job_to_wire() */
	int64_t began; /* clock_ms() of its first command, 0: none */
	uint32_t nends;
	struct job_end *ends;
	struct job_words *kept;   /* replies that ends point to */
	unsigned char *expansion; /* of a .forward, NULL: none */

	/*
	 * A notice on its way to smtpd is a job of its own that deliver made: its text, the job it
	 * reports for; no segment. Else NULL.
	 */
	char *content;
	struct job *reports;

	struct hop *hop; /* whose job it is: hop.h */
};

/*
 * Makes a job of what qmgr sent. Returns 0 and the job, -ENOENT when its segment was never sent,
 * -EBADMSG for a list that breaks its form or holds addresses with control characters, numbers
 * out of range; -ENOMEM.
 */
int job_new(const struct msg_deliver_job *msg, struct job **out);
void job_free(struct job *job);

/* A job without a record: one recipient, content (malloc'ed, taken over) as its body. */
struct job *job_new_text(struct msg_bytes recipient, char *content, size_t len);

/* From now on a new qmgr must not give this recipient to anybody else (INFLIGHT). */
void job_to_wire(struct job *job);

/*
 * Tells a new qmgr what is still on the wire: INFLIGHT, at least one packet, the last one with
 * last = 1. The jobs' connections are another qmgr's: they are numbered 0 from now on.
 */
void jobs_send_inflight(struct chan *qmgr);
unsigned jobs_on_wire(void);

/* Keeps a copy of words as long as the job lives. Returns NULL for NULL. */
const struct words *job_keep(struct job *job, const struct words *words);

/* Decides one recipient, unless it was decided before. words: from job_keep(), may be NULL. */
void job_decide(struct job_end *end, enum outcome outcome, const struct words *words);

/* Decides all that are undecided; copies words (NULL: none). */
void job_decide_rest(struct job *job, enum outcome outcome, const struct words *words);
