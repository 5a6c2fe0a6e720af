/* SPDX-License-Identifier: ISC */
/*
 * Composes a notice (RFC 3464): what became of recipients of a message, for its sender. Three
 * parts: words for people (dsn_people.c), a machine-readable report (dsn_report.c), the message it
 * is about or its header: the whole message for failures, unless RET=HDRS or it is too large.
 */
#pragma once

#include "deliver/jobs.h"

#define DSN_HEADERS_MAX (64u << 10) /* of the original's header that go back */

/*
 * Makes a carrier job (job_new_text) for the null sender's transaction with job's report_to, of
 * what job says of its recipients. carrier->reports is job. size_max: bytes of a message that goes
 * back whole. Never fails: a record that can't be read is reported without it.
 */
struct job *dsn_compose(struct job *job, const char *hostname, uint64_t size_max);
