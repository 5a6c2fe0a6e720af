/* SPDX-License-Identifier: ISC */
/*
 * The one filter language of the queue verbs (DESIGN §9): IDs, or --sender --recipient --domain
 * --site --older --larger --state --all, all of which must match.
 */
#pragma once

#include "lib/query.h"

#define FILTER_USAGE                                                                  \
	"[ID...] [--sender P] [--recipient P] [--domain P] [--site P] [--older 2h]\n" \
	"           [--larger 1M] [--state ready|active|deferred|bouncing|damaged|poison] [--all]"

/* Room for the IDs that a filter points to. */
struct filter {
	struct query_filter query;
	uint64_t ids[QUERY_IDS_MAX];
};

/* What a command line holds besides the filter. */
struct filter_options {
	bool json, dry_run;
};

/*
 * Reads a command line (argv of argc words, without the verb). Returns 0, or -1 after saying on
 * stderr which word is wrong.
 */
int filter_parse(int argc, char **argv, struct filter *filter, struct filter_options *options);
