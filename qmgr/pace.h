/* SPDX-License-Identifier: ISC */
/*
 * How fast notices go to one address: a burst at once, then a rate. Nothing is dropped: a notice
 * over it gets a later time. Times are given out in advance up to `ahead`; whoever would come later
 * than that asks again. What was given out is forgotten with
 * the process: after a restart an address may get another burst.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#define PACE_ADDRESSES 100000 /* of which the last notices are remembered */

struct pace_rule {
	uint32_t burst;         /* at least 1 */
	uint32_t count, period; /* so many in so many ms; count 0: no limit */
	uint64_t ahead;         /* ms */
};

/*
 * When the next notice to that address may go; ms, like now. *again: that time is not its own,
 * pace_slot() is to be asked once more then. Logs when the rate begins to hold somebody.
 */
uint64_t pace_slot(const char *address, const struct pace_rule *rule, uint64_t now, bool *again);

/* How many addresses are remembered. */
unsigned pace_count(void);
