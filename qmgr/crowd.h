/* SPDX-License-Identifier: ISC */
/*
 * The crowd: connections to next hops, all sites together. There are at most deliver.connections
 * of them, fewer where the workers' descriptors wouldn't do. When that is reached the one that has
 * been idle longest makes room; when none is idle pools stand in line, those without any
 * connection first, and a pool with several gives one up when it has finished a job.
 *
 * Local delivery and notices have limits of their own and aren't counted.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct conn;
struct pool;

/* A pool's place in the line: part of struct pool. */
struct crowd_place {
	struct pool *next, *prev;
	uint8_t line; /* 0: in none */
	bool called;  /* its turn has come */
};

/* Whether the pool may open one more; else it is looked at again when it may. */
bool crowd_admit(struct pool *pool);

/* Whether even a probe, which passes the line, has to wait: a quarter above the limit. */
bool crowd_full(const struct pool *pool);

/* The pool is freed, or needs no connection any more. */
void crowd_forget(struct pool *pool);

/* A connection begins, is gone; has nothing to do, has; was asked to close. Doing it again is
 * harmless. */
void crowd_enter(struct conn *conn);
void crowd_leave(struct conn *conn);
void crowd_idle(struct conn *conn);
void crowd_busy(struct conn *conn);
void crowd_closing(struct conn *conn);

/* Whether the pool, which has just finished a job, has to give up one of its connections. */
bool crowd_yield(const struct pool *pool);

/* At the end of a turn: who is in line and may open now is looked at; who is idle is closed. */
void crowd_pump(void);

/* Connections, and how many there may be. */
unsigned crowd_count(void);
unsigned crowd_limit(void);
