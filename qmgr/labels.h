/* SPDX-License-Identifier: ISC */
/*
 * What became of recipients, by site and by class: qmgr's part of the board (lib/board.h). A site
 * gets a row with its first recipient while there are any; later ones are counted together, and one
 * that is busier than a site with a row takes that over. All in a few hundred nanoseconds, with no
 * memory but the board's and a small table.
 */
#pragma once

#include <stdint.h>

#include "lib/board.h"

#define LABELS_CANDIDATES 512  /* sites without a row that are watched at a time */
#define LABELS_HALF       8192 /* ends after which all scores are halved */
#define LABELS_LEAD       8 /* a site without a row takes one if it has twice its score and this */

/* Before the sandbox: counts on the board behind fd; else in memory that nobody reads. */
void labels_attach(int fd);

/* A recipient at that site (NULL: of none) and of that class ended so. */
void labels_count(const char *site, const char *class, enum board_end end);

/* It took that long since its arrival. */
void labels_latency(const char *class, uint64_t ms);
