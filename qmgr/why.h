/* SPDX-License-Identifier: ISC */
/*
 * Why a recipient isn't delivered yet, in words: what is in its way right now. Called by listings
 * that ask for it (QUERY_WHY), in the loop; nothing is kept.
 */
#pragma once

#include <stddef.h>

#include "lib/query.h"
#include "qmgr/load.h"
#include "qmgr/verbs.h"

#define WHY_TEXT_MAX 2000

/*
 * Fills in out->wait and out->wait_text, which points into text (size bytes), of the recipient as
 * verbs_view() gave it; out->reason becomes the last reply with who said it.
 */
void why_fill(const struct row *row, const struct verbs_at *at, struct query_rcpt *out, char *text,
    size_t size);
