/* SPDX-License-Identifier: ISC */
/*
 * The queue as a whole: its start and its end, in the order that makes both safe. qmgr/qmgr.c calls
 * this for the process, unit tests for a queue of their own.
 *
 * The start: spool and index are opened and brought together, then links may come. When all
 * neighbours have spoken (qmgr/links.h) orphans are scanned, and once every claim has been looked
 * for, jobs are given out.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "qmgr/punch.h"

struct conf;

/* Opens the spool of the configuration in force (child_self()->conf). 0 or -E.... */
int queue_open(struct punch_pace pace);

/* Jobs are given out. */
bool queue_delivering(void);

/* A new configuration is in force. */
void queue_reconfigured(void);

/* No new jobs; what is under way may end within grace_ms; `left` is called when all is safe. */
void queue_leave(uint32_t grace_ms, void (*left)(void));

/* After the loop: waits for the threads, closes the index. */
void queue_close(void);
