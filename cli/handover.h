/* SPDX-License-Identifier: ISC */
/*
 * What sendmail and rmail have in common: a message on standard input is safe with smtpd, or in the
 * drop folder, before they say so.
 */
#pragma once

#include "cli/message.h"
#include "lib/conf.h"

/* Says why on stderr, behind the program's name; returns the code. */
int handover_fail(int code, const char *what, const char *why);

/* The same for a name of 4xx, 5xx or nobody there: sysexits. */
int handover_code(enum smtp_verdict v);

/*
 * Hands m over for the recipients of l. Returns a code of sysexits.h: EX_OK when it is safe for
 * all; EX_NOUSER, EX_UNAVAILABLE when some or all were refused, each said on stderr; EX_TEMPFAIL
 * when neither smtpd nor the drop folder takes it; EX_IOERR. verbose: smtpd's answer on stdout.
 */
int handover(const struct conf *conf, struct letter *l, struct message *m, bool verbose);
