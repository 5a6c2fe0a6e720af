/* SPDX-License-Identifier: ISC */
/*
 * The content of a job on its way out: late headers first, then the body, in blocks of at most
 * BODY_BLOCK bytes. Stored bodies are dot-stuffed and end in CRLF, so SMTP sends them untouched
 * with BODY_END behind (RFC 5321 §4.5.2); on the way every block is looked through for an end of
 * data inside, which would turn the rest of a damaged record into commands.
 */
#pragma once

#include <event2/buffer.h>
#include <stdbool.h>

#include "deliver/jobs.h"
#include "lib/dot.h"
#include "lib/dot_form.h"

#define BODY_BLOCK (256u << 10)
#define BODY_LARGE (256u << 10) /* longer ones have a segment of their own: smtpd/stream.h */
#define BODY_END   ".\r\n"

struct body {
	const struct job *job;
	uint64_t done; /* bytes of late headers and body that were read */
	bool large;    /* read in whole pages */
	struct dot_scan scan;
	struct dot_plain plain; /* for body_fill_plain() */
};

/* Starts at the beginning. */
void body_init(struct body *body, const struct job *job);

/* Bytes of late headers and body as stored. */
uint64_t body_size(const struct body *body);

/*
 * Appends the next bytes, at most `max`, to out. Returns 1 when more is to come, 0 after the last
 * one; -EBADMSG: the record is damaged (a mark inside, no CRLF at its end, a file that is too
 * short), nothing of this block was appended; -EIO and other errors of pread(); -ENOMEM.
 */
int body_fill(struct body *body, struct evbuffer *out, size_t max);

/*
 * The same for who reads it as it was before it was stored: without the stuffed dots. The same
 * damage is found.
 */
int body_fill_plain(struct body *body, struct evbuffer *out, size_t max);
