/* SPDX-License-Identifier: ISC */
/*
 * The verbs of SMTP: one table of what they are called, in which states they are legal, what checks
 * their arguments and what carries them out. A check has no effect beyond session.cmd, so that an
 * argument is refused before anything happened; order is judged from the table, never by a handler.
 */
#pragma once

#include "smtpd/session.h"

enum command {
	CMD_EHLO,
	CMD_HELO,
	CMD_MAIL,
	CMD_RCPT,
	CMD_DATA,
	CMD_RSET,
	CMD_NOOP,
	CMD_VRFY,
	CMD_HELP,
	CMD_QUIT,
	CMD_STARTTLS,
	CMD_BDAT,
	CMD_AUTH,
	COMMANDS
};

/* What stands behind the verb, without the space between and spaces at the end. */
struct args {
	const char *text;
	size_t len;
};

/* Handles one line (without its CRLF). */
struct verdict commands_run(struct session *s, const char *line, size_t len);

/* The verb's name; for tests and the log. */
const char *commands_name(enum command command);
/* Whether there is such a verb, in any case. */
bool commands_known(const char *verb, size_t len);
/* Whether the table allows it in that state. */
bool commands_legal(enum command command, enum smtp_state state);

/* cmd_mail.c */
struct verdict mail_check(struct session *s, struct args args);
struct verdict mail_run(struct session *s);

/* cmd_auth.c */
struct verdict auth_check(struct session *s, struct args args);
struct verdict auth_run(struct session *s);
/* A line in SMTP_AUTH; one that isn't a line, with the verdict on that. */
struct verdict auth_line(struct session *s, const char *line, size_t len);
struct verdict auth_bad_line(struct session *s, struct verdict v);
/* Frees a login that is under way, if there is one. */
void auth_drop(struct session *s);

/* cmd_rcpt.c */
struct verdict rcpt_check(struct session *s, struct args args);
struct verdict rcpt_run(struct session *s);

/* cmd_data.c */
struct verdict data_check(struct session *s, struct args args);
struct verdict data_run(struct session *s);
/*
 * Takes body bytes, at most *turn (reduced by what it took). ACT_WAIT: more bytes are needed, or
 * s->wait says what else. ACT_REPLY with code 0: call again; with a code: the body is over and this
 * is the reply to it.
 */
struct verdict data_feed(struct session *s, struct evbuffer *in, size_t *turn);
/* session_place() and session_placed(), in SMTP_DATA. */
size_t data_place(struct session *s, char **at);
ssize_t data_placed(struct session *s, const char *at, size_t n, struct evbuffer *rest);

/* cmd_bdat.c */
struct verdict bdat_check(struct session *s, struct args args);
struct verdict bdat_run(struct session *s);
/*
 * A chunk that is refused for `why`, whatever its arguments are: its bytes are thrown away and the
 * transaction, if there is one, has ended; the reply comes behind them.
 */
struct verdict bdat_refuse(struct session *s, struct args args, struct verdict why);
/* Takes bytes of a chunk, as data_feed() does. */
struct verdict bdat_feed(struct session *s, struct evbuffer *in, size_t *turn);
