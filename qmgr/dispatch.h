/* SPDX-License-Identifier: ISC */
/*
 * Connections and jobs: opens a pool's connections on the deliver workers, keeps each fed with a
 * few jobs from its destinations in turn, takes back what wasn't tried. What became of recipients
 * is the business of qmgr/settle.h. dispatch.c gives out (jobs.c says what), results.c takes back.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "lib/chan.h"
#include "lib/hash.h"
#include "lib/job.h"
#include "qmgr/site.h"

#define WORKER_CREDIT 8192 /* jobs and uncommitted results of a worker */

struct message;
struct rcpt;
struct segment;
struct worker;

enum conn_state { CONN_OPENING, CONN_OPEN, CONN_CLOSING };

struct job {
	struct job *next, *prev; /* of the connection, in the order they were sent */
	struct conn *conn;
	struct message *msg;
	uint64_t sent_ms;
	uint8_t kind; /* enum job_kind */
	bool tried;   /* something of it came back as tried */
	uint32_t nrcpts, nleft;
	struct rcpt *rcpts[]; /* NULL: settled */
};

struct conn {
	uint32_t id;
	enum conn_state state;
	struct worker *worker;
	struct pool *pool;
	struct conn *next, *prev;           /* of the pool's list for njobs, when OPEN */
	struct conn *idle_next, *idle_prev; /* of the crowd's (qmgr/crowd.h) */
	struct job *jobs;
	uint32_t njobs;
	uint32_t window; /* jobs it may have */
	uint32_t given;  /* jobs given to it so far */
	bool listed;     /* in the pool's list */
	bool idle;       /* in the crowd's list */
	bool asked;      /* to close */
	bool scout;      /* to a better host than the one in use (qmgr/fallback.h) */
	uint8_t target;  /* of the pool's hosts */
	bool proved;     /* an answer on it was more than trouble of the site */
	char *dest;      /* whose domain it was opened for; NULL: a fixed host */
	UT_hash_handle hh;
};

/* Jobs may be given out from now on; or no more. */
void dispatch_start(void);
void dispatch_stop(void);

/* The pool has ready recipients, or room on its connections. */
void dispatch_pool(struct pool *pool);
/* Opens one connection of the pool, for a probe. False when there is no worker to do it. */
bool dispatch_open(struct pool *pool);
/* The same to the first of its hosts, beside what goes to the one in use. */
bool dispatch_scout(struct pool *pool);
/*
 * Closes one of the pool's connections, one without jobs first: what is on the wire is finished,
 * the rest comes back as not tried. False: it has none that could be closed.
 */
bool dispatch_close(struct pool *pool);
/* That one, after what it has on the wire. */
void dispatch_close_conn(struct conn *conn);
/* All pools: a worker came, or jobs may be given out. */
void dispatch_all(void);
/* Those that got no job for want of room in a transaction, or of a worker's credit: first come. */
void dispatch_held(void);
/* The pool goes away. */
void dispatch_forget(struct pool *pool);

/* From deliver. */
void dispatch_opened(struct worker *worker, const struct msg_deliver_opened *m);
void dispatch_closed(struct worker *worker, const struct msg_deliver_closed *m);
void dispatch_result(struct worker *worker, const struct msg_deliver_result *m);
/* The worker is gone: its jobs go back to their destinations. */
void dispatch_worker_gone(struct worker *worker);

/* Recipients that waited for this file go on. */
void dispatch_segment_opened(struct segment *seg);

unsigned dispatch_jobs(void);

/* -- between dispatch.c (giving out) and results.c (taking back) */

void conns_add(struct conn *conn);
void dispatch_conn_open(struct conn *conn);
void dispatch_drop_jobs(struct conn *conn);
void job_leave(struct job *job, unsigned i);
void dispatch_give_back(struct rcpt *rcpt);
void job_end(struct job *job);
