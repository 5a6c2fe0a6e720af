/* SPDX-License-Identifier: ISC */
/*
 * commands_run() finds the row, judges the order from its mask, calls check and then run. The
 * commands that concern no transaction are here, the others have their own files.
 */
#include "smtpd/commands.h"

#include <stdio.h>
#include <string.h>

#include "lib/str.h"
#include "smtpd/auth.h"
#include "smtpd/overheard.h"
#include "smtpd/starttls.h"

#define IN(state) (1u << SMTP_##state)
#define ANYWHERE  (IN(GREET) | IN(READY) | IN(MAIL) | IN(RCPT) | IN(CHUNKED))

static struct verdict hello_check(struct session *s, struct args args);
static struct verdict ehlo_run(struct session *s);
static struct verdict helo_run(struct session *s);
static struct verdict rset_run(struct session *s);
static struct verdict noop_run(struct session *s);
static struct verdict vrfy_check(struct session *s, struct args args);
static struct verdict vrfy_run(struct session *s);
static struct verdict help_run(struct session *s);
static struct verdict quit_run(struct session *s);
static struct verdict starttls_check(struct session *s, struct args args);
static struct verdict starttls_run(struct session *s);
static struct verdict no_args(struct session *s, struct args args);
static struct verdict any_args(struct session *s, struct args args);

static const struct row {
	char verb[12];
	unsigned states;
	struct verdict (*check)(struct session *, struct args);
	struct verdict (*run)(struct session *);
} table[COMMANDS] = {
    [CMD_EHLO] = {"EHLO", ANYWHERE, hello_check, ehlo_run},
    [CMD_HELO] = {"HELO", ANYWHERE, hello_check, helo_run},
    [CMD_MAIL] = {"MAIL", IN(READY), mail_check, mail_run},
    [CMD_RCPT] = {"RCPT", IN(MAIL) | IN(RCPT), rcpt_check, rcpt_run},
    [CMD_DATA] = {"DATA", IN(RCPT), data_check, data_run},
    [CMD_RSET] = {"RSET", ANYWHERE, no_args, rset_run},
    [CMD_NOOP] = {"NOOP", ANYWHERE, any_args, noop_run},
    [CMD_VRFY] = {"VRFY", ANYWHERE, vrfy_check, vrfy_run},
    [CMD_HELP] = {"HELP", ANYWHERE, any_args, help_run},
    [CMD_QUIT] = {"QUIT", ANYWHERE, no_args, quit_run},
    [CMD_STARTTLS] = {"STARTTLS", IN(READY), starttls_check, starttls_run},
    [CMD_BDAT] = {"BDAT", IN(RCPT) | IN(CHUNKED), bdat_check, bdat_run},
    [CMD_AUTH] = {"AUTH", IN(READY), auth_check, auth_run},
};

static const struct verdict fine;

/* commands_name - as it is written */
const char *commands_name(enum command command)
{
	return table[command].verb;
}

/* commands_legal - from the mask */
bool commands_legal(enum command command, enum smtp_state state)
{
	return table[command].states >> state & 1;
}

/* find - the row of a verb */
static const struct row *find(const char *verb, size_t len)
{
	for (size_t i = 0; i < COMMANDS; i++)
		if (str_is_ci(verb, len, table[i].verb))
			return &table[i];
	return NULL;
}

/* commands_known - is it a verb? */
bool commands_known(const char *verb, size_t len)
{
	return find(verb, len) != NULL;
}

/* out_of_order - what is missing, in words (RFC 5321 §4.1.4) */
static struct verdict out_of_order(const struct session *s, const struct row *row)
{
	if (s->state == SMTP_GREET)
		return verdict_reply(503, "5.5.1", "Send EHLO or HELO first");
	if (s->state == SMTP_CHUNKED)
		return verdict_reply(503, "5.5.1", "BDAT is under way");
	if (row == &table[CMD_STARTTLS] || row == &table[CMD_AUTH])
		return verdict_reply(503, "5.5.1", "A transaction is under way");
	if (row == &table[CMD_MAIL])
		return verdict_reply(503, "5.5.1", "A transaction is under way, nested MAIL");
	if ((row == &table[CMD_DATA] || row == &table[CMD_BDAT]) && s->state == SMTP_MAIL)
		return verdict_reply(503, "5.5.1", "Need RCPT first, there is no valid recipient");
	return verdict_reply(503, "5.5.1", "Need MAIL first");
}

/* commands_run - one line */
struct verdict commands_run(struct session *s, const char *line, size_t len)
{
	const char *space = memchr(line, ' ', len);
	size_t verb_len = space ? (size_t)(space - line) : len;
	const struct row *row = find(line, verb_len);
	struct args args = {line + verb_len, len - verb_len};
	struct verdict v;

	if (!row) {
		s->verb = "command";
		return verdict_reply(500, "5.5.2", "Command not recognized");
	}
	s->verb = row->verb;
	s->cmd.address[0] = '\0';
	while (args.len && args.text[0] == ' ') {
		args.text++;
		args.len--;
	}
	while (args.len && args.text[args.len - 1] == ' ')
		args.len--;
	if (!(row->states >> s->state & 1)) {
		v = out_of_order(s, row);
		return row == &table[CMD_BDAT] ? bdat_refuse(s, args, v) : v;
	}
	v = row->check(s, args);
	return v.code || v.act != ACT_REPLY ? v : row->run(s);
}

