/* SPDX-License-Identifier: ISC */
/*
 * Dialogues that are logged (lib/dialogue.h): master keeps the list, tells the roles, and takes a
 * rule off when its time is over. A reload changes nothing of it, a new master knows of none.
 */
#pragma once

#include "lib/chan.h"

struct place;

/* Handler of tool_debug, for who may ask it. */
void debug_asked(struct chan *chan, union msg_any *msg, void *arg);

/* Tells a new process what is in force. */
void debug_send(const struct place *place);
