/* SPDX-License-Identifier: ISC */
/*
 * A peer's words: replies cut out of what a server sends (RFC 5321 §4.2), and words of our own
 * where nobody said anything. Replies are read line by line and may be resumed at any line's end;
 * a server that breaks the form or its limits is out of step and can't be talked to any more.
 * Unlike in commands an LF alone ends a line: nothing can be smuggled in a reply, and there are
 * servers that send it.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/job.h"

#define WORDS_LINE_MAX  2048 /* RFC 5321 §4.5.3.1.5 wants 512 */
#define WORDS_LINES_MAX 200  /* of one reply: an EHLO has some twenty */

/* A reply as far as it is kept: code, enhanced status, text of all lines joined by spaces. */
struct words {
	uint16_t code; /* 0: nobody said anything, the text is ours */
	uint16_t len;
	char status[12]; /* "5.1.1"; never empty once set */
	char text[JOB_TEXT_MAX];
};

/* Fills in words of our own: code 0, or the code that a peer would have used. */
void words_set(struct words *words, unsigned code, const char *status, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));

struct words_reader {
	unsigned lines;     /* of the reply under way */
	struct words words; /* the reply under way, after words_read() returned 1 the whole one */
	/* Each line without code and line end; NULL where only the whole matters. */
	void (*line)(void *arg, const char *text, size_t len);
	void *arg;
};

/*
 * Reads on in data. *used bytes are done with. Returns 1: a reply is in reader->words; 0: more is
 * needed; -EBADMSG: not the form of a reply, or over a limit.
 */
int words_read(struct words_reader *reader, const char *data, size_t len, size_t *used);
