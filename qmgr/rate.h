/* SPDX-License-Identifier: ISC */
/*
 * A rate, kept evenly: each taken turn moves the next one on by period / count. Who comes late
 * (the loop was busy, timers are coarse) makes that up as long as it is no more than RATE_LATE_MS;
 * after a longer pause the count begins anew, so that idling saves nothing up for a burst.
 */
#pragma once

#include <stdint.h>

#include "lib/conf.h"

#define RATE_LATE_MS 100

struct rate {
	int64_t next_ns; /* when the next one may go, of the monotonic clock */
};

/* Microseconds until one may go; 0: now. No limit (count 0) never waits. */
int64_t rate_wait_us(const struct rate *r, const struct conf_rate *limit, int64_t now_us);
/* One goes. */
void rate_take(struct rate *r, const struct conf_rate *limit, int64_t now_us);
/* One that went came back unused. */
void rate_back(struct rate *r, const struct conf_rate *limit);
