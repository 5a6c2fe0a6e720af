/* SPDX-License-Identifier: ISC */
/*
 * The state of an instance at one moment, for status and top: processes from master, figures from
 * the board (lib/board.h), sites and pauses from qmgr, memory and CPU from /proc. What can't be had
 * is left out and said: an instance whose qmgr is down is what one wants to look at.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "lib/board.h"
#include "lib/conf.h"
#include "lib/query.h"
#include "lib/status.h"

#define SNAPSHOT_STATE 16 /* bytes of a process's state with its NUL */

struct snapshot_process {
	struct status_process p; /* p.state points to `state` */
	char state[SNAPSHOT_STATE];
	bool seen; /* /proc shows it */
	uint64_t memory, cpu_ms;
};

struct snapshot_site {
	struct query_site s; /* texts are copies */
	bool trouble;        /* down, probing, or refused something lately */
};

struct snapshot {
	const struct board *board;
	struct snapshot_process *processes;
	struct snapshot_site *sites; /* in trouble first, then by what waits */
	struct query_pause_row *pauses;
	size_t nprocesses, nsites, npauses;
	bool qmgr;       /* it answered: sites and pauses are there */
	int64_t at_ms;   /* monotonic */
	uint64_t now_ms; /* wall clock */
	uint64_t sum[COUNTERS];
};

/*
 * Takes one. board: of an earlier snapshot, or NULL: it is asked for. count: also count what waits
 * for each site, which takes a walk over the index. Returns a TOOL_ code (cli/tool.h): anything but
 * TOOL_OK means that master could not be asked, which was said on stderr.
 */
int snapshot_take(
    struct snapshot *s, const struct conf *conf, const struct board *board, bool count);

/* Frees it, but for the board. */
void snapshot_free(struct snapshot *s);

/* The board of the instance; NULL after saying why on stderr, *code is a TOOL_ code. */
const struct board *snapshot_board(const struct conf *conf, int *code);
