/* SPDX-License-Identifier: ISC */
/*
 * The address of a MAIL or RCPT command: read, made normal, completed with `origin` where it has
 * no domain. Used by both checks.
 */
#pragma once

#include "smtpd/commands.h"

/*
 * Expects `keyword` ("FROM:") and a path at the front of args and leaves the normal form in
 * s->cmd. *pos is set behind the path. flags are those of addr_path(). code 0: fine.
 * A domain in UTF-8 becomes what the DNS has for it (A-labels), so that it has one spelling from
 * here on; s->cmd.utf8 says that what the client wrote was not all ASCII, s->cmd.utf8_local that
 * its local part wasn't.
 */
struct verdict address_check(
    struct session *s, struct args args, const char *keyword, unsigned flags, const char **pos);
