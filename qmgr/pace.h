/* SPDX-License-Identifier: ISC */
/*
 * How fast notices go to one address: conf's notice_burst at once, then notice_rate. Nothing is
 * dropped: a notice over it gets a later time. Times are given out in advance up to PACE_AHEAD of
 * retry.max; whoever would come later than that asks again. What was given out is forgotten with
 * the process: after a restart an address may get another burst.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#define PACE_AHEAD     2      /* retry.max divided by this: since due times are cut to retry.max */
#define PACE_ADDRESSES 100000 /* of which the last notices are remembered */

/*
 * When the next notice to that address may go, by now_ms()'s clock. *again: that time is not its
 * own, pace_slot() is to be asked once more then. Logs when the rate begins to hold somebody.
 */
uint64_t pace_slot(const char *address, bool *again);

/* How many addresses are remembered. */
unsigned pace_count(void);
