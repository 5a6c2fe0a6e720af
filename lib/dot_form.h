/* SPDX-License-Identifier: ISC */
/*
 * Between plain text and the stored, dot-stuffed form of a body (lib/dot.h says what that is):
 *
 *   dot_form  DOT_STUFF      plain text with LF or CRLF -> stored form: sendmail, notices, BDAT
 *             DOT_STUFF_STOP the same up to a line that is a lone dot: sendmail without -i
 *             DOT_NORMALISE  what came by DATA from a client that sends LF for CRLF -> stored form
 *   dot_plain                stored form -> plain text with LF or CRLF: local delivery
 *
 * All are resumable at any byte: what can't be decided yet is kept inside (never more than two
 * bytes) and comes out with the next piece or with ..._end(). Output buffers are the caller's, with
 * room as stated; input and output must not overlap. Nothing fails.
 *
 * The output of dot_form is strict whatever the input was: LF and CRLF become CRLF, of several CRs
 * in front of an LF one remains, any other CR becomes a space (as in Postfix' cleanup), and no line
 * is a lone dot, so no end-of-data mark comes into being.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

/* Room that the output of n bytes of input needs. */
#define DOT_FORM_ROOM(n)  (2 * (n) + 4)
#define DOT_PLAIN_ROOM(n) ((n) + 1)
enum { DOT_END_ROOM = 5 }; /* for dot_form_end() */

enum dot_how { DOT_STUFF, DOT_STUFF_STOP, DOT_NORMALISE };

enum dot_form_state {
	DOT_FORM_START,  /* at the start of a line */
	DOT_FORM_DOT,    /* behind a dot there */
	DOT_FORM_DOT_CR, /* behind a dot there and CR */
	DOT_FORM_TEXT,   /* inside a line */
	DOT_FORM_CR,     /* behind CR */
};

struct dot_form {
	enum dot_how how;
	enum dot_form_state state;
	bool stopped; /* DOT_STUFF_STOP: the lone dot was seen, what follows is ignored */
	bool mended;  /* a CR or LF that was no part of a CRLF was seen so far */
};

/* Start at the beginning of a body. */
void dot_form_init(struct dot_form *f, enum dot_how how);

/* Write the stored form of n bytes to out (room DOT_FORM_ROOM(n)); returns its length. */
size_t dot_form(struct dot_form *f, const char *in, size_t n, char *out);

/*
 * No more comes: complete the last line with CRLF if it has none (room DOT_END_ROOM); returns how
 * many bytes that took. The end-of-data mark isn't written.
 */
size_t dot_form_end(struct dot_form *f, char *out);

struct dot_plain {
	bool lf; /* write LF for CRLF */
	bool line_start;
	bool last_cr; /* with lf: a CR isn't written until it is known what follows */
};

/* Start at the beginning of a stored body; lf: lines end with LF in the output, else with CRLF. */
void dot_plain_init(struct dot_plain *u, bool lf);

/* Write the plain form of n stored bytes to out (room DOT_PLAIN_ROOM(n)); returns its length. */
size_t dot_plain(struct dot_plain *u, const char *in, size_t n, char *out);

/* No more comes: returns 1 and writes the CR that was kept, or returns 0. A whole body has none. */
size_t dot_plain_end(struct dot_plain *u, char *out);
