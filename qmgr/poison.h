/* SPDX-License-Identifier: ISC */
/*
 * The poison guard (DESIGN §10): a message whose handling ends a deliver worker twice is set aside.
 *
 * When a worker ends, the messages that it may have begun become suspects. Suspects are given out
 * one at a time, over all workers, each for POISON_TURN_MS at the most before the next one gets its
 * turn; a result of whatever kind clears one. If a worker ends that has suspects in hand, the one
 * it was given last is condemned: its recipients become STAGE_POISON wherever they turn up, and
 * what else the worker had is not blamed.
 *
 * Suspicion is only in memory: after a start of qmgr everybody is innocent. The stage is in the
 * index.
 */
#pragma once

#include <stdbool.h>

#define POISON_TURN_MS  6000 /* then the next suspect has its turn as well */
#define POISON_SUSPECTS 4096 /* messages; the oldest are forgotten for more */

struct conn;
struct message;
struct rcpt;
struct worker;

/*
 * The worker is gone. First of all poison_seen() for each of its connections, while their jobs are
 * there, then poison_judge(), then the jobs are given back.
 */
void poison_seen(const struct conn *conn);
void poison_judge(const struct worker *worker);

/*
 * A recipient is about to be made ready: true when it is taken care of (RCPT_SUSPECT until its
 * turn comes, or set aside). Costs a look at a counter while nobody is suspected.
 */
bool poison_hold(struct rcpt *rcpt);

/* An attempt ended with a result: the message did no harm. May place others. */
void poison_cleared(const struct message *msg);

/* A recipient in RCPT_SUSPECT is wanted by somebody else: out of the line, RCPT_NEW. */
void poison_forget(struct rcpt *rcpt);

/* A tool's word: a recipient of STAGE_POISON gets the stage it had, is due now and placed. */
void poison_release(struct rcpt *rcpt);
