/* SPDX-License-Identifier: ISC */
/*
 * Unix sockets of next hops (LMTP): deliver asks for a connected one through qmgr, master, which
 * alone sees the paths, connects (lib/unix_hop.h). Only what the configuration in force names is
 * connected, whoever asks for it.
 */
#pragma once

#include "lib/chan.h"

/* Handler of qmgr_connect. */
void reach_order(struct chan *chan, union msg_any *msg, void *arg);
