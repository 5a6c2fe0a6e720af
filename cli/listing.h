/* SPDX-License-Identifier: ISC */
/*
 * The queue on paper: asks qmgr for rows and hands them on (listing_ask), or prints them as
 * Postfix's mailq does, or as one JSON object a line. Rows of one message may come in several
 * packets; a JSON object is one line all the same, held together by streaming it.
 */
#pragma once

#include "lib/conf.h"
#include "lib/query.h"

enum listing_form { LISTING_MAILQ, LISTING_JSON };

/* Prints what matches the filter. *found: messages printed. Returns a TOOL_ code (cli/tool.h). */
int listing_print(const struct conf *conf, const struct query_filter *filter,
    enum listing_form form, uint64_t *found);

/* Called with each row of an answer. 0, or -EBADMSG for one that can't be read. */
typedef int listing_row_fn(const struct query_row *row, void *arg);

/*
 * Asks for what matches and calls fn with each row. Returns a TOOL_ code after saying on stderr
 * what went wrong.
 */
int listing_ask(const struct conf *conf, const struct query_filter *filter,
    enum query_detail detail, listing_row_fn *fn, void *arg);

/* The members of a recipient's JSON object that every list gives: address to site. */
void listing_json_rcpt(const struct query_rcpt *rcpt);

/* What a message with these recipients is said to be as a whole: what most needs attention. */
unsigned listing_state(struct msg_bytes rcpts);
