/* SPDX-License-Identifier: ISC */
/*
 * The queue on paper: asks qmgr for rows and prints them as Postfix's mailq does, or as one JSON
 * object a line. Rows of one message may come in several packets; a JSON object is one line all the
 * same, held together by streaming it.
 */
#pragma once

#include "lib/conf.h"
#include "lib/query.h"

enum listing_form { LISTING_MAILQ, LISTING_JSON };

/* Prints what matches the filter. Returns a TOOL_ code (cli/tool.h). */
int listing_print(
    const struct conf *conf, const struct query_filter *filter, enum listing_form form);
