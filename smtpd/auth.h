/* SPDX-License-Identifier: ISC */
/*
 * What smtpd itself knows of SASL: which mechanisms it speaks, to whom they are offered, and how
 * the client's bytes are read. keeper decides who is who. Pure functions; smtpd/cmd_auth.c is the
 * command.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "lib/conf.h"
#include "smtpd/policy.h"

#define AUTH_MESSAGE_MAX 1536 /* bytes of a client's message; a line of base64 holds no more */
#define AUTH_OFFER_SIZE  128  /* room for auth_offer() */

enum auth_mechanism { AUTH_PLAIN, AUTH_LOGIN, AUTH_SCRAM_SHA_256, AUTH_MECHANISMS };

/* May that client log in at all: does its listener offer it? */
bool auth_listens(const struct peer *peer);

/* ... and now: under TLS, or where it isn't asked for? */
bool auth_offered(const struct peer *peer);

/* Writes "AUTH " and the mechanisms of the configuration that we have. False: there are none. */
bool auth_offer(const struct conf *conf, char *out, size_t size);

/* The mechanism of that name, if it is offered; AUTH_MECHANISMS: no. */
enum auth_mechanism auth_find(const struct conf *conf, const char *name, size_t len);
const char *auth_name(enum auth_mechanism mechanism);

/* A user and his password, in the message they came in. */
struct auth_plain {
	const char *user, *password;
	size_t user_len, password_len;
};

/*
 * Reads the message of PLAIN (RFC 4616). -EINVAL: it isn't one, or who logs in wants to be another
 * than he proves to be.
 */
int auth_read_plain(const char *message, size_t n, struct auth_plain *plain);

/*
 * Reads a line of the exchange: base64, or "=" for nothing where it came with the command. Returns
 * the bytes written to out (AUTH_MESSAGE_MAX of them at most), -EINVAL or -EMSGSIZE.
 */
int auth_read_line(const char *line, size_t len, bool initial, char *out);
