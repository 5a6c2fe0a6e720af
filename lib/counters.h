/* SPDX-License-Identifier: ISC */
/*
 * Counters in shared memory: one page of numbers per process, which the process alone writes and
 * master (and later the metrics listener) reads without asking anyone. The names stand in
 * lib/counters.def. A page is a sealed memfd that master makes for each place (role, instance) and
 * hands to whoever fills that place, as descriptor CHILD_COUNTERS: counts go on rising when a child
 * is replaced, gauges begin at 0.
 *
 * counter_add() works from any thread and at any time: before counters_attach() (tools, tests) it
 * counts in memory of its own. A value read is never torn; values of one page are not of one
 * moment.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

enum counter {
#define COUNTER(name, kind, help) C_##name,
#include "lib/counters.def"
#undef COUNTER
	COUNTERS
};

enum counter_kind { COUNT, GAUGE };

#define COUNTERS_MAGIC 0x4241544f4e435431ull /* "BATONCT1" */

struct counters_page {
	uint64_t magic;
	uint64_t n; /* COUNTERS of the build that made the page */
	uint64_t v[COUNTERS];
};

/* This process's page; never NULL. */
extern struct counters_page *counters_mine;

/* Adds to a count of this process (about 5 ns, no system call). */
static inline void counter_add(enum counter c, uint64_t n)
{
	__atomic_fetch_add(&counters_mine->v[c], n, __ATOMIC_RELAXED);
}

/* Takes off a gauge of this process. */
static inline void counter_sub(enum counter c, uint64_t n)
{
	__atomic_fetch_sub(&counters_mine->v[c], n, __ATOMIC_RELAXED);
}

/* Sets a gauge of this process. */
static inline void counter_set(enum counter c, uint64_t n)
{
	__atomic_store_n(&counters_mine->v[c], n, __ATOMIC_RELAXED);
}

/* One value of a page, this process's or another's. */
static inline uint64_t counter_read(const struct counters_page *page, enum counter c)
{
	return __atomic_load_n(&page->v[c], __ATOMIC_RELAXED);
}

/* As in counters.def; "" for a number out of range. */
const char *counter_name(enum counter c);
const char *counter_help(enum counter c);
bool counter_is_gauge(enum counter c);

/*
 * Makes a page: a memfd that can't be resized any more (*fd, close-on-exec, the caller's) and its
 * mapping in this process. Returns NULL with errno set. A page is never unmapped by its maker as
 * long as its place exists.
 */
struct counters_page *counters_create(int *fd);
void counters_free(struct counters_page *page);

/*
 * Makes the page behind fd this process's own, its gauges 0; fd may be closed afterwards. Returns
 * 0, -EBADMSG for a page of another build or a wrong size, or another -E...; then this process
 * counts in memory of its own.
 */
int counters_attach(int fd);
