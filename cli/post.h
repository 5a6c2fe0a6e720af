/* SPDX-License-Identifier: ISC */
/*
 * One transaction with smtpd for one letter: who is open is offered, and the states of the
 * recipients say what came of it. Between post_begin() and post_end() the caller writes the message
 * in its stored form to s->out.
 */
#pragma once

#include "cli/letter.h"
#include "cli/submit.h"

/* Told of every recipient that is refused or deferred, with smtpd's words; and of the message. */
typedef void post_refusal(const char *what, const char *reply);

/*
 * Connects, MAIL, RCPT for each that is open, DATA. SMTP_OK: write the message now, it is for
 * those that are GIVEN. Else nothing is to be sent: after SMTP_TEMPORARY those who weren't
 * refused are open; otherwise all are refused.
 */
enum smtp_verdict post_begin(struct submit *s, struct letter *l, const char *runtime,
    const char *hostname, post_refusal *say);

/* The end of the message: all GIVEN are DONE, REFUSED, or (SMTP_TEMPORARY) open again. */
enum smtp_verdict post_end(struct submit *s, struct letter *l, post_refusal *say);
