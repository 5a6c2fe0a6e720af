/* SPDX-License-Identifier: ISC */
/*
 * Greeting, EHLO (or HELO), STARTTLS and EHLO again, AUTH (client_auth.c), ready. Where TLS is only
 * an opportunity its refusal changes nothing, but it is remembered (deliver/secure.h); a failed
 * handshake takes the connection with it, and dial.c tries the address once more without.
 */
#include "deliver/client_state.h"

#include <stdio.h>
#include <string.h>

#include "deliver/overheard.h"
#include "deliver/secure.h"
#include "deliver/verdict.h"
#include "lib/counters.h"

/* client_ready - whatever had to come before went well */
void client_ready(struct client *c)
{
	if (c->setup.try_from && !c->tried) {
		client_try(c);
		return;
	}
	struct pipeline *p = &c->pipeline;
	if (!p->peer.pipelining || c->setup.pipelining == CONF_PIPELINING_OFF)
		p->mode = PIPELINE_STEP;
	else if (c->setup.pipelining == CONF_PIPELINING_RFC2920)
		p->mode = PIPELINE_ENVELOPE;
	else
		p->mode = PIPELINE_FULL;
	client_enter(c, CLIENT_READY);
	c->ops->ready(c->arg);
}

/* logs_in - whether AUTH comes before the session */
static bool logs_in(const struct client *c)
{
	return c->setup.credential && c->setup.credential[0];
}

/* go_in - EHLO or HELO went well, and there is as much TLS as there will be */
static void go_in(struct client *c)
{
	if (logs_in(c))
		client_auth(c);
	else
		client_ready(c);
}

/* hello - say who we are */
static void hello(struct client *c, enum client_state state, const char *verb)
{
	char line[300];
	int n = snprintf(line, sizeof(line), "%s %s\r\n", verb, c->setup.hello);
	if (n < 0 || (size_t)n >= sizeof(line) || conn_write(c->conn, line, (size_t)n) < 0) {
		client_end_ours(c, OPEN_LOCAL_LIMIT, "4.3.0", "can't say hello");
		return;
	}
	overheard_note(c, true, "%s %s", verb, c->setup.hello);
	client_enter(c, state);
}

/* first_hello - what begins a session (RFC 2033 §4.1: LMTP knows no HELO and no EHLO) */
static const char *first_hello(const struct client *c)
{
	return c->setup.lmtp ? "LHLO" : "EHLO";
}

/* passed_over - no TLS: the session goes on without, unless that isn't wanted */
static void passed_over(struct client *c, const struct words *words)
{
	if (c->setup.tls == CONF_TLS_REQUIRED || c->setup.tls == CONF_TLS_VERIFY)
		client_end(c, OPEN_TLS, words);
	else
		go_in(c);
}

/* greeted - EHLO or HELO went well: TLS before anything else */
static void greeted(struct client *c)
{
	static const char line[] = "STARTTLS\r\n";
	struct words words;
	if (c->secured || c->setup.tls == CONF_TLS_NONE || c->setup.tls == CONF_TLS_UNSET) {
		go_in(c);
	} else if (!c->pipeline.peer.starttls) {
		words_set(&words, 0, "4.7.4", "TLS is required%s, and the host doesn't offer it",
		    logs_in(c) ? " for the login" : "");
		passed_over(c, &words);
	} else if (conn_write(c->conn, line, sizeof(line) - 1) < 0) {
		client_end_ours(c, OPEN_LOCAL_LIMIT, "4.3.0", "out of memory");
	} else {
		overheard_note(c, true, "STARTTLS");
		client_enter(c, CLIENT_STARTTLS);
	}
}

/* on_starttls - what was refused is not asked for again for a while */
static void on_starttls(struct client *c, const struct words *words)
{
	if (words->code == 220) {
		client_step(c, STEP_STARTTLS, words);
		client_enter(c, CLIENT_SECURING); /* client_secure() follows: nothing lies behind */
		return;
	}
	counter_add(C_deliver_tls_failed, 1);
	if (verdict_closing(words)) {
		client_end(c, verdict_open(words), words);
		return;
	}
	secure_note_broken(&c->setup.secure, c->setup.site, words->text, words->len);
	passed_over(c, words);
}

/* client_secure - bytes behind the 220 could be anybody's (RFC 3207 §6) */
void client_secure(struct client *c, size_t behind)
{
	if (behind) {
		counter_add(C_deliver_tls_failed, 1);
		client_end_ours(c, OPEN_TLS, "4.7.5", "TLS: more than an answer to STARTTLS came");
		return;
	}
	if (conn_start_tls(c->conn, secure_connect(&c->setup.secure)) < 0) {
		client_end_ours(c, OPEN_LOCAL_LIMIT, "4.3.0", "TLS can't be started");
		return;
	}
	client_enter(c, CLIENT_SECURING);
}

/* client_secured - what was said before counts no more (RFC 3207 §4.2) */
void client_secured(struct client *c)
{
	counter_add(C_deliver_tls_sessions, 1);
	counter_add(C_deliver_tls_resumed, tls_resumed(conn_tls(c->conn)));
	c->secured = true;
	overheard_note(c, false, "(TLS stands)");
	client_step(c, STEP_SECURED, NULL);
	c->pipeline.peer = (struct ehlo){0};
	if (c->setup.implicit_tls)
		client_enter(c, CLIENT_GREETING);
	else
		hello(c, CLIENT_EHLO, first_hello(c));
}

/* on_ehlo - 5xx other than a goodbye: an old server, try HELO */
static void on_ehlo(struct client *c, const struct words *words)
{
	if (c->state == CLIENT_EHLO && verdict_class(words) == 2)
		ehlo_read(&c->pipeline.peer, &c->reply);
	if (verdict_class(words) == 2) {
		client_step(c, STEP_EHLO, words);
		greeted(c);
	} else if (c->state == CLIENT_EHLO && !c->setup.lmtp && words->code >= 500 &&
		   words->code <= 504) {
		hello(c, CLIENT_HELO, "HELO");
	} else {
		client_end(c, verdict_open(words), words);
	}
}

/* client_opening - a reply before the session stands */
void client_opening(struct client *c, const struct words *words)
{
	switch (c->state) {
	case CLIENT_GREETING:
		if (verdict_class(words) == 2) {
			client_step(c, STEP_GREETED, words);
			hello(c, CLIENT_EHLO, first_hello(c));
		} else {
			client_end(c, verdict_open(words), words);
		}
		break;
	case CLIENT_EHLO:
	case CLIENT_HELO:
		on_ehlo(c, words);
		break;
	case CLIENT_STARTTLS:
		on_starttls(c, words);
		break;
	default:
		break;
	}
}
