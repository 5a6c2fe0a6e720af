/* SPDX-License-Identifier: ISC */
/* The rings of events (lib/events.h) for a tool: descriptors to read from, nothing is read here. */
#pragma once

#include "lib/chan.h"

/* Handler of tool_rings, for who may ask it. */
void rings_asked(struct chan *chan, union msg_any *msg, void *arg);
