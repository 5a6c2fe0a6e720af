/* SPDX-License-Identifier: ISC */
#include "deliver/verb.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>

#include "lib/addr_param.h"
#include "lib/envelope.h"

/* A command line under construction: RFC 3461 §4 wants room for 512 octets and its parameters. */
struct command {
	size_t len;
	char line[1536];
};

/* add - formatted text behind what is there */
static void __attribute__((format(printf, 2, 3))) add(struct command *c, const char *fmt, ...)
{
	va_list args;
	size_t room = sizeof(c->line) - c->len;
	va_start(args, fmt);
	int n = vsnprintf(c->line + c->len, room, fmt, args);
	va_end(args);
	c->len += n < 0 || (size_t)n >= room ? room : (size_t)n;
}

/* add_xtext - a parameter's value */
static void add_xtext(struct command *c, const char *head, struct msg_bytes text)
{
	add(c, "%s", head);
	if (c->len >= sizeof(c->line))
		return;
	int n = addr_xtext_encode(text.data, text.len, c->line + c->len, sizeof(c->line) - c->len);
	c->len = n < 0 ? sizeof(c->line) : c->len + (size_t)n;
}

/* put - the whole line; what doesn't fit was never taken in */
static int put(struct command *c, struct evbuffer *out)
{
	add(c, "\r\n");
	if (c->len >= sizeof(c->line))
		return -EBADMSG;
	return evbuffer_add(out, c->line, c->len) < 0 ? -ENOMEM : 0;
}

/* verb_mail - MAIL with the parameters that this peer understands */
int verb_mail(const struct ehlo *peer, struct job *job, struct evbuffer *out)
{
	struct command c = {0};
	add(&c, "MAIL FROM:<%.*s>", (int)job->sender.len, job->sender.len ? job->sender.data : "");
	if (peer->size)
		add(&c, " SIZE=%llu", (unsigned long long)job->plain_len + job->late_len);
	if (peer->eightbit && job->flags & (ENVF_8BIT | ENVF_BODY_8BIT))
		add(&c, " BODY=8BITMIME");
	if (peer->smtputf8 && job->flags & ENVF_SMTPUTF8)
		add(&c, " SMTPUTF8");
	job->passed = peer->dsn;
	if (peer->dsn && job->ret)
		add(&c, " RET=%s", job->ret == RET_FULL ? "FULL" : "HDRS");
	if (peer->dsn && job->envid.len)
		add_xtext(&c, " ENVID=", job->envid);
	return put(&c, out);
}

/* add_notify - NOTIFY as it was said */
static void add_notify(struct command *c, uint8_t notify)
{
	static const char *const words[] = {"SUCCESS", "FAILURE", "DELAY"};
	const char *before = " NOTIFY=";
	if (notify & NOTIFY_NEVER) {
		add(c, " NOTIFY=NEVER");
		return;
	}
	for (unsigned i = 0; i < 3; i++) {
		if (!(notify & NOTIFY_SUCCESS << i))
			continue;
		add(c, "%s%s", before, words[i]);
		before = ",";
	}
}

/* verb_rcpt - RCPT of one recipient; whoever is reported on keeps its first address (§5.2.1) */
int verb_rcpt(const struct ehlo *peer, const struct job_rcpt *rcpt, struct evbuffer *out)
{
	struct command c = {0};
	add(&c, "RCPT TO:<%.*s>", (int)rcpt->address.len, rcpt->address.data);
	if (peer->dsn) {
		add_notify(&c, rcpt->notify);
		if (rcpt->orcpt.len)
			add(&c, " ORCPT=%.*s", (int)rcpt->orcpt.len, rcpt->orcpt.data);
		else if (rcpt->notify & ~NOTIFY_NEVER)
			add_xtext(&c, " ORCPT=rfc822;", rcpt->address);
	}
	return put(&c, out);
}
