/* SPDX-License-Identifier: ISC */
/*
 * The drop folder (lib/drop.h): mail that sendmail left while nobody could take it. For each file
 * master forks a child that becomes its owner and execs pickup on the descriptor; master reads no
 * byte of it. Files are looked for when the instance is ready, on inotify, and when one is due.
 *
 * A file that was deferred tells by itself when it is due: its time of change (utimes) is set to
 * then, as far away as the file is old, by its name, within DROP_RETRY_MIN_S and DROP_RETRY_MAX_S.
 * What is refused, and what is no file of ours, is moved to `spool`/refused, with a line in the
 * log.
 */
#pragma once

#include <stdbool.h>
#include <sys/types.h>

#define DROP_RUNNING_MAX 8   /* pickups at a time */
#define DROP_PER_USER    4   /* of one user */
#define DROP_SLICE       100 /* names looked at in one turn */
#define DROP_TIME_MAX_S  900 /* of one pickup; then it is killed and tried again */
#define DROP_RETRY_MIN_S 5
#define DROP_RETRY_MAX_S 1800
#define DROP_LOOK_S      300        /* the folder is looked through at least that often */
#define DROP_STALE_S     86400      /* a hidden file that old was left by who died: it is removed */
#define DROP_REFUSED_MAX 10000      /* files in `refused`; more stay where they are */
#define DROP_SIZE_SLACK  (4u << 20) /* of a file beyond message_size: its envelope */

/* The instance is ready: begin. */
void drop_start(void);

/* Whether that process was a pickup; does what its end means. */
bool drop_reaped(pid_t pid, int status);

/* master ends: no new one is started, those under way end with smtpd or are killed. */
void drop_stop(void);
