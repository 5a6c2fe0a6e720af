/* SPDX-License-Identifier: ISC */
/*
 * `queue --by`: what matches, counted by site, reason, sender or class. Counted here, over the
 * stream of rows, so that qmgr has no more to do than for a listing.
 */
#pragma once

#include <stdbool.h>

#include "lib/conf.h"
#include "lib/query.h"

#define GROUPS_MAX 100000 /* apart; what comes with a further name is counted as "(others)" */

/* by: "site", "reason", "sender" or "class". Returns a TOOL_ code (cli/tool.h). */
int groups_print(
    const struct conf *conf, const struct query_filter *filter, const char *by, bool json);
