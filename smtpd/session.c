/* SPDX-License-Identifier: ISC */
/*
 * session_feed() is a loop over what lies in the buffer: inside a body that takes it, else one
 * line is one command. It stops where something must be waited for. Replies gather in the output
 * buffer, so those of pipelined commands leave together.
 */
#include "smtpd/session.h"

#include <stdlib.h>
#include <string.h>

#include "lib/counters.h"
#include "lib/log.h"
#include "smtpd/commands.h"
#include "smtpd/intake.h"
#include "smtpd/overheard.h"
#include "smtpd/stranger.h"

#define BIT(state) (1u << (state))

/* where each state may lead */
static const unsigned allowed[SMTP_STATES] = {
    [SMTP_GREET] = BIT(SMTP_GREET) | BIT(SMTP_READY) | BIT(SMTP_DROP) | BIT(SMTP_CLOSING),
    [SMTP_READY] = BIT(SMTP_GREET) | BIT(SMTP_READY) | BIT(SMTP_MAIL) | BIT(SMTP_AUTH) |
		   BIT(SMTP_DROP) | BIT(SMTP_CLOSING),
    [SMTP_MAIL] = BIT(SMTP_READY) | BIT(SMTP_RCPT) | BIT(SMTP_DROP) | BIT(SMTP_CLOSING),
    [SMTP_RCPT] =
	BIT(SMTP_READY) | BIT(SMTP_DATA) | BIT(SMTP_BDAT) | BIT(SMTP_DROP) | BIT(SMTP_CLOSING),
    [SMTP_DATA] = BIT(SMTP_READY) | BIT(SMTP_CLOSING),
    [SMTP_BDAT] = BIT(SMTP_READY) | BIT(SMTP_CHUNKED) | BIT(SMTP_CLOSING),
    [SMTP_CHUNKED] = BIT(SMTP_READY) | BIT(SMTP_BDAT) | BIT(SMTP_DROP) | BIT(SMTP_CLOSING),
    [SMTP_DROP] = BIT(SMTP_GREET) | BIT(SMTP_READY) | BIT(SMTP_CLOSING),
    [SMTP_CLOSING] = 0,
    [SMTP_AUTH] = BIT(SMTP_READY) | BIT(SMTP_CLOSING),
};

static const char *const state_names[SMTP_STATES] = {
    [SMTP_GREET] = "GREET",
    [SMTP_READY] = "READY",
    [SMTP_MAIL] = "MAIL",
    [SMTP_RCPT] = "RCPT",
    [SMTP_DATA] = "DATA",
    [SMTP_BDAT] = "BDAT",
    [SMTP_CHUNKED] = "CHUNKED",
    [SMTP_DROP] = "DROP",
    [SMTP_CLOSING] = "CLOSING",
    [SMTP_AUTH] = "AUTH",
};

static unsigned sessions, last_number;

/* tx_free - the transaction goes as one */
static void tx_free(struct tx *tx)
{
	if (!tx)
		return;
	parcel_free(tx->parcel);
	free(tx->rcpts);
	free(tx);
}

/* session_enter - check the step, trace it, keep the invariants */
void session_enter(struct session *s, enum smtp_state next)
{
	if (!(allowed[s->state] & BIT(next)))
		log_bug("session of %s: %s to %s", s->peer.address, state_names[s->state],
		    state_names[next]);
	log_debug(
	    "session of %s: %s to %s", s->peer.address, state_names[s->state], state_names[next]);
	s->state = next;
	if (next >= SMTP_MAIL && next <= SMTP_CHUNKED) {
		if (!s->tx || (next != SMTP_MAIL && s->tx->nrcpts == 0))
			log_bug("session of %s: %s without its transaction", s->peer.address,
			    state_names[next]);
		return;
	}
	tx_free(s->tx);
	s->tx = NULL;
}

/* is_client - whether it is counted: our own links for notices always stand */
static bool is_client(const struct session *s)
{
	return s->peer.kind != PEER_NOTICE;
}

