/* SPDX-License-Identifier: ISC */
/*
 * What the tools' requests mean for one recipient: how it is shown, and what a verb does to it.
 * Called for rows of the index, in the loop.
 */
#pragma once

#include <stdbool.h>

#include "lib/query.h"
#include "qmgr/load.h"

struct dest;
struct pause;
struct rcpt;
struct site;

/* Where a recipient stands. */
struct verbs_at {
	const struct rcpt *rcpt; /* in memory; NULL: only in the index */
	struct dest *dest;       /* NULL: none is known */
	const struct site *site; /* NULL: none is known */
	const struct pause *pause;
	uint8_t stage, was, order;
	uint64_t due;
};

/*
 * Fills in the recipient as the tools see it, and where it stands. False: it has ended. Text lives
 * until the next call.
 */
bool verbs_view(const struct row *row, struct query_rcpt *out, struct verbs_at *at);

/* Whether the verb means anything to it: a release to what isn't held doesn't. */
bool verbs_concern(enum query_verb verb, const struct verbs_at *at);

/*
 * Whether all that the verb has to do is to wake the recipient's site, which is done then: a flush
 * of what is due and only in the index. Bringing a million of those into memory would change
 * nothing.
 */
bool verbs_wake(enum query_verb verb, const struct verbs_at *at);

/* Does it to the row's recipient. False: a worker has it; it is done when it comes back unsent. */
bool verbs_apply(enum query_verb verb, const struct row *row);

/* After the last row of the request. */
void verbs_end(enum query_verb verb, const struct query_filter *filter);
