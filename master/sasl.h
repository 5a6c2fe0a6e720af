/* SPDX-License-Identifier: ISC */
/*
 * The server's side of SASL mechanisms that need an exchange (keeper), by libgsasl: SCRAM-SHA-256
 * (RFC 5802, 7677), without channel binding. It costs microseconds: the verifier holds what was
 * expensive.
 */
#pragma once

#include <stddef.h>

#include "master/users.h"

#define SASL_CHALLENGE_MAX 4096 /* bytes of what we say */

enum sasl_verdict {
	SASL_MORE,   /* the client is to answer */
	SASL_DONE,   /* it is who it says; the challenge is still to be said */
	SASL_WRONG,  /* it isn't, or it broke the rules */
	SASL_FAILURE /* ours */
};

struct sasl;

/* Before the sandbox is closed. 0 or -ENOMEM. */
int sasl_prepare(void);

/* Begins an exchange; NULL when out of memory. */
struct sasl *sasl_new(void);
void sasl_free(struct sasl *sasl);

/*
 * The client's next message. challenge: room for SASL_CHALLENGE_MAX bytes, *len becomes their
 * number. An unknown user is taken through the whole exchange, and is wrong at its end.
 */
enum sasl_verdict sasl_step(
    struct sasl *sasl, const char *message, size_t n, char *challenge, size_t *len);

/* Who it claims to be, or is after SASL_DONE; "" as long as it hasn't said. */
const char *sasl_user(const struct sasl *sasl);

/*
 * Who the first message of a SCRAM exchange claims to be (RFC 5802 §7); "" where it isn't said, or
 * is too long. For an exchange that another one leads.
 */
void sasl_claim(const char *message, size_t n, char *user, size_t size);