/* session_new - greeted by session_greet() */
struct session *session_new(const struct peer *peer, const struct conf *conf, struct evbuffer *out,
    session_ready *ready, void *arg)
{
	struct session *s = calloc(1, sizeof(*s));
	if (!s)
		return NULL;
	s->conf = conf;
	s->peer = *peer;
	s->out = out;
	s->ready = ready;
	s->arg = arg;
	s->verb = "connect";
	line_init(&s->line, LINE_MAX_COMMAND);
	s->line.lf_ends = peer->listen && peer->listen->line_endings == CONF_LINES_NORMALISE;
	stranger_begin(s);
	s->number = ++last_number;
	overheard_note(s, false, "(connected)");
	sessions++;
	counter_add(C_smtp_sessions, is_client(s));
	counter_add(C_smtp_sessions_open, is_client(s));
	return s;
}

/* session_free - nothing of it is with another module any more */
static void session_free(struct session *s)
{
	overheard_note(s, false, "(gone)");
	intake_inactive(s->epoch);
	recipient_cancel(&s->ask);
	stranger_end(s);
	question_cancel(&s->question);
	auth_drop(s);
	tx_free(s->tx);
	counter_sub(C_smtp_sessions_open, is_client(s));
	free(s);
	sessions--;
}

/* session_count - all of them */
unsigned session_count(void)
{
	return sessions;
}

/* session_end - a message that is with the sync thread is answered to nobody, but logged */
void session_end(struct session *s)
{
	s->ready = NULL;
	s->out = NULL;
	if (s->wait != WAIT_SYNC)
		session_free(s);
}

/* session_idle - between transactions */
bool session_idle(const struct session *s)
{
	return s->state == SMTP_GREET || s->state == SMTP_READY || s->state == SMTP_AUTH;
}

/* session_in_body - bytes of a message */
bool session_in_body(const struct session *s)
{
	return s->state == SMTP_DATA || s->state == SMTP_BDAT || s->state == SMTP_DROP;
}

/* session_reply - one line; out of memory ends the session through its client */
void session_reply(struct session *s, unsigned code, const char *status, const char *text)
{
	char line[sizeof(s->text) + 32];
	size_t text_len = strlen(text), n = 0;

	if (!s->out)
		return;
	line[n++] = (char)('0' + code / 100);
	line[n++] = (char)('0' + code / 10 % 10);
	line[n++] = (char)('0' + code % 10);
	line[n++] = ' ';
	for (; status && *status; status++)
		line[n++] = *status;
	if (line[n - 1] != ' ')
		line[n++] = ' ';
	if (text_len > sizeof(line) - n - 2)
		text_len = sizeof(line) - n - 2;
	memcpy(line + n, text, text_len);
	n += text_len;
	line[n++] = '\r';
	line[n++] = '\n';
	if (evbuffer_add(s->out, line, n) < 0 && s->state != SMTP_CLOSING)
		session_enter(s, SMTP_CLOSING);
	if (dialogue_any)
		overheard_reply(s, evbuffer_get_length(s->out) - n);
}

/* log_refusal - one line: who, at what, why */
static void log_refusal(struct session *s, const struct verdict *v)
{
	const struct tx *tx = s->tx;
	bool rcpt = strcmp(s->verb, "RCPT") == 0, mail = strcmp(s->verb, "MAIL") == 0;
	if (v->code == 535) /* has a line of its own */
		return;
	log_event(LOG_INFO, 0, "refuse", LOG_STR("client", s->peer.address),
	    LOG_IF(s->peer.user[0], LOG_STR("user", s->peer.user)),
	    LOG_IF(s->peer.uid != UINT32_MAX, LOG_U64("uid", s->peer.uid)),
	    LOG_IF(s->helo[0], LOG_STR("helo", s->helo)), LOG_STR("stage", s->verb),
	    LOG_IF(tx, LOG_STR("from", tx->sender)), LOG_IF(mail, LOG_STR("from", s->cmd.address)),
	    LOG_IF(rcpt, LOG_STR("to", s->cmd.address)), LOG_U64("code", v->code),
	    LOG_STR("status", v->status), LOG_IF(s->check, LOG_STR("check", s->check)),
	    LOG_STR("reason", v->text));
	s->check = NULL;
}

