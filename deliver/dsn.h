/* SPDX-License-Identifier: ISC */
/*
 * Composes a notice (RFC 3464): what became of recipients of a message, for its sender. Three
 * parts: words for people, a machine-readable report, the header of the message it is about.
 */
#pragma once

#include "deliver/jobs.h"

#define DSN_HEADERS_MAX (64u << 10) /* of the original's header that go back */

/*
 * Makes a carrier job (job_new_text) for the null sender's transaction with job's sender, of what
 * job says of its recipients. carrier->reports is job. Never fails: a record whose header can't be
 * read is reported without it.
 */
struct job *dsn_compose(struct job *job, const char *hostname);
