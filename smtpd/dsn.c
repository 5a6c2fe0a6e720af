/* SPDX-License-Identifier: ISC */
#include "smtpd/dsn.h"

#include <errno.h>
#include <string.h>

#include "lib/envelope.h"
#include "lib/str.h"

/* Bits of cmd.dsn.given. */
enum { GIVEN_RET = 1, GIVEN_ENVID = 2, GIVEN_NOTIFY = 4, GIVEN_ORCPT = 8 };

static const struct verdict fine;

/* bad - the form is broken */
static struct verdict bad(const char *why)
{
	return verdict_reply(501, "5.5.4", why);
}

/* dsn_reset - nothing was said */
void dsn_reset(struct session *s)
{
	memset(&s->cmd.dsn, 0, sizeof(s->cmd.dsn));
}

/* once - whether it comes for the first time */
static bool once(struct session *s, unsigned bit)
{
	bool first = !(s->cmd.dsn.given & bit);
	s->cmd.dsn.given |= bit;
	return first;
}

/* take_ret - RET=FULL or RET=HDRS */
static struct verdict take_ret(struct session *s, const struct addr_param *p)
{
	if (!once(s, GIVEN_RET))
		return bad("RET is given twice");
	if (p->value && str_is_ci(p->value, p->value_len, "FULL"))
		s->cmd.dsn.ret = RET_FULL;
	else if (p->value && str_is_ci(p->value, p->value_len, "HDRS"))
		s->cmd.dsn.ret = RET_HDRS;
	else
		return bad("RET is FULL or HDRS");
	return fine;
}

/* ascii - xtext is; what is let through for others is not */
static bool ascii(const struct addr_param *p)
{
	for (size_t i = 0; i < p->value_len; i++)
		if ((unsigned char)p->value[i] > '~')
			return false;
	return true;
}

/* take_envid - ENVID=xtext, kept as it is meant */
static struct verdict take_envid(struct session *s, const struct addr_param *p)
{
	if (!once(s, GIVEN_ENVID))
		return bad("ENVID is given twice");
	if (!p->value)
		return bad("ENVID wants a value");
	if (p->value_len > DSN_ENVID_MAX)
		return bad("ENVID is longer than 100 characters");
	if (!ascii(p) || addr_xtext_decode(p->value, p->value_len, s->cmd.dsn.envid,
			     sizeof(s->cmd.dsn.envid)) < 0)
		return bad("ENVID is not xtext");
	return fine;
}

/* notify_bit - of one keyword; 0: none of ours */
static uint8_t notify_bit(const char *word, size_t len)
{
	if (str_is_ci(word, len, "NEVER"))
		return NOTIFY_NEVER;
	if (str_is_ci(word, len, "SUCCESS"))
		return NOTIFY_SUCCESS;
	if (str_is_ci(word, len, "FAILURE"))
		return NOTIFY_FAILURE;
	return str_is_ci(word, len, "DELAY") ? NOTIFY_DELAY : 0;
}

/* take_notify - NEVER, or a list of the others */
static struct verdict take_notify(struct session *s, const struct addr_param *p)
{
	static const char syntax[] = "NOTIFY is NEVER, or a list of SUCCESS, FAILURE and DELAY";
	const char *at = p->value, *end = at ? at + p->value_len : at;
	if (!once(s, GIVEN_NOTIFY))
		return bad("NOTIFY is given twice");
	if (!at)
		return bad(syntax);
	for (;;) {
		const char *comma = memchr(at, ',', (size_t)(end - at));
		uint8_t bit = notify_bit(at, (size_t)((comma ? comma : end) - at));
		if (!bit)
			return bad(syntax);
		s->cmd.dsn.notify |= bit;
		if (!comma)
			break;
		at = comma + 1;
	}
	if (s->cmd.dsn.notify & NOTIFY_NEVER && s->cmd.dsn.notify != NOTIFY_NEVER)
		return bad("NOTIFY=NEVER stands alone");
	return fine;
}

/* type_len - length of the address type before the semicolon; 0: there is none */
static size_t type_len(const struct addr_param *p)
{
	const char *semicolon = memchr(p->value, ';', p->value_len);
	size_t n = semicolon ? (size_t)(semicolon - p->value) : 0;
	for (size_t i = 0; i < n; i++)
		if (strchr("()<>@,;:\\\".[]", p->value[i]))
			return 0; /* not an atom */
	return n;
}

/* take_orcpt - ORCPT=type;xtext, kept encoded in its one normal form */
static struct verdict take_orcpt(struct session *s, const struct addr_param *p)
{
	char *out = s->cmd.dsn.orcpt, plain[DSN_ORCPT_MAX + 1];
	if (!once(s, GIVEN_ORCPT))
		return bad("ORCPT is given twice");
	if (!p->value)
		return bad("ORCPT wants a value");
	if (p->value_len > DSN_ORCPT_MAX)
		return bad("ORCPT is longer than 500 characters");
	size_t n = ascii(p) ? type_len(p) : 0;
	if (!n)
		return bad("ORCPT is an address type, a semicolon and xtext");
	n++;
	int len = addr_xtext_decode(p->value + n, p->value_len - n, plain, sizeof(plain));
	if (len <= 0)
		return bad("ORCPT has no xtext behind its semicolon");
	memcpy(out, p->value, n);
	if (addr_xtext_encode(plain, (size_t)len, out + n, sizeof(s->cmd.dsn.orcpt) - n) < 0)
		return bad("ORCPT is longer than 500 characters");
	return fine;
}

/* dsn_mail_param - RET, ENVID */
bool dsn_mail_param(struct session *s, const struct addr_param *p, struct verdict *v)
{
	if (s->esmtp && str_is_ci(p->key, p->key_len, "RET"))
		*v = take_ret(s, p);
	else if (s->esmtp && str_is_ci(p->key, p->key_len, "ENVID"))
		*v = take_envid(s, p);
	else
		return false;
	return true;
}

/* dsn_rcpt_param - NOTIFY, ORCPT */
bool dsn_rcpt_param(struct session *s, const struct addr_param *p, struct verdict *v)
{
	if (s->esmtp && str_is_ci(p->key, p->key_len, "NOTIFY"))
		*v = take_notify(s, p);
	else if (s->esmtp && str_is_ci(p->key, p->key_len, "ORCPT"))
		*v = take_orcpt(s, p);
	else
		return false;
	return true;
}

/* dsn_merge - the union of what both want to hear of */
uint8_t dsn_merge(uint8_t a, uint8_t b)
{
	if (a == b)
		return a;
	if (!a)
		a = NOTIFY_DEFAULT;
	if (!b)
		b = NOTIFY_DEFAULT;
	uint8_t both = (uint8_t)((a | b) & ~NOTIFY_NEVER);
	return both ? both : NOTIFY_NEVER;
}
