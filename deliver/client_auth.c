/* SPDX-License-Identifier: ISC */
/*
 * AUTH (RFC 4954), between the last EHLO and the first transaction. A mechanism that the host
 * offers and then doesn't know or want (504, 534) gives way to the next one; a secret that it
 * refuses (535) isn't tried again, since that is what gets accounts locked. Whatever fails is about
 * us and not about a message: the site is down with the host's words.
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "deliver/client_state.h"
#include "deliver/overheard.h"
#include "deliver/sasl.h"
#include "deliver/verdict.h"
#include "lib/child.h"
#include "lib/log.h"

#define CODE_UNKNOWN 504 /* unrecognized mechanism (RFC 4954 §6) */
#define CODE_WEAK    534 /* mechanism is too weak */
#define AUTH_STEPS   8   /* challenges of one exchange; SCRAM has two */

/* client_auth_forget - at the end of the exchange, or of the connection */
void client_auth_forget(struct client *c)
{
	sasl_free(c->sasl);
	c->sasl = NULL;
}

/* fail - the login is not to be had: in our words, and the host's behind them */
__attribute__((format(printf, 4, 5))) static void fail(
    struct client *c, enum open_verdict why, const struct words *theirs, const char *fmt, ...)
{
	char what[300];
	struct words words;
	va_list ap;
	va_start(ap, fmt);
	vsnprintf(what, sizeof(what), fmt, ap);
	va_end(ap);
	if (theirs && c->sasl && sasl_shows(c->sasl, theirs->text, theirs->len))
		words_set(&words, theirs->code, theirs->status,
		    "%s: refused (its words repeat the secret, so they are left out)", what);
	else if (theirs)
		words_set(&words, theirs->code, theirs->status, "%s: %.*s", what, (int)theirs->len,
		    theirs->text);
	else
		words_set(&words, 0, "4.7.0", "%s", what);
	client_end(c, why, &words);
}

/* look_up - the login that the route names */
static bool look_up(const struct client *c, struct credential *login)
{
	const struct conf *conf = child_self()->conf;
	const struct conf_file *f = conf_file(conf, conf->credentials);
	return f &&
	       credentials_find((const char *)f->data, f->len, c->setup.credential, login) == 0;
}

/* wiped - the kernel has it */
static void wiped(const void *data, size_t len, void *arg)
{
	(void)arg;
	explicit_bzero((void *)(uintptr_t)data, len);
	free((void *)(uintptr_t)data);
}

/* say - a line of which no copy stays behind */
static void say(struct client *c, const char *command, const char *space, const char *text)
{
	char *line = NULL;
	int n = asprintf(&line, "%s%s%s\r\n", command, space, text);
	if (n < 0 ||
	    evbuffer_add_reference(conn_output(c->conn), line, (size_t)n, wiped, NULL) < 0) {
		if (n >= 0)
			wiped(line, (size_t)n, NULL);
		client_end_ours(c, OPEN_LOCAL_LIMIT, "4.3.0", "out of memory");
		return;
	}
	overheard_note(c, true, "%s (login)", command);
	conn_written(c->conn);
	client_enter(c, CLIENT_AUTH);
}

/* answer - to a challenge ("": to begin with); command: what stands before it */
static void answer(struct client *c, const char *challenge, const char *command)
{
	char *text = NULL;
	switch (sasl_step(c->sasl, challenge, &text)) {
	case SASL_MORE:
	case SASL_DONE:
		say(c, command, *command ? " " : "", *text || !*command ? text : "=");
		break;
	case SASL_BROKEN:
		fail(c, OPEN_REFUSED, NULL, "login with %s: %s", c->mechanism, sasl_error(c->sasl));
		break;
	case SASL_NOMEM:
		client_end_ours(c, OPEN_LOCAL_LIMIT, "4.3.0", "out of memory");
		break;
	}
	sasl_wipe(text);
}

/* begin - the AUTH command, with a mechanism behind `after` */
static void begin(struct client *c, const char *after)
{
	struct credential login;
	char command[40];
	client_auth_forget(c);
	c->mechanism = sasl_choose(c->pipeline.peer.auth, after);
	c->challenges = 0;
	if (!look_up(c, &login)) {
		fail(c, OPEN_REFUSED, NULL, "there is no login \"%s\" in %s", c->setup.credential,
		    child_self()->conf->credentials);
		return;
	}
	c->sasl = sasl_new(c->mechanism, &login);
	if (!c->sasl) {
		client_end_ours(c, OPEN_LOCAL_LIMIT, "4.3.0", "out of memory");
		return;
	}
	snprintf(command, sizeof(command), "AUTH %s", c->mechanism);
	if (sasl_begins(c->sasl))
		answer(c, "", command);
	else
		say(c, command, "", "");
}

/* client_auth - log in: EHLO, and STARTTLS where it is wanted, are behind us */
void client_auth(struct client *c)
{
	if (!c->pipeline.peer.auth[0])
		fail(c, OPEN_REFUSED, NULL, "a login is configured, and the host offers none%s",
		    c->secured ? "" : " without TLS");
	else if (!sasl_choose(c->pipeline.peer.auth, NULL))
		fail(c, OPEN_REFUSED, NULL,
		    "the host offers logins with%s, and we know " SASL_MECHANISMS,
		    c->pipeline.peer.auth);
	else
		begin(c, NULL);
}

/* on_challenge - 334: the host's turn was to ask */
static void on_challenge(struct client *c)
{
	if (++c->challenges > AUTH_STEPS)
		fail(c, OPEN_REFUSED, NULL, "login with %s: it asks without end", c->mechanism);
	else
		answer(c, c->reply.text, "");
}

/* on_refusal - 4xx, 5xx or what is none of AUTH's replies */
static void on_refusal(struct client *c, const struct words *words)
{
	bool other = words->code == CODE_UNKNOWN || words->code == CODE_WEAK;
	if (other && sasl_choose(c->pipeline.peer.auth, c->mechanism)) {
		log_debug(
		    "connection %llu: no %s here", (unsigned long long)c->setup.tag, c->mechanism);
		begin(c, c->mechanism);
		return;
	}
	fail(c, verdict_open(words), words, "login \"%s\" with %s", c->setup.credential,
	    c->mechanism);
}

/* client_auth_reply - to AUTH, or to what we said in it */
void client_auth_reply(struct client *c, const struct words *words)
{
	if (words->code == 334) {
		on_challenge(c);
	} else if (verdict_class(words) != 2) {
		on_refusal(c, words);
	} else if (!sasl_complete(c->sasl)) {
		fail(c, OPEN_REFUSED, NULL,
		    "login with %s: it says yes before it has shown that it "
		    "knows the secret",
		    c->mechanism);
	} else {
		client_auth_forget(c);
		client_step(c, STEP_AUTH, words);
		client_ready(c);
	}
}
