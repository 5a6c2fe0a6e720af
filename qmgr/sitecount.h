/* SPDX-License-Identifier: ISC */
/*
 * How much of the index waits for each destination: counted when a tool asks, by a walk over the
 * keys of the schedule in slices (a million keys take well under a second of the index thread,
 * spread between commits), so that nobody pays for it otherwise. What is only in memory is
 * committed first. The sums are left in the destinations until the next count; a site's are those
 * of its destinations. What is set aside (held, damaged, poison) has no key there and isn't
 * counted.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct dest;

/*
 * Counts; done(arg) is called in the loop when it's over. Who asks while a count is under way gets
 * its sums.
 */
void sitecount_start(void (*done)(void *arg), void *arg);
/* The asker is gone. */
void sitecount_forget(void *arg);

/* What the last count found of a destination: recipients, and the oldest arrival (ms; 0: none). */
uint64_t sitecount_of(const struct dest *dest, uint64_t *oldest_ms);
