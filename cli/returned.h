/* SPDX-License-Identifier: ISC */
/*
 * The program that called sendmail is long gone when its mail is refused out of the drop folder: so
 * the sender is told by mail, with the message in it (RFC 3464).
 */
#pragma once

#include <sys/types.h>

#include "cli/letter.h"
#include "cli/submit.h"

/*
 * Sends a notice for the recipients of l that are REFUSED to its sender; the message is in `file`
 * from `body` on. SMTP_OK: it is safe. SMTP_REFUSED too where nobody may or wants to be told.
 */
enum smtp_verdict returned_send(
    const struct letter *l, FILE *file, off_t body, const char *runtime, const char *hostname);
