/* SPDX-License-Identifier: ISC */
/*
 * Finds mail that has waited for retry.warn, wherever it waits: for its next attempt, for its turn,
 * parked at a site that is down (a recipient that is deferred then is reported by settle.c at
 * once). It walks the index by queue ID, oldest first, in slices on the index thread, every
 * sixteenth of retry.warn; what is behind it is never looked at again, so a recipient costs one
 * look, however often its site is probed.
 */
#pragma once

#include <stdint.h>

#define DELAY_PARTS     16    /* of retry.warn: how often it looks, */
#define DELAY_EVERY_MIN 200   /* ms: not more often, */
#define DELAY_EVERY_MAX 60000 /* nor more seldom */
/* After a start mail that can leave gets this time before anybody hears that it is late. */
#define DELAY_GRACE_MS 60000
#define DELAY_ROWS     500  /* recipients found in one slice, */
#define DELAY_LOOKS    5000 /* and looked at */

/* How often it looks where mail is late after `warn`; ms. */
uint64_t delay_interval(uint64_t warn);

/* The index is known: begins. */
void delay_start(void);

/* A new configuration: all is looked at again. What was reported isn't reported again. */
void delay_reconfigure(void);
