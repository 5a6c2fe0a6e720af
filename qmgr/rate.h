/* SPDX-License-Identifier: ISC */
/*
 * A rate, kept evenly: each taken turn moves the next one on by period / count. Timers are coarse:
 * who comes up to RATE_LATE_MS late has the next turn where it was. Who comes later than that and
 * had to wait (the host was busy) makes it up at double pace, RATE_DEBT_MS at most; who had not
 * waited begins anew, so that idling saves nothing up for a burst.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "lib/conf.h"

#define RATE_LATE_MS 20
#define RATE_DEBT_MS 1000

struct rate {
	int64_t next_ns; /* when the next one may go, of the monotonic clock */
	int64_t debt_ns; /* of turns that were missed */
	bool waits;      /* set by the caller: somebody had to wait since the last turn */
};

/* Microseconds until one may go; 0: now. No limit (count 0) never waits. */
int64_t rate_wait_us(const struct rate *r, const struct conf_rate *limit, int64_t now_us);
/* One goes. */
void rate_take(struct rate *r, const struct conf_rate *limit, int64_t now_us);
/* One that went came back unused. */
void rate_back(struct rate *r, const struct conf_rate *limit);
