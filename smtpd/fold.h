/* SPDX-License-Identifier: ISC */
/*
 * Lines over 998 octets (RFC 5322 §2.1.1) in submitted mail are broken when it is taken, so that no
 * next hop has a reason to refuse them: in the body, as Postfix does it, by CRLF and a space; in
 * the header before white space, where there is some, which changes nothing of what a field says.
 * UTF-8 characters stay whole, unless a piece of the body ends inside one just there. Pure
 * functions over mail in stored form (lib/dot.h): a dot that begins a line is one too many and
 * isn't counted. No line that comes into being begins with a dot.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define FOLD_ADDS 3 /* bytes that a break adds */

/* A message on its way, in pieces of any size; the header up to its empty line passes as it is. */
struct fold {
	bool header;    /* no empty line came yet */
	bool start;     /* the next byte begins a line */
	unsigned col;   /* bytes of the line so far, as long as it isn't the header's */
	uint64_t added; /* bytes, in all */
};

/* Takes what becomes of a piece. */
typedef void fold_put(void *to, const char *bytes, size_t n);

/* Starts at the beginning of a message; header false: of a body. */
void fold_init(struct fold *f, bool header);

/* The next piece: everything of it goes to put, with breaks where they have to be. */
void fold(struct fold *f, const char *in, size_t n, fold_put *put, void *to);

/* Does a piece pass as it is? Then it has: fold() isn't to be called for it. */
bool fold_passes(struct fold *f, const char *in, size_t n);

/* Of how much room that many bytes are sure to have with what fold() adds, up to 2 * FOLD_ADDS. */
static inline size_t fold_room(size_t room)
{
	return room - room / 300;
}

/* Has the text (of whole lines) one that is too long? */
bool fold_needed(const char *text, size_t len);

/* A header section, or a part of it, in whole lines. */
void fold_header(const char *text, size_t len, fold_put *put, void *to);
