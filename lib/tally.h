/* SPDX-License-Identifier: ISC */
/*
 * What the smtpd workers hold together: how many sessions there are, how many of each client, and
 * how often each client did something lately. Limits so hold for all workers.
 *
 * One memfd that master makes and hands to each worker as CHILD_SHARED: a head with a line for each
 * worker, then a table for each. A worker writes its own line and table only and reads all, so
 * there are no locks, and what a dead worker held goes with its part (tally_forget()). Whoever
 * counts itself in first and then reads the sum never exceeds a limit; two that do so at once may
 * both be refused below it.
 *
 * Before tally_attach() (unit tests) a worker counts alone in memory of its own.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "lib/dns.h"

#define TALLY_WORKERS 512   /* places of smtpd: two generations */
#define TALLY_BUCKETS 2048  /* of each worker's table */
#define TALLY_WAYS    8     /* clients of one bucket; more in one bucket are not counted */
#define TALLY_MAGIC   0x4241544f4e544c31ull /* "BATONTL1" */

/* what is counted by time */
enum tally_what {
	TALLY_CONNECTIONS,
	TALLY_MESSAGES,
	TALLY_RECIPIENTS,
	TALLY_ERRORS,
	TALLY_WHATS
};

struct tally_client;

/* -- master ------------------------------------------------------------------------------- */

/* Makes the file; its descriptor (close-on-exec) or -E.... */
int tally_create(void);

/* A worker (1 to TALLY_WORKERS) is dead: nothing of it counts any more, its memory goes. */
void tally_forget(int fd, unsigned worker);

/* -- smtpd -------------------------------------------------------------------------------- */

/*
 * Counts in the file behind fd from now on, as that worker, beginning at nothing. Before the
 * sandbox. Returns 0, -EBADMSG or another -E...; then this worker goes on counting alone.
 */
int tally_attach(int fd, unsigned worker);

/* Says how many sessions this worker holds, and returns how many all hold. */
uint32_t tally_sessions(uint32_t mine);

/*
 * One session more of a client: an IPv4 address, or the /64 of an IPv6 address. NULL when its
 * bucket is full of clients that have sessions. The functions below take NULL as a client of
 * whom nothing is known.
 */
struct tally_client *tally_enter(const struct dns_addr *addr);
/* And one less; the pointer is invalid afterwards. */
void tally_leave(struct tally_client *c);

/* Its sessions in all workers. */
uint32_t tally_open(const struct tally_client *c);

/*
 * How often the client did that in the present period of the clock, in all workers; `add` more are
 * counted before. period in ms, not 0, always the same for one `what`.
 */
uint32_t tally_rate(struct tally_client *c, enum tally_what what, uint32_t period, uint32_t add);
