/* SPDX-License-Identifier: ISC */
/*
 * The neighbours of a worker: channels to qmgr, keeper and dnscache, streams from deliver workers.
 * master sends a LINK for each, and a new one when a neighbour was replaced; the old channel then
 * closes by itself.
 */
#pragma once

#include "lib/chan.h"

/* Handler of LINK. */
void links_add(struct chan *chan, union msg_any *msg, void *arg);
