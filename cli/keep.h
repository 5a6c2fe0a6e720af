/* SPDX-License-Identifier: ISC */
/*
 * What sendmail read from its input, kept until smtpd has answered for it: standard input can't be
 * read twice, and what smtpd doesn't take goes into the drop folder. A small message is kept in
 * memory, a larger one in a hidden file of that folder.
 */
#pragma once

#include "cli/drop.h"

#define KEEP_MEMORY (256u << 10) /* bytes kept in memory */

struct keep {
	struct letter *letter;
	const char *spool;
	char *text;
	size_t len;
	struct drop drop;
	bool has_file;
	int error; /* sticky: it isn't kept any more */
};

/* Nothing is kept so far. The letter and spool must outlive it. */
void keep_start(struct keep *k, struct letter *l, const char *spool);

/* More of the message, in stored form. What goes wrong is told by keep_commit(). */
void keep_add(struct keep *k, const void *bytes, size_t len);

/* Makes a dropped file of it; 0 when that is safe, else -E... and there is none. */
int keep_commit(struct keep *k);

/* Forgets it. After keep_commit() too. */
void keep_end(struct keep *k);
