/* SPDX-License-Identifier: ISC */
/*
 * The listening sockets of a worker. All workers wait on the same sockets; each takes at most
 * ACCEPT_TURN clients a wake-up, so that they share. Limits are kept here: when all workers
 * together hold `limits.clients`, or this one has no descriptor left, it takes none until one
 * leaves, and new ones wait in the kernel's queue, or go to another worker. Strangers are counted
 * by address, and are turned away when no more than `limits.reserved` percent are left.
 */
#pragma once

#include "lib/conf.h"
#include "lib/msg.h"

#define ACCEPT_TURN      4
#define ACCEPT_FD_MARGIN 64   /* descriptors kept for segments and channels */
#define ACCEPT_PAUSE_MS  1000 /* a full worker looks again at the latest */
#define ACCEPT_LOW       75   /* percent of the slots: from here on clients get CLIENT_LOW_MS */
#define ACCEPT_LAST      90   /* and from here on CLIENT_LAST_MS */

/* Before the chroot: what the descriptor limit and the configuration allow. */
void accept_init(const struct conf *conf);

/* A listening socket (taken over). listener: its index in conf->listen, for LISTEN_SMTP. */
void accept_add(int fd, enum listen_kind kind, unsigned listener);

/* A connected client that master handed over: a deliver worker with notices. */
void accept_notice(int fd);

/* Closes all listeners, for good. */
void accept_stop(void);
