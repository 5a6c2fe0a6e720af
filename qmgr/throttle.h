/* SPDX-License-Identifier: ISC */
/*
 * How many connections a site gets: a number that starts low, grows as long as that goes well and
 * is cut when it doesn't. Pure arithmetic on one struct; sitelimit.c feeds it, keep.c stores it.
 *
 * Growth. Only successes at the limit count: a limit that nobody needs teaches nothing. Until the
 * first trouble every accepted transaction adds one (so it doubles a round), afterwards every
 * `limit` of them do.
 *
 * Cuts. Trouble halves the limit, once within THROTTLE_CUT_MS: the failures of one burst count
 * once. Trouble is
 *   - a connection that didn't come to be while others stand: connect, greeting, EHLO, handshake;
 *   - one that stood and was lost, timed out or ended by 421;
 *   - a transaction answered only by 421, 4.3.2, 4.4.x or 4.7.x (throttle_is_trouble()): at MAIL,
 *     RCPT, DATA or the end of data. One whose other recipients were accepted is none, and
 *     4.7.x (but for 421) has to come twice without an acceptance in between: a greylisted
 *     recipient, or one that policy defers, says nothing of the site. One that says
 *     "greylisted" never counts.
 * Not trouble: 421 to an idle connection, 452 too many recipients, "multiple destination domains",
 * 4.2.x, what our own limits cause, and anything of local delivery and notices.
 *
 * The ceiling is what it was seen to stand when one more was too much. The limit goes up to it and
 * stays there for a hold time; then one above is tried. When that stands for a round the ceiling is
 * forgotten; when it fails the limit falls back to the ceiling (not to its half: the try was ours)
 * and the hold time doubles.
 *
 * Strikes count troubles without an acceptance in between: a site at limit 1 that accepts nothing
 * after THROTTLE_STRIKES of them is parked like one that is down, so that its throttling doesn't
 * use up an attempt of every message.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "lib/msg.h"

#define THROTTLE_START       2     /* connections of a site that nothing is known of */
#define THROTTLE_CUT_MS      1000  /* between two cuts */
#define THROTTLE_HOLD_MS     30000 /* a ceiling holds for retry.first / 2, at most so long */
#define THROTTLE_HOLD_MIN_MS 1000
#define THROTTLE_REFUSALS    2 /* 4.7.x in a row that are trouble */
#define THROTTLE_STRIKES     6 /* troubles in a row, then it is parked */

struct throttle {
	uint32_t limit;    /* connections it may have */
	uint32_t ceiling;  /* it stands so many; 0: no such limit was met */
	uint32_t credit;   /* successes since the limit last changed */
	uint32_t over;     /* successes with more connections than the ceiling */
	uint32_t refusals; /* 4.7.x in a row */
	uint16_t strikes;  /* troubles in a row */
	bool slow;         /* slow start: doubling */
	uint64_t cut_ms;   /* time of the last cut */
	uint64_t hold_ms;  /* how long the ceiling holds; 0: not met, or proved wrong */
	uint64_t try_ms;   /* then one above it may be tried */
};

enum throttle_kind {
	THROTTLE_ENTRY,   /* one more connection wasn't let in; the others stand */
	THROTTLE_SESSION, /* in the middle of one */
};

/* Nothing is known. */
void throttle_init(struct throttle *t);
/* It was down: from one connection on, doubling up to the ceiling, if one is known. */
void throttle_restart(struct throttle *t);

/*
 * A transaction was accepted, with `open` connections opening or open, of which `standing` stand,
 * and `max` configured. True: limit or ceiling have changed.
 */
bool throttle_accepted(
    struct throttle *t, uint32_t open, uint32_t standing, uint32_t max, uint64_t now);

/*
 * Trouble; hold_first and hold_max are the hold times of a ceiling in ms. `standing` counts the
 * connections that are left. True: limit or ceiling have changed.
 */
bool throttle_trouble(struct throttle *t, enum throttle_kind kind, uint32_t standing,
    uint64_t hold_first, uint64_t hold_max, uint64_t now);

/* A connection stands: one that opened beside the one that failed corrects the ceiling. */
void throttle_opened(struct throttle *t, uint32_t standing, uint64_t now);

/* Whether a reply is one of those above; `refusal`: one that has to come twice. */
bool throttle_is_trouble(
    uint16_t code, struct msg_bytes status, struct msg_bytes text, bool *refusal);
