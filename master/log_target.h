/* SPDX-License-Identifier: ISC */
/*
 * Where the log of the whole instance goes. To stderr: every process writes to the descriptor
 * itself. To syslog: the processes write to a socket of ours and master hands each line on, since
 * it alone can connect to /dev/log again when that was renewed. Where there is no /dev/log: stderr.
 * Where stderr is the journal's the lines are in its form (LOG_TO_JOURNAL).
 */
#pragma once

#include "lib/conf.h"

/* Opens the target for master and for all children to come. After loop_init() and spawn_init(). */
void log_target_start(const struct conf *conf);

/* Level and form of a new configuration. The target itself stays until a restart. */
void log_target_apply(const struct conf *conf);

/* Hands on what still waits, before the end. */
void log_target_drain(void);