/* count_refusal - the counters of a refusal, and what a session may do wrong */
static void count_refusal(struct session *s, const struct verdict *v)
{
	if (strcmp(s->verb, "RCPT") == 0)
		counter_add(v->code >= 500 ? C_smtp_rcpt_refused : C_smtp_rcpt_deferred, 1);
	else if (s->state == SMTP_DATA || s->state == SMTP_BDAT)
		counter_add(C_smtp_messages_refused, 1);
	else if (v->code >= 500)
		counter_add(C_smtp_errors, 1);
	if (v->code < 500)
		return;
	s->errors++;
	s->pause_ms = stranger_erred(s);
}

/* act - carry out a verdict; false when the session waits or has ended */
static bool act(struct session *s, const struct verdict *v)
{
	if (v->act == ACT_WAIT)
		return false;
	if (v->act == ACT_SAID)
		return s->state != SMTP_CLOSING;
	if (v->code >= 400) {
		log_refusal(s, v);
		count_refusal(s, v);
	}
	session_reply(s, v->code, v->status, v->text);
	/* The transaction ends with its reply to the body. */
	if (session_in_body(s) && v->act != ACT_BODY)
		session_enter(s, s->helo[0] ? SMTP_READY : SMTP_GREET);
	if (s->state == SMTP_CLOSING)
		return false;
	if (v->act == ACT_TLS) {
		s->wait = WAIT_TLS;
		return false;
	}
	if (v->act == ACT_CLOSE) {
		session_enter(s, SMTP_CLOSING);
		return false;
	}
	if (s->conf->limits.errors && s->errors >= s->conf->limits.errors &&
	    s->peer.kind != PEER_NOTICE) {
		session_goodbye(s, "4.7.0", "Too many errors");
		return false;
	}
	if (v->code >= 500 && s->pause_ms) {
		session_pause(s, s->pause_ms);
		return false;
	}
	return true;
}

/* session_greet - or refuse at once */
void session_greet(struct session *s)
{
	struct verdict v = policy_session(&s->peer);
	if (v.code) {
		act(s, &v);
		return;
	}
	size_t before = evbuffer_get_length(s->out);
	evbuffer_add_printf(s->out, "220 %s ESMTP Baton\r\n", s->conf->hostname);
	if (dialogue_any)
		overheard_reply(s, before);
}

/* session_early - RFC 5321 §3.1: the client waits for the greeting */
void session_early(struct session *s)
{
	struct verdict v = {ACT_CLOSE, 554, "5.5.1", "You spoke before the greeting"};
	s->wait = WAIT_NONE;
	s->check = "greet_delay";
	act(s, &v);
}

/* session_pause - until its client says so */
void session_pause(struct session *s, unsigned ms)
{
	s->wait = WAIT_PAUSE;
	s->pause_ms = ms;
}

/* session_go_on - the pause is over */
void session_go_on(struct session *s)
{
	if (s->wait == WAIT_PAUSE)
		s->wait = WAIT_NONE;
}

/* session_secured - a new beginning; its errors stay on its account */
void session_secured(struct session *s, const struct peer *peer)
{
	s->wait = WAIT_NONE;
	s->peer = *peer;
	s->peer.user[0] = '\0'; /* a login in plaintext too */
	s->helo[0] = '\0';
	s->esmtp = false;
	s->verb = "connect";
	overheard_note(
	    s, false, "(%s, %s)", peer->tls ? peer->tls : "TLS", peer->cipher ? peer->cipher : "?");
	if (s->state != SMTP_GREET)
		session_enter(s, SMTP_GREET);
}

