/* SPDX-License-Identifier: ISC */
/*
 * Helper threads: the loop never waits for the disk, so whatever touches it runs here. A thread
 * runs what it is given in order; the loop calls each one's `done` in that same order. That order
 * is what qmgr's reasoning about the index rests on (qmgr/QUEUE): a read that was asked for before
 * a change is handed back before the change is reported as committed.
 *
 * The loop's thread alone calls these functions. A struct work is its owner's, and untouched by
 * the loop between work_submit() and `done`.
 */
#pragma once

#include <stdbool.h>

struct work {
	struct work *next;
	void (*run)(struct work *work);  /* on the thread */
	void (*done)(struct work *work); /* in the loop; may free work or submit it again */
};

struct work_thread;

/* The two threads of qmgr: index transactions; file operations in the spool. */
extern struct work_thread *work_index, *work_files;

/* Starts a thread with all signals blocked. Aborts when that fails. */
struct work_thread *work_thread_start(const char *name);

/* Hands work over. */
void work_submit(struct work_thread *thread, struct work *work);

/*
 * Waits until the thread has nothing left and calls every `done`, also of what those submit: for
 * the end of the process and for tests.
 */
void work_wait(struct work_thread *thread);

/* Ends the thread after what it has; NULL is allowed. `done` is not called for the rest. */
void work_thread_stop(struct work_thread *thread);
