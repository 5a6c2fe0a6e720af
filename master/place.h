/* SPDX-License-Identifier: ISC */
/*
 * Places: one for each (role, instance), the state machine of each, and the walk over all. A place
 * outlives its processes: it keeps their counters, the number of restarts and the back-off. tree.c
 * moves places for reasons of the whole; here is what a single one can do.
 *
 * All of it runs on master's loop. Handlers of a child's messages see its place as the channel's
 * arg.
 */
#pragma once

#include <event2/event.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "lib/chan.h"
#include "master/services.h"

#define START_MAX_MS 30000 /* from exec to READY; then it is killed and counts as crashed */
#define LEAVE_MAX_MS 2000  /* from the end of its channel to its own end; then it is killed */
#define STABLE_MS    10000 /* who served that long starts with a clean slate */

enum place_state {
	PLACE_EMPTY,    /* no process, none is coming */
	PLACE_WAITING,  /* no process, the next one comes after the back-off */
	PLACE_STARTING, /* a process that hasn't said READY */
	PLACE_RUNNING,
	PLACE_DRAINING, /* it was told to finish */
	PLACE_ENDING, /* its channel is closed, or it is dead and its channel isn't read to the end
		       */
	PLACE_STATES
};

struct place {
	const struct service *service;
	unsigned instance; /* 1, 2, ... */
	enum place_state state;
	bool wanted; /* a process belongs here */
	bool linked; /* it has its neighbours */
	pid_t pid;   /* 0: none */
	struct chan *chan;
	struct event *timer; /* of the state: back-off, start, drain or leave */
	unsigned page; /* of the board: lib/board.h */
	int events_fd; /* lib/events.h; -1: the role has no ring */
	int64_t started_ms, ready_ms; /* monotonic; ready_ms 0: not yet */
	unsigned starts, crashes;
	unsigned failures; /* ends in a row that came too soon */
	int status;        /* of the last process that ended, as wait() gave it */
};

/* The name of a state, for status and logs. */
const char *place_state_name(enum place_state state);

/* "smtpd/1"; in a static buffer. */
const char *place_name(const struct place *place);

/* Whether the place's process may be given links and work. */
static inline bool place_serves(const struct place *p)
{
	return p->state == PLACE_RUNNING || p->state == PLACE_DRAINING;
}

/* Walks all places that were ever filled; start with NULL, ends with NULL. */
struct place *place_next(const struct place *after);

/* The lowest place of a role in which nobody is and nobody is wanted; NULL when all are taken. */
struct place *place_vacant(const struct service *service);

/* The place of a process; NULL for none. */
struct place *place_find(pid_t pid);

/* Processes of a role that serve: RUNNING or DRAINING. */
unsigned places_serving(enum role role);

/* Starts a process in an empty or waiting place; when that fails, again after a back-off. */
void place_start(struct place *place);

/* READY came from a starting one. */
void place_ready(struct place *place);

/*
 * Tells a serving process to finish within grace_ms, idle clients after idle_ms; one that has not
 * said READY is ended.
 */
void place_drain(struct place *place, unsigned idle_ms, unsigned grace_ms);

/* Closes the channel, whereupon a sane process leaves at once; a stuck one is killed. */
void place_end(struct place *place);

/* Kills the process, whatever it does. */
void place_kill(struct place *place);

/* Gives up waiting for a restart. */
void place_forget(struct place *place);

/* The channel of the place's process is at its end (all it sent was handled). */
void place_closed(struct place *place);

/* Its process ended with this wait status. */
void place_reaped(struct place *place, int status);
