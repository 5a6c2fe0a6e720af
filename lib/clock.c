/* SPDX-License-Identifier: ISC */
/*
 * The turn's time is one thread-local number, so that a helper thread that asks by mistake gets the
 * real time instead of a torn or stale one.
 */
#include "lib/clock.h"

static _Thread_local int64_t turn;

/* clock_turn - begin a turn of the loop */
int64_t clock_turn(void)
{
	return turn = clock_ms();
}

/* clock_turn_ms - when this turn began */
int64_t clock_turn_ms(void)
{
	return turn ? turn : clock_ms();
}
