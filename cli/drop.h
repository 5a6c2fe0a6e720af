/* SPDX-License-Identifier: ISC */
/*
 * Files of the drop folder (lib/drop.h has their form): written by sendmail and rmail, read and
 * marked by pickup. A file under its hidden name is nobody's mail: who is killed before
 * drop_commit() leaves nothing that is taken, and master removes it a day later.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "cli/letter.h"

struct drop {
	int folder, fd;
	char name[64]; /* hidden */
	uint64_t size;
};

/*
 * Makes the hidden file and writes the envelope. Returns 0 or -E...; *d needs no end then, and no
 * file is left.
 */
int drop_create(struct drop *d, const char *spool, struct letter *l);

/* More of the message, in stored form. 0 or -E...; what follows a failure is drop_abandon(). */
int drop_write(struct drop *d, const void *bytes, size_t len);

/*
 * Marks who is done or refused, syncs, gives the file its name. 0: it is safe; -E...: there is no
 * file. Ends the drop in either case.
 */
int drop_commit(struct drop *d, const struct letter *l);

/* Removes the hidden file. */
void drop_abandon(struct drop *d);

/*
 * Reads the envelope of a file; *body is where the message begins. 0; -EBADMSG for what is no whole
 * file of this form; -ENOMEM, -EIO.
 */
int drop_read(FILE *file, struct letter *l, off_t *body);

/* Writes down who is done or refused, and syncs: a later try leaves them out. 0 or -E.... */
int drop_mark(int fd, const struct letter *l);
