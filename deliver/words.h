/* SPDX-License-Identifier: ISC */
/*
 * A peer's words as far as they are kept: what a reply said (lib/reply.h), or words of our own
 * where nobody said anything.
 */
#pragma once

#include <stdint.h>

#include "lib/job.h"
#include "lib/reply.h"

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

/* Takes what is kept of a reply: lines joined by spaces, cut at JOB_TEXT_MAX. */
void words_from_reply(struct words *words, const struct reply *reply);
