/* SPDX-License-Identifier: ISC */
/*
 * A hop: one connection that qmgr opened (OPEN), whatever is at its other end, with the jobs that
 * wait on it. It is the same for all transports: jobs queue here, the transport takes them one by
 * one, gives them back decided, and says when it is over. hop.c answers qmgr: OPENED or why not,
 * a RESULT for each job, CLOSED after the last of them.
 *
 * A hop lives from hop_open() to hop_failed() or hop_closed(), which free it. When qmgr dies its
 * hops finish what is on the wire and close; what waited is forgotten, the new qmgr has it in its
 * index.
 */
#pragma once

#include "deliver/jobs.h"
#include "deliver/results.h"
#include "lib/dns.h"
#include "lib/hash.h"
#include "lib/tls.h"

enum hop_state {
	HOP_OPENING,
	HOP_OPEN,
	HOP_CLOSING /* no job is taken any more */
};

/* How jobs are carried. Every function may end the hop before it returns. */
struct hop_transport {
	/* Begin: hop_opened() or hop_failed() follows, now or later. */
	void (*open)(struct hop *hop, const struct msg_deliver_open *msg);
	/* hop_next() has a job. */
	void (*feed)(struct hop *hop);
	/* Finish what was taken, then hop_closed(); also while opening. */
	void (*close)(struct hop *hop);
};

struct hop {
	struct hop *prev, *next; /* all of them */
	uint32_t conn;           /* qmgr's number, 0 when that qmgr is gone */
	enum hop_state state;
	const struct hop_transport *transport;
	void *carrier;           /* the transport's own */
	struct job *queue;       /* given by qmgr, not taken yet */
	unsigned queued, out;    /* in the queue; taken and not given back */
	int64_t asked;           /* clock_ms() of OPEN */
	uint32_t connect_ms;     /* for the first job's result, then 0 */
	uint8_t window;          /* jobs it has use for at a time; 0: as many as qmgr thinks */
	uint8_t ahead;           /* enum ahead_verdict, for CLOSED */
	bool counted;            /* among the connections that stand */
	char tls[TLS_TEXT_SIZE]; /* "": none */
	char host[DNS_NAME_SIZE], address[DNS_LITERAL_SIZE + 10];
	UT_hash_handle hh;
};

/* -- what qmgr says */
void hop_open(const struct msg_deliver_open *msg);
void hop_job(const struct msg_deliver_job *msg);
void hop_close(uint32_t conn);

/* The link to qmgr, NULL when it is gone: then all hops there are finish. */
void hops_link(struct chan *qmgr);
/* All hops finish (DRAIN). */
void hops_drain(void);
unsigned hops_count(void);
/* The link, for what a transport sends itself; NULL when there is none. */
struct chan *hops_qmgr(void);

/* -- what transports say */
void hop_opened(struct hop *hop);
/* It never opened. Frees the hop. */
void hop_failed(struct hop *hop, enum open_verdict verdict, const struct words *words);
/* The next job, NULL when there is none. */
struct job *hop_next(struct hop *hop);
/* A job taken with hop_next() is over. */
void hop_done(struct hop *hop, struct job *job);
/* It is over; every job taken was given back. Frees the hop. */
void hop_closed(struct hop *hop, enum open_verdict verdict, const struct words *words);

/* The transports. */
extern const struct hop_transport dial_transport, notice_transport, handover_transport,
    discard_transport;
