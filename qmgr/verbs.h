/* SPDX-License-Identifier: ISC */
/*
 * What the tools' requests mean for one recipient: how it is shown, and what a verb does to it.
 * Called for rows of the index, in the loop.
 */
#pragma once

#include <stdbool.h>

#include "lib/query.h"
#include "qmgr/load.h"

/* Fills in the recipient as the tools see it. False: it has ended. Text lives until the next turn.
 */
bool verbs_view(const struct row *row, struct query_rcpt *out);

/* Does it to the row's recipient. */
void verbs_apply(enum query_verb verb, const struct row *row);

/* After the last row of the request. */
void verbs_end(enum query_verb verb, const struct query_filter *filter);
