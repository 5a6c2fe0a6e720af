/* SPDX-License-Identifier: ISC */
/*
 * AUTH (RFC 4954) and the lines that follow it, which are no commands: PLAIN (RFC 4616), LOGIN, and
 * SCRAM-SHA-256, which is relayed to keeper and back. An exchange exists exactly in the state
 * SMTP_AUTH. What a client can't prove is answered when keeper says so, which may be on purpose
 * some seconds later.
 */
#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base64.h"
#include "lib/counters.h"
#include "lib/log.h"
#include "lib/str.h"
#include "smtpd/auth.h"
#include "smtpd/commands.h"
#include "smtpd/overheard.h"
#include "smtpd/question.h"

struct auth_exchange {
	enum auth_mechanism mechanism;
	uint32_t request; /* keeper's name for it; 0: it wasn't asked yet */
	uint8_t step;
	char user[PEER_USER_MAX + 1];
	size_t len;
	char message[AUTH_MESSAGE_MAX]; /* what keeper is to see: a password, or SCRAM's */
};

static const struct verdict fine;

/* log_login - one line for each login and each that failed; fail2ban reads it (smtpd.8) */
static void log_login(
    const struct session *s, const char *mechanism, const char *user, const char *result)
{
	const struct conf_listen *listen = s->peer.listen;
	log_event(LOG_INFO, 0, "login", LOG_STR("client", s->peer.address),
	    LOG_IF(listen, LOG_STR("listener", listen ? listen->title : "")),
	    LOG_STR("tls", s->peer.tls), LOG_STR("mechanism", mechanism), LOG_STR("user", user),
	    LOG_STR("result", result));
}

/* auth_drop - the exchange ends, and keeper hears of it if it has its part of it */
void auth_drop(struct session *s)
{
	struct auth_exchange *x = s->auth;
	struct chan *keeper = question_keeper();
	if (!x)
		return;
	if (x->request && x->mechanism == AUTH_SCRAM_SHA_256 && keeper)
		CHAN_SEND(keeper, keeper_login_end, .request = x->request);
	explicit_bzero(x, sizeof(*x));
	free(x);
	s->auth = NULL;
}

/* over - it ends with that verdict */
static struct verdict over(struct session *s, struct verdict v)
{
	auth_drop(s);
	session_enter(s, SMTP_READY);
	return v;
}

/* challenge - the client is to answer */
static struct verdict challenge(struct session *s, const char *text)
{
	overheard_note(s, true, "334%s", *text ? " (challenge)" : "");
	if (evbuffer_add_printf(s->out, "334 %s\r\n", text) < 0)
		return (struct verdict){ACT_CLOSE, 421, "4.3.0", "Out of memory"};
	return verdict_act(ACT_SAID);
}

/* -- keeper ------------------------------------------------------------------------------------ */

/* session_of - whose question it is */
static struct session *session_of(struct question *q)
{
	return (struct session *)((char *)q - offsetof(struct session, question));
}

/* ask - one step, as it stands in the exchange */
static void ask(struct question *q, struct chan *keeper)
{
	const struct session *s = session_of(q);
	const struct auth_exchange *x = s->auth;
	bool scram = x->mechanism == AUTH_SCRAM_SHA_256;
	CHAN_SEND(keeper, keeper_login, .request = q->id,
	    .mechanism = scram ? LOGIN_SCRAM_SHA_256 : LOGIN_PLAIN, .step = x->step,
	    .client = msg_str(s->peer.address), .user = msg_str(x->user),
	    .secret = msg_bytes(x->message, x->len));
}

/* logged_in - from now on the session is that user's */
static struct verdict logged_in(struct session *s, struct msg_bytes user)
{
	const char *mechanism = auth_name(s->auth->mechanism);
	if (str_copy_n(s->peer.user, sizeof(s->peer.user), user.data, user.len) != 0)
		s->peer.user[0] = '\0';
	if (!s->peer.user[0])
		return over(
		    s, verdict_reply(454, "4.7.0", "Cannot check that now, try again later"));
	counter_add(C_smtp_logins, 1);
	log_login(s, mechanism, s->peer.user, "ok");
	s->auth->request = 0; /* keeper is done with it */
	return over(s, verdict_reply(235, "2.7.0", "Authentication successful"));
}

/* failed - for whatever reason */
static struct verdict failed(struct session *s, const char *result, struct verdict v)
{
	counter_add(v.code >= 500 ? C_smtp_logins_failed : C_smtp_logins_deferred, 1);
	log_login(s, auth_name(s->auth->mechanism), s->auth->user, result);
	s->auth->request = 0;
	return over(s, v);
}

/* wrong - whatever it is that doesn't fit */
static struct verdict wrong(struct session *s)
{
	return failed(
	    s, "wrong", verdict_reply(535, "5.7.8", "Authentication credentials invalid"));
}

/* not_now - nobody can tell */
static struct verdict not_now(struct session *s)
{
	return failed(
	    s, "unknown", verdict_reply(454, "4.7.0", "Cannot check that now, try again later"));
}

/* relay - keeper's challenge to the client */
static struct verdict relay(struct session *s, struct msg_bytes bytes)
{
	char text[BASE64_LEN(4096) + 1];
	if (base64_encode(text, sizeof(text), bytes.data, bytes.len) < 0)
		return not_now(s);
	return challenge(s, text);
}

