/* SPDX-License-Identifier: ISC */
/*
 * Failed logins of late (keeper): each client and each user name has a count, and from
 * FAILURES_FREE on a wrong answer waits before it is given, twice as long each time. What waits is
 * bounded too: with more than FAILURES_WAITING of a client, or of a user, further tries aren't
 * checked at all, so that a guesser gets no further by many connections. Right answers never wait,
 * and a client that has logged in as a user of late isn't held up by what others do to that user.
 *
 * IPv6 clients are counted by their /64. Tables are bounded; the oldest count goes. Pure but for
 * the time, which is the caller's.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#define FAILURES_FREE      3       /* wrong answers that don't wait */
#define FAILURES_FIRST_MS  500     /* how long the next one waits */
#define FAILURES_MAX_MS    10000   /* ... and any, at most */
#define FAILURES_WAITING   4       /* of one client or user, once they have failed so often */
#define FAILURES_FORGET_MS 900000  /* without a failure, then the count begins anew */
#define FAILURES_GOOD_MS   3600000 /* for so long a client is known for a user */
#define FAILURES_TABLE     10000   /* counts in each of the three tables */
#define FAILURES_KEY       360

/* A try under way: to be ended by failures_end(). */
struct failures_try {
	char client[FAILURES_KEY], user[FAILURES_KEY];
	bool client_waits, user_waits; /* counted among those that wait */
};

/* A try begins: false, it isn't to be checked now (and needs no end). */
bool failures_begin(struct failures_try *t, const char *client, const char *user, int64_t now_ms);

/* It was wrong: how many ms the answer waits. failures_end() follows when they are over. */
unsigned failures_wrong(struct failures_try *t, int64_t now_ms);

/* It was right: the client is known for that user. */
void failures_right(struct failures_try *t, int64_t now_ms);

/* It is answered. */
void failures_end(struct failures_try *t);

/* Forgets all; for tests. */
void failures_reset(void);
