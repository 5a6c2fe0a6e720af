/* SPDX-License-Identifier: ISC */
/*
 * Timers of what there are 50,000 of (destinations, sites), most of which wait for nothing: one
 * takes memory only while it is set, and a third of what an event of the loop takes. For the loop's
 * thread, once it has a base.
 */
#pragma once

#include <stdint.h>

struct alarm;

/*
 * Calls fn(arg) once, in the loop, when ms are over; *own (NULL: not set) is the caller's, who
 * passes the same fn and arg each time and calls alarm_off() first thing in fn. Setting it again
 * moves it. Aborts when out of memory.
 */
void alarm_set(struct alarm **own, uint64_t ms, void (*fn)(void *arg), void *arg);
void alarm_off(struct alarm **own);
