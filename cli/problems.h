/* SPDX-License-Identifier: ISC */
/*
 * What is wrong with an instance, in words for someone who sees it for the first time: what it is,
 * why, and what to do next. Worst first.
 */
#pragma once

#include "cli/snapshot.h"

#define PROBLEM_TEXT 900

struct problem {
	const char *kind; /* "process", "queue", "disk", "site", "pause", "aside": stable */
	bool bad;         /* mail is not taken, or not sent; else to be known */
	char subject[300], reason[PROBLEM_TEXT], next[PROBLEM_TEXT];
};

typedef void problem_fn(const struct problem *problem, void *arg);

/* Calls fn with each; the number of them. At most `sites` are of sites. */
unsigned problems_find(
    const struct snapshot *s, const struct conf *conf, unsigned sites, problem_fn *fn, void *arg);
