/* SPDX-License-Identifier: ISC */
/* MAIL and RCPT of no message, and RSET: what a host would say to one (deliver/trial.c). */
#include <stdio.h>
#include <stdlib.h>

#include "deliver/client_state.h"
#include "deliver/verdict.h"

enum { TRY_MAIL, TRY_RCPT, TRY_RSET };

/* say - the next command */
static void say(struct client *c)
{
	char *line = NULL;
	int n = c->trying == TRY_MAIL   ? asprintf(&line, "MAIL FROM:<%s>\r\n", c->setup.try_from)
		: c->trying == TRY_RCPT ? asprintf(&line, "RCPT TO:<%s>\r\n", c->setup.try_to)
					: asprintf(&line, "RSET\r\n");
	if (n < 0 || conn_write(c->conn, line, (size_t)n) < 0)
		client_end_ours(c, OPEN_LOCAL_LIMIT, "4.3.0", "out of memory");
	else
		client_enter(c, CLIENT_TRYING);
	if (n >= 0)
		free(line);
}

void client_try(struct client *c)
{
	c->tried = true;
	c->trying = TRY_MAIL;
	say(c);
}

void client_try_reply(struct client *c, const struct words *words)
{
	if (verdict_class(words) != 2 && c->trying != TRY_RSET) {
		client_end(c, verdict_open(words), words);
		return;
	}
	if (c->trying == TRY_MAIL)
		client_step(c, STEP_MAIL, words);
	else if (c->trying == TRY_RCPT)
		client_step(c, STEP_RCPT, words);
	if (c->trying++ == TRY_RSET)
		client_ready(c);
	else
		say(c);
}
