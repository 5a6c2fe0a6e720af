/* SPDX-License-Identifier: ISC */
/*
 * What was learned of sites outlives them: limits and ceilings, recipients they take, that they are
 * down and when they are probed next. A live site keeps it itself; when the site is freed, and at
 * start for all of the index's site table, it lies here as the encoded row and waits for a site of
 * that name. Only what differs from knowing nothing is kept.
 *
 * Rows are written KEEP_MS after a change (a site that goes down: with the next transaction), so
 * traffic costs no writes; losing some harms nobody. Those that nobody used for KEEP_DAYS go.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#define KEEP_MS   2000
#define KEEP_DAYS 7

struct row_site;
struct site;

/* Before the loop: reads the table. Returns 0 or -E.... */
int keep_load(void);

/* The site's row is to be written, soon or with the next transaction. */
void keep_changed(struct site *site);
void keep_now(struct site *site);
/* All that are to be written soon go with the next transaction. */
void keep_flush(void);

/* A new site takes what is kept under `name` (its own, or that of a site it follows). */
bool keep_restore(struct site *site, const char *name);
/* A new site takes over the state of another one. */
void keep_copy(struct site *site, const struct site *from);
/* Whether something was learned of the site. */
bool keep_worth(const struct site *site);

/* The site is about to be freed. */
void keep_leave(struct site *site);
/* Now and then: forgets what is old. */
void keep_sweep(void);
