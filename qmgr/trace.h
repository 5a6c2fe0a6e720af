/* SPDX-License-Identifier: ISC */
/*
 * What qmgr records of a message for `batonctl trace` (lib/events.h), where that takes more than a
 * line. A recipient that waits is noted when it begins to, not each time it is looked at.
 */
#pragma once

#include <stdint.h>

#include "lib/events.h"
#include "lib/job.h"

struct conn;
struct dest;
struct job;
struct message;
struct pool;
struct rcpt;

/* A message was read from its segment and has its recipients. */
void trace_taken(const struct message *msg);

/* It goes back into the index although it is due: its destination is parked, or others have all
 * the room in memory. */
void trace_parked(const struct rcpt *rcpt);

/* It was put among the ready ones of its destination. */
void trace_ready(const struct rcpt *rcpt);

/* What stops the pool's ready recipients, said of the one whose turn it is. */
void trace_pool(struct pool *pool);

/* A connection is ordered from a worker; a job is given to one. */
void trace_connecting(const struct conn *conn, struct msg_bytes host);
void trace_handed(const struct job *job);

/* The end of an attempt. */
void trace_result(const struct rcpt *rcpt, const char *result, const struct job_result *words);
