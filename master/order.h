/* SPDX-License-Identifier: ISC */
/*
 * What a tool wants of keeper (newaliases: the map of the aliases file, now), passed on by master:
 * the control socket is master's, the map keeper's. One order of a tool at a time.
 */
#pragma once

#include "lib/chan.h"

/* CONTROL_ALIASES: answers the tool with tool_controlled, now or when keeper is through. */
void order_aliases(struct chan *tool);

/* The tool is gone: nobody waits for the answer. */
void order_forget(const struct chan *tool);

/* Handler of aliases_is. */
void order_done(struct chan *chan, union msg_any *msg, void *arg);

/* keeper is gone: what it was asked is answered so. */
void order_lost(void);
