/* SPDX-License-Identifier: ISC */
/*
 * The event loop of a process: one libevent base and what is done once a turn. A turn is one
 * wake-up with everything that was ready; at its end the channels send one packet each, the
 * connections write once, the log is flushed. That is what keeps system calls per message low.
 *
 * One loop per process, made by loop_init() and never freed. Not for threads.
 */
#pragma once

#include <event2/event.h>
#include <stdbool.h>
#include <stdint.h>

/* Work to be done at the end of the turn, once, however often it was asked for. */
struct loop_task {
	struct loop_task *next;
	void (*run)(struct loop_task *);
	bool queued;
};

/* Makes the base. Aborts when it can't: a process without a loop has no purpose. */
void loop_init(void);

/* The base, for event_new() and friends. */
struct event_base *loop_base(void);

/*
 * Asks for task->run at the end of this turn. Tasks run in the order asked; one that asks again
 * while running is run again in the same turn. The memory is the caller's and must stay until it
 * ran or loop_cancel() was called.
 */
void loop_defer(struct loop_task *task);
void loop_cancel(struct loop_task *task);

/* Runs turns until loop_stop(); returns the code given there. */
int loop_run(void);
/* Runs one turn: for tests. */
void loop_turn(void);
void loop_stop(int code);

/* Milliseconds of the monotonic clock, read at most once a turn. */
uint64_t loop_ms(void);
