/* SPDX-License-Identifier: ISC */
/*
 * What `rows` of tool_controlled holds after CONTROL_STATUS: a row for each process of the tree,
 * then the counters of all processes added up. Master writes it, batonctl reads it; both use these
 * functions, so there is one form. Text points into the encoded bytes.
 */
#pragma once

#include <stdint.h>

#include "lib/msg.h"
#include "lib/wire.h"

#define CONTROL_SOCKET "control" /* name of the socket in `runtime` */
#define STATUS_MAX     60000     /* bytes of an encoded status */

/* One process, or a place that waits for one (pid 0). */
struct status_process {
	uint8_t role; /* enum role */
	uint16_t instance;
	uint32_t pid;
	uint64_t uptime_ms; /* since it served; 0: it doesn't yet */
	uint32_t restarts;
	uint32_t crashes;
	struct msg_bytes state; /* "running", "starting", "draining", "waiting", ... */
};

/* One counter (lib/counters.def), over all processes. */
struct status_counter {
	struct msg_bytes name;
	uint64_t value;
};

/* Writing: any number of processes, then any number of counters, in that order or mixed. */
void status_put_process(struct wire_out *out, const struct status_process *process);
void status_put_counter(struct wire_out *out, const char *name, uint64_t value);

enum status_row { STATUS_END = 0, STATUS_PROCESS = 1, STATUS_COUNTER = 2 };

/*
 * Reading: the next row goes into *process or *counter; the return value says into which. *pos
 * starts at 0. STATUS_END at the end, -EBADMSG for a broken list.
 */
int status_next(struct msg_bytes rows, size_t *pos, struct status_process *process,
    struct status_counter *counter);
