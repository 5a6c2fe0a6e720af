/* SPDX-License-Identifier: ISC */
/*
 * The header section of a message on standard input, as sendmail needs it: read up to its end,
 * recipients found (-t), Bcc taken out, a From line added where -F asks for one. The body stays on
 * the stream.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#define HEADER_MAX   (1u << 20)  /* bytes of a header section; more is an error */
#define HEADER_PIECE (64u << 10) /* bytes of a line that are looked at at once */

struct header {
	char *text; /* fields as they came, Bcc lines gone, without the empty line */
	size_t len, size;
	char *first; /* of the body: the beginning of a line that was read and is no field */
	size_t first_len;
	bool has_from, has_date;
	bool ended; /* by an empty line */
};

/*
 * Reads the section. A line that is no field ends it: then it is the body's first line (in
 * `first`), and an empty line has to be put before it. "From " lines at the top are dropped, as
 * mailers have always done. dot_ends: a line of one dot ends the message (then the stream is at its
 * end and `first` is empty). Returns 0, -EMSGSIZE over HEADER_MAX, -EIO, -ENOMEM.
 */
int header_read(struct header *h, FILE *in, bool dot_ends, bool *message_ended);

/* Walks the fields called `name`: body and length of each, folded lines included. */
void header_each(const struct header *h, const char *name,
    void (*found)(const char *body, size_t len, void *arg), void *arg);

/* Takes out all fields called `name`. */
void header_remove(struct header *h, const char *name);

void header_free(struct header *h);
