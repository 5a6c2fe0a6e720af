/* SPDX-License-Identifier: ISC */
/*
 * Local deliveries: qmgr orders one with qmgr_local, master forks a child that becomes the
 * recipient's user and execs libexec/baton/local (lib/local.h is the contract). The child, not
 * master, asks the name service who that is. What goes wrong before the exec is written into the
 * result socket by the child (or here, when there is no child), so that deliver always hears.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "lib/chan.h"

#define MAILBOX_RUNNING_MAX                                                   \
	64 /* over all; qmgr's site `local` asks for 10 unless told otherwise \
	    */

/* Handler of qmgr_local. */
void mailbox_order(struct chan *chan, union msg_any *msg, void *arg);

/* Whether that process was a delivery; notes its end. */
bool mailbox_reaped(pid_t pid, int status);

/* Deliveries under way. */
unsigned mailbox_running(void);

/* master ends: nobody is left to hear of their results. */
void mailbox_stop(void);
