/* SPDX-License-Identifier: ISC */
/*
 * Sites that mishandle what is written ahead of their replies (RFC 2920): such a site is served
 * step by step, one command and its reply, for STEPS_DAYS; then it is tried again. deliver says
 * with CLOSED how a peer took it (enum ahead_verdict); here it becomes the site's, is kept with
 * what else was learned of it (qmgr/keep.h) and goes into the next OPEN.
 */
#pragma once

#include <stdint.h>

#define STEPS_DAYS 7
#define STEPS_LOSSES                                                                 \
	2 /* connections lost with the first messages that were sent ahead, in a row \
	   */

struct site;

/* A connection to the site ended. */
void steps_heard(struct site *site, uint8_t ahead);

/* Until when it is served step by step; 0: it isn't. */
uint64_t steps_until(const struct site *site);

/* How it may be spoken to: enum conf_pipelining, as configured or less. */
uint8_t steps_pipelining(const struct site *site);