/* judge - keeper's word */
static struct verdict judge(struct session *s, const struct msg_keeper_login_is *m)
{
	struct auth_exchange *x = s->auth;
	if (x->mechanism == AUTH_SCRAM_SHA_256)
		str_copy_n(x->user, sizeof(x->user), m->user.data, m->user.len);
	switch (m->verdict) {
	case LOGIN_OK:
		return logged_in(s, m->user);
	case LOGIN_MORE:
		x->step++;
		return relay(s, m->challenge);
	case LOGIN_WRONG:
		return wrong(s);
	case LOGIN_SLOW:
		return failed(s, "slowed",
		    verdict_reply(454, "4.7.0", "Too many failed logins, try again later"));
	default:
		return not_now(s);
	}
}

/* answered - the session goes on */
static void answered(struct question *q, const union msg_any *msg)
{
	struct session *s = session_of(q);
	struct verdict v = msg ? judge(s, &msg->keeper_login_is) : not_now(s);
	session_resume(s, v); /* may free the session */
}

/* put - this step to keeper */
static struct verdict put(struct session *s)
{
	struct auth_exchange *x = s->auth;
	s->question.answer = MSG_keeper_login_is;
	s->question.ask = ask;
	s->question.answered = answered;
	if (question_put(&s->question, x->request) != 0)
		return not_now(s);
	x->request = s->question.id;
	s->wait = WAIT_KEEPER;
	return verdict_act(ACT_WAIT);
}

/* -- the client -------------------------------------------------------------------------------- */

/* take_plain - both at once */
static struct verdict take_plain(struct session *s, const char *message, size_t n)
{
	struct auth_exchange *x = s->auth;
	struct auth_plain p;
	if (auth_read_plain(message, n, &p) != 0 ||
	    str_copy_n(x->user, sizeof(x->user), p.user, p.user_len) != 0)
		return wrong(s);
	memcpy(x->message, p.password, p.password_len);
	x->len = p.password_len;
	return put(s);
}

/* take_login - first the user, then the password */
static struct verdict take_login(struct session *s, const char *message, size_t n)
{
	struct auth_exchange *x = s->auth;
	if (!x->user[0]) {
		if (n == 0 || str_copy_n(x->user, sizeof(x->user), message, n) != 0)
			return wrong(s);
		return challenge(s, "UGFzc3dvcmQ6"); /* "Password:" */
	}
	if (n == 0 || memchr(message, '\0', n))
		return wrong(s);
	memcpy(x->message, message, n);
	x->len = n;
	return put(s);
}

/* take - one message of the client */
static struct verdict take(struct session *s, const char *line, size_t len, bool initial)
{
	char message[AUTH_MESSAGE_MAX];
	struct auth_exchange *x = s->auth;
	int n = auth_read_line(line, len, initial, message);
	struct verdict v;
	if (n < 0)
		return over(s, n == -EMSGSIZE
				   ? verdict_reply(500, "5.5.6", "Authentication line too long")
				   : verdict_reply(501, "5.5.2", "Cannot decode the response"));
	if (x->mechanism == AUTH_PLAIN) {
		v = take_plain(s, message, (size_t)n);
	} else if (x->mechanism == AUTH_LOGIN) {
		v = take_login(s, message, (size_t)n);
	} else {
		memcpy(x->message, message, (size_t)n);
		x->len = (size_t)n;
		v = put(s);
	}
	explicit_bzero(message, sizeof(message));
	return v;
}

/* auth_check - offered, legal, known */
struct verdict auth_check(struct session *s, struct args args)
{
	const char *space = memchr(args.text, ' ', args.len);
	size_t len = space ? (size_t)(space - args.text) : args.len;
	if (!auth_listens(&s->peer))
		return verdict_reply(502, "5.5.1", "Authentication is not offered here");
	if (!auth_offered(&s->peer))
		return verdict_reply(538, "5.7.11", "Encryption required, send STARTTLS first");
	if (!s->esmtp)
		return verdict_reply(503, "5.5.1", "Send EHLO first");
	if (s->peer.user[0])
		return verdict_reply(503, "5.5.1", "Already authenticated");
	if (len == 0)
		return verdict_reply(501, "5.5.4", "Syntax: AUTH mechanism [initial-response]");
	s->cmd.mechanism = auth_find(s->conf, args.text, len);
	if (s->cmd.mechanism == AUTH_MECHANISMS)
		return verdict_reply(504, "5.5.4", "Unrecognized authentication mechanism");
	while (space && len < args.len && args.text[len] == ' ')
		len++;
	s->cmd.initial = space ? args.text + len : NULL;
	s->cmd.initial_len = args.len - len;
	return fine;
}

/* auth_run - the exchange begins; the line is still there */
struct verdict auth_run(struct session *s)
{
	s->auth = calloc(1, sizeof(*s->auth));
	if (!s->auth)
		return verdict_reply(454, "4.3.0", "Out of memory, try again later");
	s->auth->mechanism = s->cmd.mechanism;
	session_enter(s, SMTP_AUTH);
	if (s->cmd.initial)
		return take(s, s->cmd.initial, s->cmd.initial_len, true);
	return challenge(
	    s, s->auth->mechanism == AUTH_LOGIN ? "VXNlcm5hbWU6" : ""); /* "Username:" */
}

/* auth_line - the client's answer to a challenge; "*" gives up */
struct verdict auth_line(struct session *s, const char *line, size_t len)
{
	s->verb = commands_name(CMD_AUTH);
	if (len == 1 && *line == '*')
		return over(s, verdict_reply(501, "5.7.0", "Authentication cancelled"));
	return take(s, line, len, false);
}

/* auth_bad_line - a line that is none ends it */
struct verdict auth_bad_line(struct session *s, struct verdict v)
{
	s->verb = commands_name(CMD_AUTH);
	if (v.act == ACT_REPLY)
		v = verdict_reply(500, "5.5.6", "Authentication line too long or malformed");
	return over(s, v);
}
