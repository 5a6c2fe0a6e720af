/* SPDX-License-Identifier: ISC */
/*
 * An ordered list of hosts (route.to): which of a pool's targets is in use. When nothing stands and
 * the one in use doesn't let us in, the next one is tried at once; behind the last one the site is
 * down. While a later one is in use the first one is tried with growing distance, as a site that is
 * down is probed, by a connection of its own beside those that carry mail: a scout. When that
 * stands everything goes to the first one again.
 */
#pragma once

#include <stdbool.h>

struct conn;
struct pool;

/* The one in use failed: tries the next one. False: there is none, or others still stand. */
bool fallback_next(struct pool *pool);

/* The pool is being fed: sends a scout if it is time for one. */
void fallback_look(struct pool *pool);

/*
 * A connection of the pool failed; it is gone. True: that says nothing of the site, since it was a
 * scout or went to a host that isn't in use any more. words: what was said.
 */
bool fallback_lone(const struct conn *conn);
void fallback_failed(struct pool *pool);

/* A connection stands: if it was a scout, its host is in use from now on. */
void fallback_opened(struct conn *conn);
