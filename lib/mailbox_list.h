/* SPDX-License-Identifier: ISC */
/*
 * Addresses out of header fields (RFC 5322 §3.4): what `sendmail -t` reads from To, Cc and Bcc, and
 * what smtpd rewrites in submitted mail. Tolerant as senders are: display names, comments, quoted
 * strings and groups are understood, bare local parts and folding allowed; routes are dropped.
 */
#pragma once

#include <stddef.h>

#define MAILBOX_MAX 1024 /* bytes of an address; a longer one is cut and isn't valid then */

struct mailbox {
	const char *address; /* local@domain or a bare local part; no white space, no comments */
	size_t len;
	const char *from, *to; /* where it stands in the text, without < >; to is behind it */
};

/* Called with each address of a field; what is named is valid until it returns. */
typedef void mailbox_found(const struct mailbox *mailbox, void *arg);

/*
 * Walks a field's body (unfolded or not) of len bytes. Returns 0; -EINVAL for a list whose quotes,
 * comments or brackets never end: nothing of it should be relied on then.
 */
int mailbox_list_walk(const char *text, size_t len, mailbox_found *found, void *arg);
