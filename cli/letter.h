/* SPDX-License-Identifier: ISC */
/*
 * The envelope of one message on its way from sendmail to smtpd or into the drop folder: sender,
 * options for reports, recipients with what became of each. Made once by a short-lived program;
 * addresses hold no control characters, so none ends a line of SMTP or of a dropped file.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <sys/types.h>

#include "lib/hash.h"

#define LETTER_RCPTS_MAX   100000
#define LETTER_ADDRESS_MAX 1024 /* bytes; smtpd refuses what RFC 5321 doesn't allow */
#define LETTER_PARAMS_MAX  400

enum rcpt_state {
	RCPT_OPEN,   /* nobody has taken it */
	RCPT_GIVEN,  /* smtpd said 250 to RCPT, not yet to the message */
	RCPT_DONE,   /* safe in the queue */
	RCPT_REFUSED /* 5xx */
};

struct rcpt {
	struct rcpt *next, *prev;
	enum rcpt_state state;
	off_t at;    /* of its letter in a dropped file */
	char *reply; /* of a refused one, as far as it is known */
	UT_hash_handle hh;
	char address[];
};

struct letter {
	char *sender;                        /* without <>; "": the null sender */
	char mail_params[LETTER_PARAMS_MAX]; /* more of MAIL, each with a space before it */
	char rcpt_params[LETTER_PARAMS_MAX]; /* more of RCPT */
	struct rcpt *rcpts, *by_address;
	size_t nrcpts;
};

/*
 * One more recipient, len bytes; a bare local part gets @origin. The same address twice is one.
 * Returns 0; -EINVAL for control characters or a length that can't be; -E2BIG; -ENOMEM.
 */
int letter_add(struct letter *l, const char *address, size_t len, const char *origin);

/* Sets the sender likewise; "" and "<>" are the null sender. */
int letter_from(struct letter *l, const char *address, size_t len, const char *origin);

/* How many recipients are in a state. */
size_t letter_count(const struct letter *l, enum rcpt_state state);

/* All that are in `from` are in `to` from now on. */
void letter_move(struct letter *l, enum rcpt_state from, enum rcpt_state to);

/* Refused, with smtpd's words. */
void letter_refuse(struct rcpt *r, const char *reply);

void letter_free(struct letter *l);
