/* SPDX-License-Identifier: ISC */
#include "lib/counters.h"

static struct counters_page unshared;
struct counters_page *counters_mine = &unshared;

static const struct {
	const char *name;
	const char *help;
	enum counter_kind kind;
} rows[COUNTERS] = {
#define COUNTER(name, kind, help) [C_##name] = {#name, help, kind},
#include "lib/counters.def"
#undef COUNTER
};

/* counter_name - the name in code and metrics */
const char *counter_name(enum counter c)
{
	return (unsigned)c < COUNTERS ? rows[c].name : "";
}

/* counter_help - what is counted, in a sentence */
const char *counter_help(enum counter c)
{
	return (unsigned)c < COUNTERS ? rows[c].help : "";
}

/* counter_is_gauge - whether the value may fall */
bool counter_is_gauge(enum counter c)
{
	return (unsigned)c < COUNTERS && rows[c].kind == GAUGE;
}

/* counters_use - what this process has counted so far is its own too */
void counters_use(struct counters_page *page)
{
	for (unsigned c = 0; c < COUNTERS; c++) {
		uint64_t n = counters_mine->v[c];
		if (rows[c].kind == GAUGE)
			page->v[c] = n;
		else
			page->v[c] += n;
	}
	counters_mine = page;
}
