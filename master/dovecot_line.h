/* SPDX-License-Identifier: ISC */
/*
 * One line of what Dovecot's auth process says to its clients (auth protocol, version 1): words
 * between tabs. Pure; master/dovecot.c speaks with it.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "master/users.h"

#define DOVECOT_MAJOR 1 /* of the protocol's version */

enum dovecot_kind {
	DOVECOT_VERSION, /* id is the major number */
	DOVECOT_MECH,    /* text is a mechanism's name */
	DOVECOT_DONE,    /* all of its own was said */
	DOVECOT_OK,      /* user is who has logged in */
	DOVECOT_FAIL,    /* temp: for a reason of its own */
	DOVECOT_CONT,    /* text is a challenge in base64 */
	DOVECOT_OTHER    /* of no use here */
};

struct dovecot_line {
	enum dovecot_kind kind;
	uint32_t id; /* of the request */
	bool temp;
	char user[USERS_NAME_MAX + 1]; /* "" where it isn't said, or is no name for us */
	const char *text;              /* in the line */
	size_t len;
};

/* Reads a line of n bytes without its end. 0, or -EINVAL for one that breaks the protocol. */
int dovecot_line_read(const char *line, size_t n, struct dovecot_line *out);
