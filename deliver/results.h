/* SPDX-License-Identifier: ISC */
/*
 * Results on their way into the index (DESIGN §2). A RESULT is sent at once and kept until qmgr
 * says COMMITTED; on a new link all kept ones are sent again before anything else. How many may
 * be kept is qmgr's business: it gives out no more jobs than its credit allows.
 */
#pragma once

#include "deliver/jobs.h"
#include "lib/chan.h"

/* Through which next hop a job went; texts may be "". */
struct results_via {
	const char *host, *address, *tls;
	uint32_t connect_ms;
	uint8_t window; /* as in RESULT */
};

/* Reports every recipient of the job, undecided ones as not tried, and frees it. */
void results_report(struct job *job, const struct results_via *via);

/* The same for a job that could not even be made of its JOB: every recipient has that outcome. */
void results_refuse(const struct msg_deliver_job *msg, enum outcome outcome, const char *text);

/* COMMITTED: everything up to seq is safe. */
void results_committed(uint64_t seq);

/*
 * The link to qmgr, NULL while there is none. A new one is sent all that is kept, with conn 0: the
 * numbers of an earlier qmgr's connections mean nothing to this one.
 */
void results_link(struct chan *qmgr);

/* How many are kept. */
unsigned results_kept(void);
