/* SPDX-License-Identifier: ISC */
/*
 * A client: a connection and the session that speaks on it. This is where bytes, time and fairness
 * are: it feeds the session what came, writes what it said, ends it when its time is over, stops
 * reading while it waits, and lets others have their turn.
 */
#pragma once

#include "lib/conf.h"
#include "smtpd/policy.h"

#define CLIENT_COMMANDS_TURN 100         /* commands of one client in one turn */
#define CLIENT_INPUT_MAX     (64u << 10) /* unread bytes beyond which it isn't read from */
#define CLIENT_OUTPUT_MAX    (64u << 10) /* unsent replies beyond which nothing is handled */
#define CLIENT_TIMEOUT_MS    300000 /* for the next command or piece of body, RFC 5321 §4.5.3.2.7 */
#define CLIENT_LOW_MS        60000  /* the same when slots for clients run low */
#define CLIENT_LAST_MS       10000  /* and when hardly any is left */
#define CLIENT_SWEEP_MS      1000   /* how often those are looked for that are over a shorter one */
#define CLIENT_TELL_MS       60000  /* between two lines in the log that say so */
#define CLIENT_BODY_STEP     512    /* bytes: less is no piece of body and wins no time */
#define CLIENT_SHAKE_MS      30000  /* for a TLS handshake */
#define CLIENT_LINGER_MS     2000   /* for a client that still sends when we close */

/* Called when a client is gone, with the argument given to client_new(). */
typedef void client_gone(void *arg);

/* Takes over a connected non-blocking socket. Returns 0 or -ENOMEM (fd closed, gone not called). */
int client_new(
    int fd, const struct peer *peer, const struct conf *conf, client_gone *gone, void *arg);

/*
 * How long a client that doesn't get on is kept: CLIENT_TIMEOUT_MS, or less while slots are short.
 * Holds for those that are waiting already too; they hear 421 4.3.2.
 */
void client_patience(unsigned ms);

/* Clients that are there. */
unsigned client_count(void);

/*
 * The worker ends: idle() is called when the last client is gone (at once when there is none).
 * Links from deliver go now.
 */
void client_leave(void (*idle)(void));

/* Clients between transactions get 421 now, the others after their transaction. */
void client_drain(void);

/* Those that are left get 421 and are closed. */
void client_close_all(void);
