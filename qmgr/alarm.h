/* SPDX-License-Identifier: ISC */
/*
 * Timers of what there are 50,000 of (destinations, sites), most of which wait for nothing: one
 * takes memory only while it is set.
 */
#pragma once

#include <event2/event.h>
#include <stdint.h>

/*
 * Calls fn(-1, EV_TIMEOUT, arg) once after ms; *timer (NULL: not set) is the caller's, who passes
 * the same fn and arg each time and calls alarm_off() first thing in fn. Setting it again moves it.
 * Aborts when out of memory.
 */
void alarm_set(struct event **timer, uint64_t ms, event_callback_fn fn, void *arg);
void alarm_off(struct event **timer);
