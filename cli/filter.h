/* SPDX-License-Identifier: ISC */
/*
 * The one filter language of the queue verbs (DESIGN §9): IDs, --sender --recipient --domain --site
 * --class --older --larger --reason --state --all. All that are given must match.
 */
#pragma once

#include "lib/query.h"

#define FILTER_USAGE                                                                 \
	"[ID...] [--sender P] [--recipient P] [--domain P] [--site P] [--class P]\n" \
	"           [--older 2h] [--larger 1M] [--reason P] [--state deferred|held|...] [--all]"

/* Room for the IDs that a filter points to. */
struct filter {
	struct query_filter query;
	uint64_t ids[QUERY_IDS_MAX];
};

/* What a command line holds besides the filter. */
struct filter_options {
	bool json, dry_run;
	bool bounce;    /* --bounce: of a deletion */
	const char *by; /* --by: how a listing is grouped; NULL: not */
};

/* Says that nothing matched; the exit code for that: TOOL_FAILED. */
int filter_nothing(void);

/*
 * Reads a command line (argv of argc words, without the verb). Returns 0, or -1 after saying on
 * stderr which word is wrong.
 */
int filter_parse(int argc, char **argv, struct filter *filter, struct filter_options *options);
