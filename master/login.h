/* SPDX-License-Identifier: ISC */
/*
 * Logins (keeper): LOGIN of lib/msg.def from smtpd to its answer. A password goes to the threads of
 * checks.h or to Dovecot, a SCRAM exchange to sasl.h step by step; wrong answers wait as failures.h
 * says. An exchange is known by its channel and request; it ends with its answer, with LOGIN_END,
 * with its channel, or after LOGIN_CLIENT_MS without a word of the client.
 */
#pragma once

#include "lib/chan.h"
#include "lib/conf.h"

#define LOGIN_OPEN_MAX  1024   /* exchanges of all askers that wait for their client */
#define LOGIN_CLIENT_MS 360000 /* longer than smtpd waits for a client */

/* Before the sandbox is closed. 0 or -E.... */
int login_prepare(void);

/* Takes the users file of that configuration, now and after a reload. */
void login_use(const struct conf *conf);

/* Starts what checks passwords; after the sandbox is closed. 0 or -E.... */
int login_start(void);

/* Handlers of keeper_login and keeper_login_end. */
void login_asked(struct chan *chan, union msg_any *msg, void *arg);
void login_ended(struct chan *chan, union msg_any *msg, void *arg);

/* That asker is gone: nobody wants its answers. */
void login_forget(struct chan *chan);
