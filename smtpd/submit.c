/* SPDX-License-Identifier: ISC */
#include "smtpd/submit.h"

#include <stddef.h>

#include "lib/str.h"
#include "smtpd/question.h"

/* session_of - whose question it is */
static struct session *session_of(struct question *q)
{
	return (struct session *)((char *)q - offsetof(struct session, question));
}

/* ask - as it stands in the session */
static void ask(struct question *q, struct chan *keeper)
{
	struct session *s = session_of(q);
	CHAN_SEND(keeper, keeper_submit, .request = q->id, .uid = s->peer.uid,
	    .user = msg_str(s->peer.user), .sender = msg_str(s->cmd.address),
	    .recipients = s->cmd.recipients);
}

/* judge - keeper's word; code 0: it agrees */
static struct verdict judge(const union msg_any *msg)
{
	switch (msg ? msg->keeper_submit_is.verdict : SUBMIT_TEMPFAIL) {
	case SUBMIT_OK:
		return (struct verdict){0};
	case SUBMIT_NOT_OWNER:
		return verdict_reply(553, "5.7.1", "Sender address belongs to another user");
	case SUBMIT_OVER:
		return verdict_reply(
		    452, "4.7.1", "Too many recipients in an hour, try again later");
	default:
		return verdict_reply(451, "4.3.0", "Cannot look up the user now, try again later");
	}
}

/* answered - the session goes on */
static void answered(struct question *q, const union msg_any *msg)
{
	struct session *s = session_of(q);
	struct verdict v = judge(msg);
	if (msg && s->peer.kind == PEER_LOCAL)
		str_copy_n(s->peer.user, sizeof(s->peer.user), msg->keeper_submit_is.user.data,
		    msg->keeper_submit_is.user.len);
	if (!v.code)
		v = s->then(s);
	session_resume(s, v); /* may free the session */
}

/* asks - is there anything that keeper has to say? */
static bool asks(const struct session *s, unsigned recipients)
{
	bool user = s->peer.kind == PEER_LOCAL || (s->peer.kind == PEER_NET && s->peer.user[0]);
	return user && (!recipients || s->conf->limits.per_user_hour);
}

/* submit_ask - keeper, about who has logged in here or on this host */
struct verdict submit_ask(struct session *s, unsigned recipients, session_then *then)
{
	if (!asks(s, recipients))
		return then(s);
	s->then = then;
	s->cmd.recipients = recipients;
	s->question.answer = MSG_keeper_submit_is;
	s->question.ask = ask;
	s->question.answered = answered;
	if (question_put(&s->question, 0) != 0)
		return judge(NULL);
	s->wait = WAIT_KEEPER;
	return verdict_act(ACT_WAIT);
}
