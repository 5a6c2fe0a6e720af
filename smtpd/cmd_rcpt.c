/* SPDX-License-Identifier: ISC */
/*
 * RCPT: who gets the message (RFC 5321 §4.1.1.3). Policy says at once whether the domain may be
 * sent to; whether a local recipient exists keeper is asked, for which the session waits.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "lib/addr_param.h"
#include "smtpd/address.h"
#include "smtpd/commands.h"
#include "smtpd/dsn.h"
#include "smtpd/stranger.h"
#include "smtpd/submit.h"

#define RCPTS_FIRST 512 /* bytes of the list that most transactions never exceed */

#define RCPT_HEAD 5 /* bytes of an entry before its address */

/* put_length - in two bytes */
static void put_length(char *to, size_t len)
{
	to[0] = (char)(len >> 8);
	to[1] = (char)len;
}

/* get_length - and back */
static uint32_t get_length(const char *at)
{
	return (uint32_t)(unsigned char)at[0] << 8 | (unsigned char)at[1];
}

/* tx_next_rcpt - the entry at *pos */
struct envelope_rcpt tx_next_rcpt(const struct tx *tx, size_t *pos)
{
	const char *at = tx->rcpts + *pos;
	struct envelope_rcpt rcpt = {.notify = (uint8_t)at[0], .parent = UINT32_MAX};
	rcpt.address = (struct msg_bytes){at + RCPT_HEAD, get_length(at + 1)};
	rcpt.orcpt = (struct msg_bytes){at + RCPT_HEAD + rcpt.address.len, get_length(at + 3)};
	*pos += RCPT_HEAD + rcpt.address.len + rcpt.orcpt.len;
	return rcpt;
}

/* merge_rcpt - an address that is there already is delivered to once, with the first ORCPT */
static bool merge_rcpt(struct tx *tx, const char *address, size_t len, uint8_t notify)
{
	for (size_t pos = 0; pos < tx->rcpts_len;) {
		char *at = tx->rcpts + pos;
		struct envelope_rcpt r = tx_next_rcpt(tx, &pos);
		if (r.address.len == len && memcmp(r.address.data, address, len) == 0) {
			*at = (char)dsn_merge(r.notify, notify);
			return true;
		}
	}
	return false;
}

/* add_rcpt - at the end of the list; 0 or -ENOMEM */
static int add_rcpt(struct tx *tx, const char *address, const char *orcpt, uint8_t notify)
{
	size_t len = strlen(address), olen = strlen(orcpt);
	size_t need = tx->rcpts_len + RCPT_HEAD + len + olen;

	if (merge_rcpt(tx, address, len, notify))
		return 0;
	if (need > tx->rcpts_size) {
		size_t size = tx->rcpts_size ? tx->rcpts_size * 2 : RCPTS_FIRST;
		if (size < need)
			size = need;
		char *rcpts = realloc(tx->rcpts, size);
		if (!rcpts)
			return -ENOMEM;
		tx->rcpts = rcpts;
		tx->rcpts_size = size;
	}
	char *at = tx->rcpts + tx->rcpts_len;
	at[0] = (char)notify;
	put_length(at + 1, len);
	put_length(at + 3, olen);
	memcpy(at + RCPT_HEAD, address, len);
	memcpy(at + RCPT_HEAD + len, orcpt, olen);
	tx->rcpts_len = need;
	tx->nrcpts++;
	return 0;
}

/* put - the recipient is good */
static struct verdict put(struct session *s)
{
	if (add_rcpt(s->tx, s->cmd.address, s->cmd.dsn.orcpt, s->cmd.dsn.notify) < 0)
		return verdict_reply(452, "4.3.1", "Out of memory, try again later");
	s->tx->utf8_address |= s->cmd.utf8_local;
	if (s->state == SMTP_MAIL)
		session_enter(s, SMTP_RCPT);
	return verdict_reply(250, "2.1.5", "Ok");
}

/* take - the recipient is good, if the user has any left in this hour */
static struct verdict take(struct session *s)
{
	return submit_ask(s, 1, put);
}

/* judge - keeper's word on a local recipient */
static struct verdict judge(struct session *s, int verdict)
{
	switch (verdict) {
	case KEEPER_MAILBOX:
	case KEEPER_ALIAS:
		return take(s);
	case KEEPER_UNKNOWN:
		return verdict_reply(550, "5.1.1", "User unknown");
	default:
		return verdict_reply(
		    451, "4.3.0", "Cannot look up the recipient now, try again later");
	}
}

/* on_answer - the session goes on */
static void on_answer(struct recipient_ask *ask, enum keeper_verdict verdict)
{
	struct session *s = (struct session *)((char *)ask - offsetof(struct session, ask));
	struct verdict v = judge(s, verdict);
	if (v.act != ACT_WAIT)        /* for keeper's word on the user */
		session_resume(s, v); /* may free the session */
}

/* rcpt_check - TO:<path> and parameters */
struct verdict rcpt_check(struct session *s, struct args args)
{
	const char *pos;
	struct addr_param param;
	bool utf8 = s->tx->flags & ENVF_SMTPUTF8 || s->peer.kind != PEER_NET;
	struct verdict v =
	    address_check(s, args, "TO:", ADDR_LOCAL | ADDR_LOOSE | (utf8 ? ADDR_UTF8 : 0), &pos);
	int more = 0;

	if (v.code)
		return v;
	dsn_reset(s);
	while (!v.code && (more = addr_param_next(&pos, args.text + args.len, &param)) == 1)
		if (!dsn_rcpt_param(s, &param, &v))
			v = verdict_reply(555, "5.5.4", "This RCPT parameter is not supported");
	if (more < 0)
		return verdict_reply(501, "5.5.4", "Syntax: RCPT TO:<address>");
	return v;
}

/* rcpt_run - limits, policy, keeper */
struct verdict rcpt_run(struct session *s)
{
	if (s->conf->limits.recipients && s->tx->nrcpts >= s->conf->limits.recipients)
		return verdict_reply(452, "4.5.3", "Too many recipients, send the rest separately");
	/* To a local user who is gone too: the queue knows what becomes of such a notice. */
	if (s->peer.kind == PEER_NOTICE)
		return take(s);
	struct verdict v = stranger_rcpt(s);
	if (v.code)
		return v;
	switch (policy_rcpt(s->conf, &s->peer, s->cmd.domain)) {
	case RCPT_WAY_DENIED:
		return verdict_reply(550, "5.7.1", "Relaying denied");
	case RCPT_WAY_RELAY:
		return take(s);
	case RCPT_WAY_LOCAL:
		break;
	}
	int known = recipient_ask(&s->ask, s->cmd.local, s->cmd.domain, on_answer);
	if (known == -EINPROGRESS) {
		s->wait = WAIT_RECIPIENT;
		return verdict_act(ACT_WAIT);
	}
	return judge(s, known);
}
