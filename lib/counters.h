/* SPDX-License-Identifier: ISC */
/*
 * Counters in shared memory: one page of numbers per process, which the process alone writes and
 * others read without asking anyone. The names stand in lib/counters.def. The pages lie on the
 * board (lib/board.h), one for each place (role, instance): counts go on rising when a child is
 * replaced, gauges begin at 0.
 *
 * counter_add() works from any thread and at any time: before counters_use() (tools, tests) it
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

struct counters_page {
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

/* Makes that page this process's own, its gauges 0; what was counted before goes along. */
void counters_use(struct counters_page *page);
