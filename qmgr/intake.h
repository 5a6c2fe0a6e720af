/* SPDX-License-Identifier: ISC */
/*
 * From records to messages: reads headers and envelopes of what writers have submitted, in the
 * loop and in slices of INTAKE_SLICE_MS, in the order of each segment. A record that is damaged, or
 * whose ID isn't one of its segment, is logged and ends the reading of that segment, which is then
 * kept for a person; nothing a writer wrote can end this process.
 *
 * Where INTAKE_UNCOMMITTED messages have no rows yet they are written and reading stops until they
 * are: the others are safe where they are. (Each may go to another domain, and LMDB keeps a page
 * in memory for each of those that a transaction changes.)
 */
#pragma once

#define INTAKE_SLICE_MS    10
#define INTAKE_UNCOMMITTED 2000

struct segment;

/* The segment may have more to read (or is open now). */
void intake_more(struct segment *seg);
/* Messages have left memory: goes on if it had stopped. */
void intake_resume(void);
/* Whether nothing waits to be read. */
int intake_idle(void);
