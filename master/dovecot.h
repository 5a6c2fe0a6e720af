/* SPDX-License-Identifier: ISC */
/*
 * Asking Dovecot who is who (keeper): a client of its auth socket (auth protocol, version 1), used
 * where `users` says "dovecot:/path". There is one connection, made when it is first needed and
 * again after it was lost, at most once in DOVECOT_AGAIN_MS. All requests share it, so a silent
 * Dovecot costs each of them DOVECOT_WAIT_MS and the loop nothing.
 *
 * Everything that is asked is answered by one call of answer() (more where a mechanism needs an
 * exchange), never from inside the function that asked, unless it is cancelled.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/msg.h"

#define DOVECOT_OPEN_MAX 1000  /* requests under way; more aren't taken */
#define DOVECOT_LINE_MAX 8192  /* bytes of a line, its end included; Dovecot's own limit */
#define DOVECOT_OUT_MAX  65536 /* bytes that wait to be written */
#define DOVECOT_WAIT_MS  30000 /* for an answer; smtpd waits longer (smtpd/question.h) */
#define DOVECOT_AGAIN_MS 1000  /* between two attempts to connect */

enum dovecot_verdict {
	DOVECOT_RIGHT,  /* user has logged in */
	DOVECOT_MORE,   /* the client is to answer the challenge: dovecot_go_on() */
	DOVECOT_WRONG,  /* he hasn't */
	DOVECOT_FAILURE /* nobody can tell */
};

/* After any verdict but DOVECOT_MORE the request is gone. */
typedef void dovecot_answer(
    enum dovecot_verdict verdict, const char *user, struct msg_bytes challenge, void *arg);

/* Uses that socket from now on; "": none. What is under way with another one fails. */
void dovecot_use(const char *path);
bool dovecot_used(void);

/*
 * Begins a login of that client: mechanism by its SASL name, message the initial response. Returns
 * the request's number; 0: it can't be asked now.
 */
uint32_t dovecot_ask(const char *mechanism, const char *client, const void *message, size_t n,
    dovecot_answer *answer, void *arg);

/* The client's next message. False: that request is gone, answered or to be answered by failure. */
bool dovecot_go_on(uint32_t id, const void *message, size_t n);

/* Its answer isn't wanted any more. Does nothing for 0 and for one that is gone. */
void dovecot_cancel(uint32_t id);
