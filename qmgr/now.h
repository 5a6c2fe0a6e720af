/* SPDX-License-Identifier: ISC */
/*
 * The time qmgr reckons with: milliseconds since 1970 as they were when the process started, moved
 * on by the monotonic clock. Due times on disk are of this clock, and a jump of the host's clock
 * moves nothing inside a run.
 */
#pragma once

#include <stdint.h>

/* Read the wall clock; called once at start, and by tests to begin at `wall_ms` (0: the clock). */
void now_init(uint64_t wall_ms);

/* The time of this turn. */
uint64_t now_ms(void);
