/* SPDX-License-Identifier: ISC */
/*
 * Questions to keeper that a session waits for, other than whether a recipient exists
 * (smtpd/recipient.h, which has a cache): each is sent at once, has a deadline, and is sent again
 * when keeper was replaced meanwhile. At most QUESTION_OPEN are open: a session can ask no more
 * then and says "not now".
 */
#pragma once

#include <stdbool.h>

#include "lib/chan.h"
#include "lib/hash.h"

#define QUESTION_OPEN        1000  /* fewer than keeper takes from one asker */
#define QUESTION_DEADLINE_MS 45000 /* longer than keeper lets a wrong answer wait */

/* A question; lies in the session that asks. All zeroes when nothing is asked. */
struct question {
	UT_hash_handle hh; /* by id */
	uint32_t id;
	bool open;
	uint64_t deadline;
	enum msg_type answer; /* the row that answers it */
	/* Sends it. */
	void (*ask)(struct question *q, struct chan *keeper);
	/* Called once, after it was taken off. NULL: nobody can tell. */
	void (*answered)(struct question *q, const union msg_any *msg);
};

/*
 * Asks. id: 0, or that of an earlier question of which this one is the next step. q's answer, ask
 * and answered are set. Returns 0, -EBUSY when too many are open, or -ENOMEM.
 */
int question_put(struct question *q, uint32_t id);

/* answered() is not called any more. Does nothing to one that isn't open. */
void question_cancel(struct question *q);

/* The link to keeper; NULL: there is none now. */
struct chan *question_keeper(void);
void question_linked(struct chan *keeper);
void question_unlinked(struct chan *keeper);
/* Handlers of the answers. */
void question_login_is(struct chan *chan, union msg_any *msg, void *arg);
void question_submit_is(struct chan *chan, union msg_any *msg, void *arg);

/* For tests. */
void question_reset(void);
