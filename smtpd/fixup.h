/* SPDX-License-Identifier: ISC */
/*
 * What is mended in the header of submitted mail: mail of local users, of clients in relay_from and
 * of those that logged in or showed a certificate of ours. Mail from anywhere else passes as it is.
 *
 *	From, Sender, Reply-To, To, Cc		`origin` is added to bare addresses
 *	From, Sender, Reply-To			`masquerade` (lib/conf.h: masquerade)
 *	Bcc					taken out
 *	User-Agent, X-Mailer and the like	taken out where the listener has `privacy`
 *	lines over 998 octets			folded (smtpd/fold.h)
 *	a line that is no field			an empty line is put before it: the body begins
 *there "From " at the top			taken out
 *
 * and the same of their Resent- forms. What needs no mending keeps every byte: display names,
 * comments and folding around an address that changes do too. A list of addresses that can't be
 * understood stays as it is. What lacks (Date, Message-ID, From) is smtpd/headers.h's.
 *
 * Works on memory, in one pass; the whole header has to be there. Not reentrant: the result lies in
 * a buffer that the next call uses again.
 */
#pragma once

#include "lib/conf.h"
#include "smtpd/fold.h"
#include "smtpd/headers.h"

#define FIXUP_ROOM 512 /* bytes by which most headers don't grow */

struct fixup {
	struct headers_seen seen; /* of the text as it came */
	size_t len;               /* bytes of the text that were looked at, */
	const char *text;         /* and what they become; NULL: they stay */
	size_t text_len;
	bool body; /* the body begins without an empty line: all of the text was looked at, */
	struct fold fold; /* and this goes on with what follows it */
};

/*
 * text: a message in stored form, or the beginning of one; whole: nothing follows. Returns 0,
 * -EMSGSIZE when the header's end isn't in the text, or -ENOMEM.
 */
int fixup_header(const struct conf *conf, bool privacy, const char *text, size_t len, bool whole,
    struct fixup *out);
