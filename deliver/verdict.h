/* SPDX-License-Identifier: ISC */
/*
 * What a peer's words mean for a recipient or for the connection. Pure functions of a reply; the
 * stages and their exceptions are RFC 5321 §4.2, §4.5.3.1.10 and what large sites are known to say.
 */
#pragma once

#include "deliver/jobs.h"

/* Class of a reply: 2 to 5; 0 for what is no reply code. */
unsigned verdict_class(const struct words *words);

/* The peer says that it will close: every transaction behind this reply is void (RFC 5321 §3.8). */
bool verdict_closing(const struct words *words);

/*
 * A reply to RCPT that isn't 2xx. accepted: recipients this transaction has already. Too many
 * recipients, or a peer that wants one domain a transaction, is no refusal of this one as long as
 * another was taken.
 */
enum outcome verdict_rcpt(const struct words *words, unsigned accepted);

/* A reply to MAIL, DATA or the end of data: 2xx is OUT_SENT, 5xx OUT_FAILED, else OUT_DEFERRED. */
enum outcome verdict_message(const struct words *words);

/*
 * A reply to MAIL that says who we are is the trouble, not the message (RFC 4954: 530 wants AUTH,
 * RFC 3207: STARTTLS first): the site is down, nothing bounces.
 */
bool verdict_refuses_us(const struct words *words);

/*
 * Whether a refusal is about IPv6: the address has no name, or no authentication that this host
 * wants to see there. Over IPv4 it may be another matter.
 */
bool verdict_no_ipv6(const struct words *words);

/* A reply to greeting, EHLO or HELO that isn't 2xx: OPEN_REFUSED or OPEN_THROTTLED. */
enum open_verdict verdict_open(const struct words *words);
