/* SPDX-License-Identifier: ISC */
/*
 * Who deliver talks to: LINK from master brings its end of a socket pair with qmgr, dnscache or an
 * smtpd, also when that neighbour was replaced. Messages are passed on from here to the module that
 * they concern.
 */
#pragma once

#include "lib/chan.h"

/* Handlers of the channel to master, for child_start(). */
extern const struct chan_handlers links_master;
