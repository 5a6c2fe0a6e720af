/* SPDX-License-Identifier: ISC */
/*
 * Threads of keeper's pools (accounts.h, checks.h): detached, and with no signal of the loop's.
 * SIGSYS stays unblocked, for it is the sandbox's (lib/sandbox.h). What they are done with goes
 * back to the loop by a struct handback.
 */
#pragma once

#include <pthread.h>

/* Starts n of them, for good. Returns 0 or -E.... */
int threads_start(unsigned n, void *(*run)(void *));

/* The first member of what is handed back. */
struct handed {
	struct handed *next;
};

/* The way from threads to the loop, of one pool. */
struct handback {
	pthread_mutex_t lock;
	struct handed *first, **last;
	int fd;
	struct event *event;
	void (*take)(struct handed *one);
};

/* take() is called on the loop with each one, in the order given. Returns 0 or -E.... */
int handback_start(struct handback *h, void (*take)(struct handed *one));

/* From any thread. */
void handback_give(struct handback *h, struct handed *one);