/* no_args - RFC 5321 §4.1.1: 501 where no argument is allowed */
static struct verdict no_args(struct session *s, struct args args)
{
	(void)s;
	return args.len ? verdict_reply(501, "5.5.4", "No argument is allowed here") : fine;
}

/* any_args - whatever */
static struct verdict any_args(struct session *s, struct args args)
{
	(void)s, (void)args;
	return fine;
}

/* hello_check - a name or address literal: anything that can stand in a header and a log */
static struct verdict hello_check(struct session *s, struct args args)
{
	if (args.len == 0)
		return verdict_reply(501, "5.5.4", "The client's host name is missing");
	if (args.len > SESSION_HELO_MAX)
		return verdict_reply(501, "5.5.4", "The client's host name is too long");
	for (size_t i = 0; i < args.len; i++) {
		/* Many clients send names that DNS would not allow; what counts is what would
		 * break out of a Received line. */
		if (args.text[i] <= ' ' || args.text[i] > '~' ||
		    strchr("()<>\"\\,;@", args.text[i]))
			return verdict_reply(501, "5.5.4", "The client's host name is malformed");
	}
	memcpy(s->helo, args.text, args.len);
	s->helo[args.len] = '\0';
	return fine;
}

/* hello - a new beginning, which also ends a transaction (RFC 5321 §4.1.4) */
static void hello(struct session *s, bool esmtp)
{
	session_enter(s, SMTP_READY);
	s->esmtp = esmtp;
}

/* ehlo_run - say what we can */
static struct verdict ehlo_run(struct session *s)
{
	hello(s, true);
	char limits[64] = "";
	if (s->conf->limits.recipients) /* RFC 9422: no other limit of ours concerns a client */
		snprintf(limits, sizeof(limits), "250-LIMITS RCPTMAX=%u\r\n",
		    s->conf->limits.recipients);
	size_t before = evbuffer_get_length(s->out);
	const char *tls = starttls_offered(&s->peer) ? "250-STARTTLS\r\n" : "";
	char auth[AUTH_OFFER_SIZE];
	bool login = auth_offered(&s->peer) && auth_offer(s->conf, auth, sizeof(auth));
	if (evbuffer_add_printf(s->out,
		"250-%s\r\n250-PIPELINING\r\n250-SIZE %llu\r\n250-8BITMIME\r\n"
		"250-SMTPUTF8\r\n250-CHUNKING\r\n250-DSN\r\n%s%s%s%s%s250 ENHANCEDSTATUSCODES\r\n",
		s->conf->hostname, (unsigned long long)s->conf->message_size, limits, tls,
		login ? "250-" : "", login ? auth : "", login ? "\r\n" : "") < 0)
		return (struct verdict){ACT_CLOSE, 421, "4.3.0", "Out of memory"};
	if (dialogue_any)
		overheard_reply(s, before);
	return verdict_act(ACT_SAID);
}

/* helo_run - RFC 2034 §3: no status code before EHLO's answer is known, and none in it */
static struct verdict helo_run(struct session *s)
{
	hello(s, false);
	return verdict_reply(250, NULL, s->conf->hostname);
}

/* rset_run - back to the state behind EHLO */
static struct verdict rset_run(struct session *s)
{
	session_enter(s, s->state == SMTP_GREET ? SMTP_GREET : SMTP_READY);
	return verdict_reply(250, "2.0.0", "Ok");
}

/* noop_run - nothing */
static struct verdict noop_run(struct session *s)
{
	(void)s;
	return verdict_reply(250, "2.0.0", "Ok");
}

/* vrfy_check - something must be asked for */
static struct verdict vrfy_check(struct session *s, struct args args)
{
	(void)s;
	return args.len ? fine : verdict_reply(501, "5.5.4", "An address is missing");
}

/* vrfy_run - RFC 5321 §3.5.3: not told, for who asks is not known */
static struct verdict vrfy_run(struct session *s)
{
	(void)s;
	return verdict_reply(
	    252, "2.5.0", "Cannot verify, but will take mail and try to deliver it");
}

/* help_run - where to read on */
static struct verdict help_run(struct session *s)
{
	(void)s;
	return verdict_reply(214, "2.0.0", "See RFC 5321");
}

/* quit_run - in peace */
static struct verdict quit_run(struct session *s)
{
	s->quit = true;
	return (struct verdict){ACT_CLOSE, 221, "2.0.0", "Bye"};
}

/* starttls_check - offered, and for the first time */
static struct verdict starttls_check(struct session *s, struct args args)
{
	if (args.len)
		return verdict_reply(501, "5.5.4", "No argument is allowed here");
	if (s->peer.tls)
		return verdict_reply(503, "5.5.1", "TLS is active already");
	if (!starttls_offered(&s->peer))
		return verdict_reply(502, "5.5.1", "TLS is not offered here");
	return fine;
}

/* starttls_run - RFC 3207: nothing that came with it or before counts any more */
static struct verdict starttls_run(struct session *s)
{
	(void)s;
	return (struct verdict){ACT_TLS, 220, "2.0.0", "Ready to start TLS"};
}
