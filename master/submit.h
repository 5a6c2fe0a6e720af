/* SPDX-License-Identifier: ISC */
/*
 * What a user may send (keeper): SUBMIT of lib/msg.def. The sender must be one of the user's
 * (owners.h), and in any hour he has limits.per_user_hour recipients over all workers. What he had
 * is kept in memory, for SUBMIT_USERS users; a new keeper begins at nothing.
 */
#pragma once

#include "lib/chan.h"
#include "lib/conf.h"

#define SUBMIT_USERS   10000 /* users whose recipients are counted; more: the oldest is forgotten */
#define SUBMIT_HOUR_MS 3600000

/* Takes sender_owners and limits of that configuration, now and after a reload. */
void submit_use(const struct conf *conf);

/* Handler of keeper_submit. */
void submit_asked(struct chan *chan, union msg_any *msg, void *arg);
