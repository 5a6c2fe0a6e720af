/* SPDX-License-Identifier: ISC */
#include "cli/post.h"

#define REPLY_CLOSING  421
#define REPLY_TOO_MANY 452 /* RFC 5321 4.5.3.1.10: the rest in another transaction */

/* offer - RCPT for all that are open; false when the connection is of no use any more */
static bool offer(struct submit *s, struct letter *l, post_refusal *say, enum smtp_verdict *refused)
{
	struct rcpt *r;

	DL_FOREACH (l->rcpts, r) {
		if (r->state != RCPT_OPEN)
			continue;
		enum smtp_verdict v = submit_rcpt(s, r->address, l->rcpt_params);

		if (v == SMTP_OK) {
			r->state = RCPT_GIVEN;
		} else if (v == SMTP_TEMPORARY) {
			if (s->code == 0 || s->code == REPLY_CLOSING)
				return false;
			if (s->code == REPLY_TOO_MANY)
				break; /* to ask on would be an error for each */
		} else {
			letter_refuse(r, s->reply);
			*refused = v;
			say(r->address, s->reply);
		}
	}
	return true;
}

/* settle - what a verdict on the whole means for the recipients in `state` */
static enum smtp_verdict settle(struct submit *s, struct letter *l, enum rcpt_state state,
    enum smtp_verdict v, post_refusal *say)
{
	struct rcpt *r;

	if (v == SMTP_OK || v == SMTP_TEMPORARY) {
		letter_move(l, state, v == SMTP_OK ? RCPT_DONE : RCPT_OPEN);
		return v;
	}
	DL_FOREACH (l->rcpts, r)
		if (r->state == state)
			letter_refuse(r, s->reply);
	say("message refused", s->reply);
	return v;
}

/* post_begin - up to DATA's 354 */
enum smtp_verdict post_begin(struct submit *s, struct letter *l, const char *runtime,
    const char *hostname, post_refusal *say)
{
	enum smtp_verdict v = submit_open(s, runtime, hostname);

	if (v == SMTP_OK)
		v = submit_mail(s, l->sender, l->mail_params);
	if (v != SMTP_OK)
		return settle(s, l, RCPT_OPEN, v, say);
	if (!offer(s, l, say, &v)) {
		letter_move(l, RCPT_GIVEN, RCPT_OPEN);
		return SMTP_TEMPORARY;
	}
	if (letter_count(l, RCPT_GIVEN) == 0)
		return letter_count(l, RCPT_OPEN) > 0 ? SMTP_TEMPORARY : v;
	v = submit_data(s);
	return v == SMTP_OK ? v : settle(s, l, RCPT_GIVEN, v, say);
}

/* post_end - the mark and its answer */
enum smtp_verdict post_end(struct submit *s, struct letter *l, post_refusal *say)
{
	return settle(s, l, RCPT_GIVEN, submit_end(s), say);
}
