/* SPDX-License-Identifier: ISC */
/*
 * The command lines of a transaction that have something of the message in them: MAIL and RCPT with
 * the parameters that the peer understands (RFC 1870, 3461, 6152, 6531). pipeline.c says when.
 */
#pragma once

#include <event2/buffer.h>

#include "deliver/ehlo.h"
#include "deliver/jobs.h"

/*
 * Appends the line to out. MAIL notes in the job whether the peer got its DSN parameters. Returns
 * 0, -EBADMSG for a line that is longer than anything that was ever taken in, -ENOMEM.
 */
int verb_mail(const struct ehlo *peer, struct job *job, struct evbuffer *out);
int verb_rcpt(const struct ehlo *peer, const struct job_rcpt *rcpt, struct evbuffer *out);
