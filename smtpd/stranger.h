/* SPDX-License-Identifier: ISC */
/*
 * A session's dealings with smtpd/checks.h: what must be known of a stranger is asked of dnscache
 * (the client's address when it connects, names when it says MAIL), counted in lib/tally.h, and
 * judged. A session waits (WAIT_FACTS) at MAIL only, and at most policy.lookup_timeout.
 *
 * Clients that are no strangers pass everything here at once.
 */
#pragma once

#include "smtpd/verdict.h"

#define STRANGER_LISTS 64 /* entries of dnsbl and dnswl together that are asked */
#define STRANGER_NAMES 4  /* names of an address that are looked up */

struct session;
struct stranger;

/* A session begins: asks what its address alone can tell. */
void stranger_begin(struct session *s);

/* It ends: no answer is wanted any more. */
void stranger_end(struct session *s);

/*
 * MAIL was said, its arguments are in s->cmd. Returns the objection, or what then() says; or
 * ACT_WAIT, and then session_resume() brings either.
 */
struct verdict stranger_mail(struct session *s, struct verdict (*then)(struct session *s));

/* RCPT was said: the objection, or code 0. */
struct verdict stranger_rcpt(struct session *s);

/*
 * It made an error, its s->errors are counted. Returns for how many ms it should be left
 * waiting now.
 */
unsigned stranger_erred(struct session *s);