/* session_goodbye - the server's own wish to end */
void session_goodbye(struct session *s, const char *status, const char *text)
{
	if (s->state == SMTP_CLOSING)
		return;
	struct verdict v = {ACT_CLOSE, 421, status, text};
	if (s->peer.kind != PEER_NOTICE) /* our own worker knows that we end */
		log_refusal(s, &v);
	session_reply(s, v.code, v.status, v.text);
	if (s->state != SMTP_CLOSING)
		session_enter(s, SMTP_CLOSING);
}

/* session_resume - what was waited for is there */
void session_resume(struct session *s, struct verdict verdict)
{
	s->wait = WAIT_NONE;
	if (verdict.code)
		act(s, &verdict);
	if (s->ready)
		s->ready(s, s->arg);
	else
		session_free(s);
}

/* bad_line - a line that is no command; a peer that never sends CRLF can't be talked to */
static struct verdict bad_line(struct session *s, enum line_verdict verdict)
{
	s->verb = "command";
	switch (verdict) {
	case LINE_LONG:
		return verdict_reply(500, "5.5.2", "Line too long");
	case LINE_BARE_LF: /* which of them is seen first depends on how the bytes come */
	case LINE_BARE_CR:
		return (struct verdict){
		    ACT_CLOSE, 500, "5.5.2", "Bare CR or LF received, lines end with CRLF"};
	default:
		return verdict_reply(500, "5.5.2", "NUL in a command");
	}
}

/* take_line - a command, or what the client says in a login */
static struct verdict take_line(
    struct session *s, enum line_verdict verdict, const char *text, size_t len)
{
	bool login = s->state == SMTP_AUTH;
	if (verdict != LINE_OK) {
		overheard_note(s, false, "(no line, %zu bytes)", len);
		struct verdict v = bad_line(s, verdict);
		return login ? auth_bad_line(s, v) : v;
	}
	overheard_line(s, text, len);
	return login ? auth_line(s, text, len) : commands_run(s, text, len);
}

/* feed_line - one command; false: stop feeding */
static bool feed_line(struct session *s, struct evbuffer *in, unsigned *budget)
{
	const char *text;
	size_t used, len;
	enum line_verdict verdict = line_next_evbuffer(&s->line, in, &used, &text, &len);
	if (verdict == LINE_MORE) {
		evbuffer_drain(in, used);
		return false;
	}
	counter_add(C_smtp_commands, 1);
	struct verdict v = take_line(s, verdict, text, len);
	evbuffer_drain(in, used);
	--*budget;
	return act(s, &v);
}

/* session_place - only where nothing but the body can come, and it is wanted as it is */
size_t session_place(struct session *s, char **at)
{
	if (s->wait != WAIT_NONE || s->state != SMTP_DATA)
		return 0;
	return data_place(s, at);
}

/* session_placed - for cmd_data.c */
ssize_t session_placed(struct session *s, const char *at, size_t n, struct evbuffer *rest)
{
	return data_placed(s, at, n, rest);
}

/* session_feed - what lies in the buffer, until something must be waited for */
bool session_feed(struct session *s, struct evbuffer *in, unsigned *budget)
{
	size_t body = SESSION_BODY_TURN;
	/* A large message is no reason for others to wait. */
	if (s->tx && s->wait == WAIT_NONE && !(s->tx->parcel && s->tx->parcel->stream))
		intake_active(&s->epoch);
	while (s->wait == WAIT_NONE && s->state != SMTP_CLOSING && evbuffer_get_length(in)) {
		if (*budget == 0 || body == 0)
			return true;
		if (!session_in_body(s)) {
			if (!feed_line(s, in, budget))
				return false;
			continue;
		}
		struct verdict v =
		    s->state == SMTP_DATA ? data_feed(s, in, &body) : bdat_feed(s, in, &body);
		if (v.act == ACT_WAIT && s->wait == WAIT_NONE)
			return false; /* more bytes, not something of ours */
		if (v.code && !act(s, &v))
			return false;
	}
	return false;
}
