/* SPDX-License-Identifier: ISC */
/*
 * The header lines that smtpd writes, and what it reads of those that came. Pure functions over
 * memory; nothing here changes what a client sent, smtpd/fixup.h does.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/msg.h"
#include "smtpd/policy.h"

#define HEADERS_NOTED     8    /* fields noted of a message */
#define HEADERS_NOTED_LEN 100  /* bytes of each */
#define HEADERS_MAX       2560 /* bytes that headers_received() and headers_missing() need */

/* What a Received line says (RFC 5321 §4.4, RFC 8314 §4.3 for TLS). */
struct headers_trace {
	const struct peer *peer;
	const char *helo;
	const char *hostname;
	bool esmtp;
	bool utf8;        /* MAIL said SMTPUTF8 */
	const char *rcpt; /* the only recipient, else NULL */
	size_t rcpt_len;
};

/*
 * Writes the Received line with its CRLF. *id_at is where QID_WIDTH characters stand for the queue
 * ID. Returns its length, at most HEADERS_MAX / 2.
 */
size_t headers_received(char *out, size_t size, const struct headers_trace *trace, size_t *id_at);

/* What a header section holds. */
struct headers_seen {
	unsigned received; /* lines */
	bool date, from, message_id;
	bool eightbit;  /* a byte over 127 is in it */
	const char *id; /* the Message-ID's value in the body, trimmed; NULL: none */
	size_t id_len;
};

/* Takes note of one field, or of one line of a header section. */
void headers_see(struct headers_seen *seen, const char *line, size_t len);

/* Looks through the header section at the front of a body (to its empty line, or all). */
void headers_scan(const char *body, size_t len, struct headers_seen *seen);

/*
 * Finds the fields that a class may be chosen by: Precedence, List-Id, Auto-Submitted and those
 * that the configuration names. out points into the body: a field's first line, up to a control
 * character, cut at HEADERS_NOTED_LEN. Returns how many there are, at most HEADERS_NOTED.
 */
size_t headers_note(
    const char *body, size_t len, const struct conf *conf, struct msg_bytes out[HEADERS_NOTED]);

#define HEADERS_ID_MAX 320 /* room that headers_make_id() needs */

/* A Message-ID of ours, with its <>. */
void headers_make_id(char *out, size_t size, const char *hostname);

/*
 * Writes what a submission lacks (RFC 6409 §8): Date, Message-ID (`id`), and From made of the
 * envelope sender, for the null sender MAILER-DAEMON of `origin`. Returns the length, 0 when
 * nothing lacks.
 */
size_t headers_missing(char *out, size_t size, const struct headers_seen *seen, const char *id,
    const char *sender, const char *origin);

/* The date as RFC 5322 §3.3 wants it, in local time; made once a second. */
const char *headers_date(void);
