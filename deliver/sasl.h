/* SPDX-License-Identifier: ISC */
/*
 * The client's side of logins (RFC 4954) by libgsasl: SCRAM-SHA-256 (RFC 7677), CRAM-MD5
 * (RFC 2195), PLAIN (RFC 4616) and LOGIN. What is said and heard is base64, as it stands on the
 * wire. client_auth.c is the only caller; an exchange lives as long as one AUTH command, and with
 * its end all copies of the secret in it are wiped.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "lib/credentials.h"

#define SASL_MECHANISMS     "SCRAM-SHA-256, CRAM-MD5, PLAIN, LOGIN" /* in order of preference */
#define SASL_ITERATIONS_MAX 100000 /* of SCRAM that a host may ask of us: some 75 ms of CPU here \
				    */

enum sasl_verdict {
	SASL_MORE,   /* that is to be said, then the host's turn comes again */
	SASL_DONE,   /* that is to be said, and nothing more from us */
	SASL_BROKEN, /* the host's words make no sense, or it isn't who knows the secret:
			sasl_error() */
	SASL_NOMEM
};

struct sasl;

/* Before the chroot; 0 or -ENOMEM. Again is harmless, and sasl_new() does it where nobody did. */
int sasl_prepare(void);

/*
 * The best mechanism of a list with spaces between, NULL when we know none. after: of those only
 * that come behind this one in our order; NULL: all.
 */
const char *sasl_choose(const char *offered, const char *after);

/* Begins an exchange. NULL when out of memory. The login is copied. */
struct sasl *sasl_new(const char *mechanism, const struct credential *login);
/* Wipes it. NULL is allowed. */
void sasl_free(struct sasl *sasl);

/* Whether the first word is ours: it goes behind the mechanism in AUTH. */
bool sasl_begins(const struct sasl *sasl);

/*
 * The host's challenge ("" to begin with), and what is to be said to it: *say is C text that may be
 * "", for sasl_wipe().
 */
enum sasl_verdict sasl_step(struct sasl *sasl, const char *challenge, char **say);
void sasl_wipe(char *said);

/* Why it is broken, in words. */
const char *sasl_error(const struct sasl *sasl);

/* Whether the host may say 235 now: with SCRAM not before it has shown that it knows the secret. */
bool sasl_complete(const struct sasl *sasl);

/* Whether a text holds the secret, as it is or as it was said. */
bool sasl_shows(const struct sasl *sasl, const char *text, size_t len);
