/* SPDX-License-Identifier: ISC */
/*
 * What the files of a notice share (for deliver/dsn*.c only). All text is put into an evbuffer as
 * it would be stored: CRLF, no line that begins with a dot. What peers and senders said comes
 * through dsn_clean(): printable ASCII, so that the report's own syntax is ours.
 */
#pragma once

#include <event2/buffer.h>

#include "deliver/jobs.h"

#define DSN_LINE      76  /* columns that lines are folded to where there are spaces, */
#define DSN_LINE_MAX  900 /* and anyhow (RFC 5322 §2.1.1: 998) */
#define DSN_CLEAN     1400
#define DSN_DATE      40
#define DSN_STATUS    16
#define DSN_TEXT_ROOM (DSN_CLEAN + 64) /* a reply's code, its status, its words */

enum dsn_kind { DSN_FAILURE, DSN_DELAY, DSN_SUCCESS };

/* What the notice tells of: all its recipients are of one kind (qmgr/report.h). */
enum dsn_kind dsn_kind(const struct job *job);

/* printf() into the text. */
void dsn_say(struct evbuffer *out, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/*
 * Text in one line: anything but printable ASCII is a question mark, spaces are one at a time and
 * none at the ends. C text, cut at size. Returns out.
 */
const char *dsn_clean(struct msg_bytes text, char *out, size_t size);

/* Lines of text, broken at spaces: the first one begins with `head`, the others with `indent`. */
void dsn_fold(struct evbuffer *out, const char *head, const char *indent, const char *text);

/* A header field, folded (RFC 5322 §2.2.3). */
void dsn_field(struct evbuffer *out, const char *name, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/* A time as RFC 5322 §3.3 writes it. */
const char *dsn_date(uint64_t ms, char out[DSN_DATE]);

/* The recipient's status, of the class that its action asks for (RFC 3464 §2.3.4). */
const char *dsn_status(const struct job_rcpt *rcpt, char out[DSN_STATUS]);

/* "550 5.1.1 no such user", as far as it was said. */
const char *dsn_words(const struct job_rcpt *rcpt, char out[DSN_TEXT_ROOM]);

/* The first part (dsn_people.c) and the second (dsn_report.c), without their boundaries. */
void dsn_people(struct evbuffer *out, const struct job *job, const char *host);
void dsn_report(struct evbuffer *out, const struct job *job, const char *host);
