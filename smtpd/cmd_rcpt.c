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

#define RCPTS_FIRST 512 /* bytes of the list that most transactions never exceed */

/* tx_next_rcpt - two bytes of length, the address */
struct msg_bytes tx_next_rcpt(const struct tx *tx, size_t *pos)
{
	const unsigned char *at = (const unsigned char *)tx->rcpts + *pos;
	struct msg_bytes address = {tx->rcpts + *pos + 2, (uint32_t)at[0] << 8 | at[1]};
	*pos += 2 + address.len;
	return address;
}

/* has_rcpt - the same address is delivered to once */
static bool has_rcpt(const struct tx *tx, const char *address, size_t len)
{
	for (size_t pos = 0; pos < tx->rcpts_len;) {
		struct msg_bytes a = tx_next_rcpt(tx, &pos);
		if (a.len == len && memcmp(a.data, address, len) == 0)
			return true;
	}
	return false;
}

/* add_rcpt - at the end of the list; 0 or -ENOMEM */
static int add_rcpt(struct tx *tx, const char *address)
{
	size_t len = strlen(address), need = tx->rcpts_len + 2 + len;

	if (has_rcpt(tx, address, len))
		return 0;
	if (need > tx->rcpts_size) {
		size_t size = tx->rcpts_size ? tx->rcpts_size * 2 : RCPTS_FIRST;
		char *rcpts = realloc(tx->rcpts, size);
		if (!rcpts)
			return -ENOMEM;
		tx->rcpts = rcpts;
		tx->rcpts_size = size;
	}
	tx->rcpts[tx->rcpts_len] = (char)(len >> 8);
	tx->rcpts[tx->rcpts_len + 1] = (char)len;
	memcpy(tx->rcpts + tx->rcpts_len + 2, address, len);
	tx->rcpts_len = need;
	tx->nrcpts++;
	return 0;
}

/* take - the recipient is good */
static struct verdict take(struct session *s)
{
	if (add_rcpt(s->tx, s->cmd.address) < 0)
		return verdict_reply(452, "4.3.1", "Out of memory, try again later");
	if (s->state == SMTP_MAIL)
		session_enter(s, SMTP_RCPT);
	return verdict_reply(250, "2.1.5", "Ok");
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
	session_resume(s, judge(s, verdict)); /* may free the session */
}

/* rcpt_check - TO:<path>; no parameter is offered yet */
struct verdict rcpt_check(struct session *s, struct args args)
{
	const char *pos;
	struct addr_param param;
	struct verdict v = address_check(s, args, "TO:", ADDR_LOCAL | ADDR_LOOSE, &pos);

	if (v.code)
		return v;
	switch (addr_param_next(&pos, args.text + args.len, &param)) {
	case 0:
		return (struct verdict){0};
	case 1:
		return verdict_reply(555, "5.5.4", "This RCPT parameter is not supported");
	default:
		return verdict_reply(501, "5.5.4", "Syntax: RCPT TO:<address>");
	}
}

/* rcpt_run - limits, policy, keeper */
struct verdict rcpt_run(struct session *s)
{
	if (s->conf->limits.recipients && s->tx->nrcpts >= s->conf->limits.recipients)
		return verdict_reply(452, "4.5.3", "Too many recipients, send the rest separately");
	switch (policy_rcpt(s->conf, &s->peer, s->cmd.domain)) {
	case RCPT_WAY_DENIED:
		return verdict_reply(550, "5.7.1", "Relaying denied");
	case RCPT_WAY_RELAY:
		return take(s);
	case RCPT_WAY_LOCAL:
		break;
	}
	int known = recipient_ask(&s->ask, s->cmd.local, on_answer);
	if (known == -EINPROGRESS) {
		s->wait = WAIT_RECIPIENT;
		return verdict_act(ACT_WAIT);
	}
	return judge(s, known);
}
