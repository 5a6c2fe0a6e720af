/* SPDX-License-Identifier: ISC */
/*
 * The clocks of a process. Intervals and timers use the monotonic clock (milliseconds or
 * microseconds since an arbitrary start that is the same for all processes of this boot); the wall
 * clock is for people, headers, queue IDs and what must outlive a restart.
 *
 * clock_ms() and the others ask the kernel's vDSO (about 25 ns, no system call). A loop that wants
 * one time for everything that happens in one turn calls clock_turn() where the turn begins and
 * reads clock_turn_ms() afterwards. All may be called from any thread; clock_turn() belongs to the
 * thread that runs the loop.
 */
#pragma once

#include <stdint.h>
#include <time.h>

/* Monotonic time in microseconds. */
static inline int64_t clock_us(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

/* Monotonic time in milliseconds. */
static inline int64_t clock_ms(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* Microseconds since 1970. May jump when the host's clock is set. */
static inline int64_t clock_wall_us(void)
{
	struct timespec t;
	clock_gettime(CLOCK_REALTIME, &t);
	return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

/* Milliseconds since 1970. */
static inline int64_t clock_wall_ms(void)
{
	struct timespec t;
	clock_gettime(CLOCK_REALTIME, &t);
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* Begin a turn of the loop: note the monotonic time for clock_turn_ms(); returns it. */
int64_t clock_turn(void);

/* The monotonic time in ms at which this turn began (now, before the first clock_turn()). */
int64_t clock_turn_ms(void);
