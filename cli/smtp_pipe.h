/* SPDX-License-Identifier: ISC */
/*
 * sendmail -bs and -bv: smtpd itself answers, over its Unix socket, as the user who calls.
 */
#pragma once

#include "cli/letter.h"
#include "lib/conf.h"

/*
 * SMTP between standard input and output and smtpd, byte for byte, until smtpd ends it or the input
 * does. With nobody there the greeting is 421. Returns a code of sysexits.h.
 */
int smtp_pipe(const struct conf *conf);

/*
 * Asks for each recipient of l and prints the answer; nothing is sent. EX_OK when all would be
 * taken, EX_NOUSER or EX_UNAVAILABLE for what is refused, EX_TEMPFAIL.
 */
int smtp_verify(const struct conf *conf, const struct letter *l);
