/* SPDX-License-Identifier: ISC */
/*
 * The ends of processes: collects them, says what an end means, and how long to wait before the
 * next try. The second half is pure and has its own tests.
 */
#pragma once

#include <stddef.h>
#include <sys/types.h>

/* what master does about it (lib/child.h has the exit codes) */
enum reap_verdict {
	REAP_DONE,      /* exit 0 */
	REAP_NEVER,     /* exit 100: it can't work like this, trying again is of no use */
	REAP_TEMPORARY, /* exit 111, and codes that mean nothing to us */
	REAP_CRASH      /* a signal */
};

/* Begins to collect ended processes: places by place_reaped(), deliveries by mailbox_reaped(),
 * pickups of dropped mail by drop_reaped(). */
void reap_init(void);

enum reap_verdict reap_judge(int status);

/* "exit code 111", "killed by signal 9 (Killed)"; returns buf. */
const char *reap_words(int status, char *buf, size_t size);

/*
 * Milliseconds until the next start of a place that has now failed that often in a row: at once the
 * first time, for the others depend on it and it may have been one bad message, then growing to a
 * minute. After a temporary failure never at once.
 */
unsigned reap_delay_ms(enum reap_verdict verdict, unsigned failures);
