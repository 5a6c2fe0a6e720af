/* SPDX-License-Identifier: ISC */
/*
 * Asking keeper whether a local recipient exists (RECIPIENT of lib/msg.def). Answers are kept for a
 * few seconds; at most RECIPIENT_OPEN questions are open with keeper, the others wait their turn;
 * each has a deadline, and is asked again when keeper was replaced meanwhile.
 */
#pragma once

#include <stdbool.h>

#include "lib/addr.h"
#include "lib/chan.h"
#include "lib/hash.h"

#define RECIPIENT_OPEN        256   /* questions with keeper */
#define RECIPIENT_DEADLINE_MS 10000 /* then KEEPER_TEMPFAIL */
#define RECIPIENT_CACHE       4096  /* answers kept */
#define RECIPIENT_YES_MS      5000  /* how long: a mailbox or alias */
#define RECIPIENT_NO_MS       2000  /* unknown: somebody may be creating it */

struct recipient_ask;
typedef void recipient_answered(struct recipient_ask *ask, enum keeper_verdict verdict);

/* A question; lies in the session that asks. All zeroes when nothing is asked. */
struct recipient_ask {
	struct recipient_ask *prev, *next; /* waiting for their turn */
	UT_hash_handle hh;                 /* by id: open with keeper */
	uint32_t id;
	enum { ASK_NONE, ASK_WAITING, ASK_OPEN } state;
	uint64_t deadline;
	recipient_answered *answered;
	char name[ADDR_SIZE + ADDR_DOMAIN_MAX + 1]; /* local part, @, domain */
};

/*
 * Asks for a local part (unquoted) at a domain (NULL: none). Returns an enum keeper_verdict when
 * the answer is known, or -EINPROGRESS: then answered() is called, once. An ask that is under way
 * must not be asked again.
 */
int recipient_ask(
    struct recipient_ask *ask, const char *local, const char *domain, recipient_answered *answered);

/* answered() is not called any more. Does nothing to one that isn't under way. */
void recipient_cancel(struct recipient_ask *ask);

/* The link to keeper. */
void recipient_linked(struct chan *keeper);
void recipient_unlinked(struct chan *keeper);
void recipient_is(struct chan *chan, union msg_any *msg, void *arg);

/* Forgets the answers; for tests. */
void recipient_reset(void);
