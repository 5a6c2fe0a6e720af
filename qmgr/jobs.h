/* SPDX-License-Identifier: ISC */
/*
 * What a job says: its kind, which recipients go together, and the message to deliver. When a job
 * is given out, and to which connection, is dispatch.c's business, which alone calls this.
 */
#pragma once

#include "qmgr/dispatch.h"

/* What a job of that transport is. */
enum job_kind jobs_kind(enum transport transport);

/*
 * Puts first and what goes with it into list and rcpts, `max` at most: its message's ready
 * recipients at the same destination with the same sender, where the site wants that of one domain
 * only. They stay where they are. Returns their number.
 */
unsigned jobs_fill(struct rcpt *first, struct rcpt **rcpts, unsigned max, struct job_list *list);

/* Sends the job to the worker of its connection; list is of its recipients. */
void jobs_send(struct job *job, const struct job_list *list);
