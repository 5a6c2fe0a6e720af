/* SPDX-License-Identifier: ISC */
/* MAIL: the sender and what is announced of the message (RFC 5321 §4.1.1.2, 1870, 6152, 3461). */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "lib/addr_param.h"
#include "lib/envelope.h"
#include "lib/loop.h"
#include "lib/str.h"
#include "smtpd/address.h"
#include "smtpd/commands.h"
#include "smtpd/dsn.h"
#include "smtpd/intake.h"
#include "smtpd/masquerade.h"
#include "smtpd/segments.h"
#include "smtpd/stranger.h"
#include "smtpd/submit.h"

static const struct verdict fine;

/* take_size - SIZE=n */
static struct verdict take_size(struct session *s, const struct addr_param *p)
{
	unsigned long long size = 0;
	int error = p->value ? str_to_u64(p->value, p->value_len, INT64_MAX, &size) : -EINVAL;

	if (error == -ERANGE)
		return verdict_reply(552, "5.3.4", "Message too big for this system");
	if (error)
		return verdict_reply(501, "5.5.4", "SIZE wants a number");
	s->cmd.size = size;
	return fine;
}

/* take_body - BODY=7BIT or BODY=8BITMIME */
static struct verdict take_body(struct session *s, const struct addr_param *p)
{
	if (p->value && str_is_ci(p->value, p->value_len, "8BITMIME"))
		s->cmd.flags |= ENVF_BODY_8BIT;
	else if (!p->value || !str_is_ci(p->value, p->value_len, "7BIT"))
		return verdict_reply(501, "5.5.4", "BODY is 7BIT or 8BITMIME");
	return fine;
}

/* take_utf8 - SMTPUTF8, RFC 6531 §3.4 */
static struct verdict take_utf8(struct session *s, const struct addr_param *p)
{
	if (p->value)
		return verdict_reply(501, "5.5.4", "SMTPUTF8 has no value");
	s->cmd.flags |= ENVF_SMTPUTF8;
	return fine;
}

/* take_param - one parameter that we have offered */
static struct verdict take_param(struct session *s, const struct addr_param *p)
{
	if (s->esmtp && str_is_ci(p->key, p->key_len, "SIZE"))
		return take_size(s, p);
	if (s->esmtp && str_is_ci(p->key, p->key_len, "BODY"))
		return take_body(s, p);
	if (s->esmtp && str_is_ci(p->key, p->key_len, "SMTPUTF8"))
		return take_utf8(s, p);
	struct verdict v;
	if (dsn_mail_param(s, p, &v))
		return v;
	/* RFC 4954 §5: who wrote it, as somebody says whom we have no reason to believe. */
	if (s->esmtp && auth_offered(&s->peer) && str_is_ci(p->key, p->key_len, "AUTH"))
		return p->value_len ? fine : verdict_reply(501, "5.5.4", "AUTH wants a mailbox");
	return verdict_reply(555, "5.5.4", "This MAIL parameter is not supported");
}

/* mail_check - FROM:<path> and parameters */
struct verdict mail_check(struct session *s, struct args args)
{
	const char *pos, *end = args.text + args.len;
	struct addr_param param;
	struct verdict v =
	    address_check(s, args, "FROM:", ADDR_NULL | ADDR_LOCAL | ADDR_LOOSE | ADDR_UTF8, &pos);
	int more = 0;

	if (v.code)
		return v;
	s->cmd.size = 0;
	s->cmd.flags = 0;
	dsn_reset(s);
	bool bracketed = pos[-1] == '>';
	while (!v.code && (more = addr_param_next(&pos, end, &param)) == 1)
		v = take_param(s, &param);
	/* Words behind an address without brackets: it is the address that is wrong. */
	if (more < 0 || (v.code == 555 && !bracketed))
		return verdict_reply(501, "5.5.4", "Syntax: MAIL FROM:<address>");
	/* Our own tools and notices needn't say what can be seen. */
	if (!v.code && s->cmd.utf8 && !(s->cmd.flags & ENVF_SMTPUTF8) && s->peer.kind == PEER_NET)
		return verdict_reply(553, "5.6.7", "Such an address wants SMTPUTF8");
	return v;
}

/* begin - a transaction */
static struct verdict begin(struct session *s)
{
	s->tx = calloc(1, sizeof(*s->tx));
	if (!s->tx)
		return verdict_reply(452, "4.3.1", "Out of memory, try again later");
	s->tx->began_ms = loop_ms();
	s->tx->submitted = policy_submits(&s->peer);
	if (!s->tx->submitted || !masquerade(&s->conf->masquerade, s->cmd.address,
				     strlen(s->cmd.address), s->tx->sender))
		memcpy(s->tx->sender, s->cmd.address, strlen(s->cmd.address) + 1);
	s->tx->declared = s->cmd.size;
	s->tx->utf8_address = s->cmd.utf8_local;
	s->tx->flags = s->cmd.flags | (s->peer.kind == PEER_NOTICE ? ENVF_NOTICE : 0);
	s->tx->ret = s->cmd.dsn.ret;
	if (s->peer.kind == PEER_NOTICE && !strcmp(s->cmd.dsn.envid, ENVELOPE_DOUBLE_ID))
		s->tx->flags |= ENVF_DOUBLE;
	else
		memcpy(s->tx->envid, s->cmd.dsn.envid, sizeof(s->tx->envid));
	session_enter(s, SMTP_MAIL);
	intake_active(&s->epoch);
	return verdict_reply(250, "2.1.0", "Ok");
}

/* mail_run - policy: for strangers with what the DNS knows of them, for users whose the sender is
 */
struct verdict mail_run(struct session *s)
{
	uint64_t free_bytes;
	enum pressure pressure = segments_pressure(&free_bytes);
	struct verdict v = policy_mail(s->conf, &s->peer, s->cmd.size, pressure, free_bytes);

	if (v.code)
		return v;
	return peer_is_stranger(&s->peer) ? stranger_mail(s, begin) : submit_ask(s, 0, begin);
}
