/* SPDX-License-Identifier: ISC */
/*
 * The folders of an instance and the lock that makes it the only one on its spool. Called once at
 * start, before anything is bound or forked.
 */
#pragma once

#include <sys/types.h>

#include "lib/conf.h"
#include "master/services.h"

#define SPOOL_EMPTY "empty" /* the folder in `runtime` into which roles are locked */

/*
 * Makes what lacks of spool, its folders segments, index (both qmgr's alone), drop (1733) and
 * refused (master's alone), and of runtime and its empty folder; gives modes and owners as they
 * must be. Returns 0 or -E..., and in `path` (of PATH_MAX bytes) what it was about.
 */
int spool_prepare(const struct conf *conf, char *path);

/*
 * Takes the lock `spool`/lock and writes our pid into it. Returns the descriptor, which every child
 * inherits: the lock is free when the last of them is gone. -EBUSY with *holder when it belongs to
 * a living instance; a dead one's children get up to wait_ms to leave. Else -E....
 */
int spool_lock(const struct conf *conf, int wait_ms, pid_t *holder);

/* The pid in the lock file of a spool, 0 if there is none. */
pid_t spool_lock_holder(const struct conf *conf);
