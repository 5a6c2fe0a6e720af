/* SPDX-License-Identifier: ISC */
/*
 * What becomes of the files of dead segments: after a sync of the index they go back to the pool,
 * from which grants are served, or are unlinked. Also watches the free space of the spool and tells
 * writers when it gets short.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "lib/record.h"

#define POOL_MAX       4              /* files of 64 MiB that wait to be written over */
#define POOL_ROOM      (512ull << 20) /* free space above spool_min_free below which none is kept */
#define POOL_IDLE_MS   30000          /* no segment was wanted for so long: the pool is given up */
#define SPACE_CHECK_MS 1000

struct segment;
struct conf;
struct smtpd_link;

/* A dead segment, which isn't in memory's way any more. */
void reclaim_segment(struct segment *seg);

/* A file of the pool, found at start. */
void pool_add(uint64_t name);
/* Takes one out: true and its name. */
bool pool_take(uint64_t *name);
unsigned pool_count(void);

/* Begins to watch the space. */
void space_watch(void);
/* Tells one writer how things stand. */
void space_tell(struct smtpd_link *link);
