/* SPDX-License-Identifier: ISC */
/*
 * The facts of tool_explained: what would happen now to mail for an address. qmgr writes them,
 * batonctl prints them, both by the table lib/explain.def. A fact that isn't there doesn't apply,
 * or nobody could be asked.
 */
#pragma once

#include "lib/msg.h"
#include "lib/wire.h"

#define EXPLAIN_MAX      60000 /* bytes of all facts */
#define EXPLAIN_TEXT_MAX 1000  /* bytes of one; longer ones are cut */

enum explain_fact {
#define FACT(name, kind, label) EXPLAIN_##name,
#include "lib/explain.def"
	EXPLAIN_FACTS
};

enum explain_kind { EXPLAIN_TEXT, EXPLAIN_NUMBER, EXPLAIN_BOOL, EXPLAIN_TIME, EXPLAIN_LIST };

struct explain_row {
	enum explain_fact fact;
	struct msg_bytes text; /* numbers and times in decimal, true and false as 1 and 0 */
};

/* The member's name in JSON, what kind it is, and what a person reads before it. */
const char *explain_name(enum explain_fact fact);
enum explain_kind explain_kind(enum explain_fact fact);
const char *explain_label(enum explain_fact fact);

/*
 * Appends a fact to a wire_out of at most EXPLAIN_MAX bytes. One that doesn't fit is left out,
 * which only long lists come to: what stands first is what matters.
 */
void explain_put(struct wire_out *out, enum explain_fact fact, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/* Walks the facts; *pos starts at 0. 1 and the next one, 0 at the end, -EBADMSG. */
int explain_next(struct msg_bytes facts, size_t *pos, struct explain_row *row);
