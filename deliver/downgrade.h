/* SPDX-License-Identifier: ISC */
/*
 * A job's message for a peer without 8BITMIME (RFC 6152 §3): read twice from its segment, once to
 * find out what has to be changed (deliver/mime_walk.h) and once to send it. A few KiB of memory
 * for any message.
 */
#pragma once

#include <event2/buffer.h>

#include "deliver/jobs.h"

#define DOWNGRADE_TURN (256u << 10) /* bytes that are looked at before others have their turn */

struct downgrade;

/* The job must outlive it. NULL when out of memory. */
struct downgrade *downgrade_new(const struct job *job);
/* NULL is allowed. */
void downgrade_free(struct downgrade *d);

/*
 * Looks at the next DOWNGRADE_TURN bytes. Returns 1: there is more; 0: it can be sent; -EILSEQ: it
 * can't be changed, downgrade_why() says why; errors of body_fill().
 */
int downgrade_look(struct downgrade *d);
const char *downgrade_why(const struct downgrade *d);

/*
 * After downgrade_look() has returned 0: appends the next bytes to out, about max, as body_fill()
 * would, with what that returns.
 */
int downgrade_fill(struct downgrade *d, struct evbuffer *out, size_t max);
