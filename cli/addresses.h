/* SPDX-License-Identifier: ISC */
/*
 * Addresses out of header fields (RFC 5322 §3.4): what `sendmail -t` reads from To, Cc and Bcc.
 * Tolerant as sendmail users expect: display names, comments, quoted strings and groups are
 * understood, bare local parts allowed; routes are dropped.
 */
#pragma once

#include <stddef.h>

/* Called with each address (local@domain, or a bare local part) of a field. Not NUL-terminated. */
typedef void address_found(const char *address, size_t len, void *arg);

/*
 * Walks a field's body (unfolded or not) of len bytes. Returns 0; -EINVAL for a list whose quotes,
 * comments or brackets never end: nothing of it should be relied on then.
 */
int addresses_walk(const char *text, size_t len, address_found *found, void *arg);
