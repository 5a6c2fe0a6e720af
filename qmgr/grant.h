/* SPDX-License-Identifier: ISC */
/*
 * Granting segments: a few of each kind are made ahead on the helper thread (created or taken out
 * of the pool, their folder synced), so that a WANT is answered at once. Names come from the clock
 * and are never used twice: they rise above everything there is and above a mark in the index that
 * is raised, and synced, before a name beyond it is used.
 */
#pragma once

#include <stdint.h>

#define GRANT_AHEAD_SHARED 2
#define GRANT_AHEAD_SINGLE 2
#define GRANT_WANTS_MAX    64          /* of one writer */
#define GRANT_RETRY_MS     1000        /* after an error */
#define GRANT_MARK_US      60000000ull /* how far ahead the mark is raised */

struct smtpd_link;

/* `last`: no name up to it may be used; it is the mark of the index or the largest name seen. */
void grant_init(uint64_t last);

/* A name for a segment of our own; 0: none can be had yet, ask again in a second. */
uint64_t grant_name(void);

/* WANT: count segments of a kind. */
void grant_want(struct smtpd_link *link, unsigned kind, unsigned count);
void grant_link_gone(struct smtpd_link *link);

/* No segment was wanted for long: those that are made ahead take no space either. */
void grant_trim(void);
