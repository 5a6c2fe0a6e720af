/* SPDX-License-Identifier: ISC */
/*
 * What a user may send (keeper): SUBMIT of lib/msg.def. The sender must be one of the user's
 * (owners.h), and in any hour he has limits.per_user_hour recipients over all workers. What he had
 * is kept in memory, for SUBMIT_USERS users; a new keeper begins at nothing.
 *
 * Who submits on this host comes as a number: his login name is looked up and holds as a user's
 * does, or the number itself where it has no name. root may send anything. While the name can't be
 * looked up he has none, which is allowed where no limit depends on it.
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

/* That asker is gone: nobody wants its answers. */
void submit_forget(struct chan *chan);
