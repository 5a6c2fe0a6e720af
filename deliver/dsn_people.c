/* SPDX-License-Identifier: ISC */
/*
 * The part of a notice that people read: what happened, who said what, what to do. Advice goes by
 * the status (RFC 3463); the first recipient with a piece of advice gives it, each piece once.
 */
#include <stdio.h>
#include <string.h>

#include "deliver/dsn_parts.h"
#include "lib/envelope.h"
#include "lib/qid.h"

#define DAY_MS  86400000u
#define HOUR_MS 3600000u

/* subject: the status behind its class; a prefix where it ends in a dot */
struct advice {
	const char *subject;
	const char *text;
};

static const struct advice advices[] = {
    {".1.1", "Nobody has this address there. Please look for a typing error, or ask the "
	     "recipient for the right address."},
    {".1.2", "There is no such domain. Please look for a typing error behind the @."},
    {".1.10", "This domain takes no mail. Please ask the recipient for another address."},
    {".1.", "Please check the address, or ask the recipient for the right one."},
    {".2.2", "The mailbox is full. Please try again later, or tell the recipient in another way."},
    {".2.1", "The mailbox is closed at present. Please tell the recipient in another way."},
    {".3.4", "The message is too large for the other side. Please send less at once, or a link "
	     "to it."},
    {".4.7", "The other side could not be reached for a long time. Please try again, or tell the "
	     "recipient in another way."},
    {".7.", "The other side refused the message by its own rules. If it should not have, please "
	    "send this report to the administrators there."},
};
#define ADVICES (sizeof(advices) / sizeof(advices[0]))

/* advice_for - which one; ADVICES: none */
static size_t advice_for(const struct job_rcpt *rcpt)
{
	char status[DSN_STATUS];
	dsn_status(rcpt, status);
	for (size_t i = 0; i < ADVICES; i++) {
		const char *s = advices[i].subject;
		size_t n = strlen(s);
		if (s[n - 1] == '.' ? !strncmp(status + 1, s, n) : !strcmp(status + 1, s))
			return i;
	}
	return ADVICES;
}

/* give_advice - every piece that fits a recipient */
static void give_advice(struct evbuffer *out, const struct job *job, const char *host)
{
	bool given[ADVICES + 1] = {false};
	char text[400];
	for (uint32_t i = 0; i < job->nends; i++) {
		size_t which = advice_for(&job->ends[i].rcpt);
		if (which < ADVICES && !given[which]) {
			dsn_fold(out, "", "", advices[which].text);
			dsn_say(out, "\r\n");
		}
		given[which] = true;
	}
	snprintf(text, sizeof(text), "If you need help, please send this report to postmaster@%s.",
	    host);
	dsn_fold(out, "", "", text);
}

/* span - "5 days", "4 hours", "20 minutes" */
static const char *span(uint64_t ms, char *out, size_t size)
{
	unsigned long long n = ms / DAY_MS;
	const char *unit = "day";
	if (n < 2) {
		n = ms / HOUR_MS;
		unit = "hour";
	}
	if (n < 2) {
		n = ms / 60000;
		unit = "minute";
	}
	if (n < 1) {
		n = ms / 1000;
		unit = "second";
	}
	snprintf(out, size, "%llu %s%s", n, unit, n == 1 ? "" : "s");
	return out;
}

/* opening - what happened, in a sentence or two */
static void opening(struct evbuffer *out, const struct job *job)
{
	const struct job_rcpt *first = &job->ends[0].rcpt;
	char when[DSN_DATE], until[DSN_DATE], text[600];
	const char *to = job->nends > 1 ? "the recipients below" : "the recipient below";
	const char *what = job->sender.len ? "Your message" : "A notice without a sender";
	dsn_date(job->arrival_ms, when);
	switch (dsn_kind(job)) {
	case DSN_FAILURE:
		snprintf(text, sizeof(text),
		    "%s of %s could not be delivered to %s. It will not be tried again.", what,
		    when, to);
		break;
	case DSN_DELAY:
		snprintf(text, sizeof(text),
		    "%s of %s has not reached %s yet. You need not send it again: it is tried "
		    "until %s. You will be told if it fails.",
		    what, when, to, dsn_date(first->until_ms, until));
		break;
	case DSN_SUCCESS:
		snprintf(text, sizeof(text),
		    "%s of %s is on its way or has arrived, as said below.", what, when);
		break;
	}
	dsn_fold(out, "", "", text);
	dsn_say(out, "\r\n");
}

/* success - what became of one that went well */
static const char *success(const struct job_rcpt *rcpt)
{
	switch (rcpt->action) {
	case ACTION_DELIVERED:
		return "delivered to the mailbox.";
	case ACTION_EXPANDED:
		return "handed on to everybody this address stands for. Their deliveries are not "
		       "reported.";
	default:
		return "handed on to a mail server that reports no deliveries. Whether it has "
		       "arrived there is not known here.";
	}
}

/* recipient - whom, and what was said by whom */
static void recipient(struct evbuffer *out, const struct job *job, const struct job_rcpt *rcpt)
{
	char address[300], host[300], words[DSN_TEXT_ROOM], head[400], tried[40];
	dsn_clean(rcpt->address, address, sizeof(address));
	dsn_say(out, "<%s>:\r\n", address);
	if (rcpt->action >= ACTION_DELIVERED) {
		dsn_fold(out, "    ", "    ", success(rcpt));
		dsn_say(out, "\r\n");
		return;
	}
	if (rcpt->until_ms && rcpt->action == ACTION_FAILED)
		dsn_say(out, "    It was tried for %s. The last time:\r\n",
		    span(rcpt->until_ms - job->arrival_ms, tried, sizeof(tried)));
	dsn_words(rcpt, words);
	dsn_clean(rcpt->host, host, sizeof(host));
	if (host[0] && rcpt->code) {
		snprintf(head, sizeof(head), "The mail server %s said:", host);
		dsn_fold(out, "    ", "    ", head);
	}
	dsn_fold(out, "    ", "    ", words[0] ? words : "no reason is known.");
	dsn_say(out, "\r\n");
}

void dsn_people(struct evbuffer *out, const struct job *job, const char *host)
{
	char id[QID_TEXT_MAX];
	qid_format(id, job->id);
	dsn_say(out, "Content-Type: text/plain; charset=us-ascii\r\n\r\n");
	dsn_say(out, "This is the mail system at %s.\r\n\r\n", host);
	opening(out, job);
	for (uint32_t i = 0; i < job->nends; i++)
		recipient(out, job, &job->ends[i].rcpt);
	if (dsn_kind(job) == DSN_FAILURE)
		give_advice(out, job, host);
	dsn_say(out, "Our number of the message: %s\r\n", id);
}
