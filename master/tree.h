/* SPDX-License-Identifier: ISC */
/*
 * The tree of processes as a whole: how it starts, becomes ready, takes a new configuration and
 * stops. place.h has the single process.
 */
#pragma once

#include "master/place.h"

#define START_TRIES      3     /* of one place before the instance as a whole gives up starting */
#define OLD_IDLE_MS      30000 /* an old generation after a reload: its idle clients */
#define OLD_GRACE_MS     60000 /* and all of it */
#define STOP_SESSIONS_MS 28000 /* SIGTERM: for transactions that are under way */
#define STOP_MAX_MS      30000 /* SIGTERM: until nothing is left */

/*
 * Starts all processes that the configuration in force wants. `ready` is called once, when all said
 * READY, are linked and have their sockets. If one can't be started the loop ends with its exit
 * code.
 */
void tree_start(void (*ready)(void));

/*
 * Brings the tree to the configuration now in force: CONFIG to who takes it in place, a new
 * generation of who is replaced, more or fewer workers.
 */
void tree_reload(void);

/* CONFIG anew to one role only (the resolvers changed). */
void tree_reconfigure(enum role role);

/*
 * Drains all, stage by stage, and ends the loop with `code` when nothing is left, after
 * STOP_MAX_MS at the latest. Called a second time it kills what is left.
 */
void tree_stop(int code);
bool tree_is_stopping(void);

/* For place.c: something about the whole may have changed with this place. */
void tree_place_ready(struct place *place);

/* For place.c: whether a process that ended like this is started again, and when. */
struct tree_restart {
	bool again;
	unsigned delay_ms;
};
struct tree_restart tree_place_ended(struct place *place);

/* For place.c: the handlers of a child's messages. */
extern const struct chan_handlers tree_handlers;
