/* SPDX-License-Identifier: ISC */
/*
 * The writing half of lib/log.h, for lib/log.c only: the buffer of lines, the descriptor and how it
 * is written to without waiting, what stands in front of each line. A lock is held from
 * log_line_begin() to log_line_end(), so a line of one thread never mixes with another's.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "lib/log.h"

/*
 * Where a line of at most LOG_LINE_MAX bytes may be written, with the lock held; NULL, without the
 * lock, when the buffer is full and the line is counted as lost.
 */
char *log_line_begin(void);

/* The line ends before `end`; releases the lock. */
void log_line_end(const char *end);

/*
 * What stands in front of a line: priority or time, role and instance; in JSON the opening brace
 * and those keys. Writes at most size bytes to out, without NUL; returns how many. Under the lock.
 */
size_t log_line_prefix(char *out, size_t size, int level, bool json);

/* Flush, waiting for the descriptor LOG_FATAL_WAIT_MS at most. */
void log_flush_last(void);

/* In lib/log.c: log one line about `lines` that were lost. */
void log_lost(uint64_t lines);
