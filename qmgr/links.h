/* SPDX-License-Identifier: ISC */
/*
 * The channels to the neighbours, made of the sockets that master hands out with LINK, and who has
 * to be waited for after a start (DESIGN §2): no job is given out before every living deliver
 * worker has sent its uncommitted results and what it has on the wire, and every living smtpd its
 * SUBMITs; five seconds at most. keeper and dnscache are in qmgr/asked.h.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "lib/chan.h"
#include "qmgr/unsettled.h"

#define LINKS_WAIT_MS 5000 /* master ends a neighbour that stays silent so long */

struct segment;
struct site;

struct smtpd_link {
	struct smtpd_link *next, *prev;
	struct chan *chan;
	unsigned instance;
	bool repeated; /* its repetition is complete */
};

struct worker {
	struct worker *next, *prev;
	struct chan *chan;
	unsigned instance;
	unsigned slot; /* its bit in segment->workers */
	bool told;     /* it sent all of INFLIGHT: it may get jobs */
	unsigned nconns;
	unsigned njobs;
	struct unsettled_ring unsettled;
};

/* LINK from master. Takes the descriptor. */
void links_add(enum role role, unsigned instance, unsigned kind, unsigned expect, int fd);

/* Begins to wait; `ready` is called once when all have spoken or the time is over. */
void links_wait(void (*ready)(void));
bool links_ready(void);
/*
 * Calls fn, perhaps at once, when every smtpd that is linked has repeated its SUBMITs, however long
 * that takes: only then a segment that nobody spoke for is an orphan. A silent one would go on
 * writing into what somebody else had closed.
 */
void links_when_smtpd_told(void (*fn)(void));

struct worker *links_workers(void);
struct smtpd_link *links_smtpds(void);

/* Tells the writer how far a segment is taken. */
void link_say_taken(struct segment *seg, struct smtpd_link *link);
/* Sends a worker the segment's descriptor if it doesn't have it. 0 or -E.... */
int link_give_segment(struct worker *worker, struct segment *seg);
/* Tells all that have it to close it. */
void link_release_segment(struct segment *seg);
