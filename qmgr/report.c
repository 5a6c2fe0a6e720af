/* SPDX-License-Identifier: ISC */
/*
 * Recipients of one message that come to their stages shortly after each other get the same due
 * time: so they lie side by side in the schedule and leave in one job. The first of them takes the
 * place in the sender's rate.
 */
#include "qmgr/report.h"

#include <stdlib.h>
#include <string.h>

#include "lib/child.h"
#include "lib/envelope.h"
#include "lib/events.h"
#include "lib/log.h"
#include "qmgr/batch.h"
#include "qmgr/class.h"
#include "qmgr/delay.h"
#include "qmgr/dest.h"
#include "qmgr/donelist.h"
#include "qmgr/member.h"
#include "qmgr/message.h"
#include "qmgr/now.h"
#include "qmgr/pace.h"
#include "qmgr/route.h"
#include "qmgr/schedule.h"
#include "qmgr/settle.h"
#include "qmgr/site.h"

/* What one notice may tell of; 0 is none. */
enum kind { KIND_NONE, KIND_FAILURE, KIND_DELAY, KIND_SUCCESS };

/* kind_of - which notice tells of that stage */
static enum kind kind_of(uint8_t stage)
{
	switch (stage) {
	case STAGE_FAILED:
	case STAGE_EXPIRED:
		return KIND_FAILURE;
	case STAGE_DELAYED:
		return KIND_DELAY;
	case STAGE_RELAYED:
	case STAGE_DELIVERED:
	case STAGE_EXPANDED:
		return KIND_SUCCESS;
	default:
		return KIND_NONE;
	}
}

/* report_together - of one kind */
bool report_together(uint8_t a, uint8_t b)
{
	return kind_of(a) == kind_of(b);
}

/* nobody_sent - there is no sender who could be told (RFC 5321 §4.5.5) */
static bool nobody_sent(const struct message *msg)
{
	return !msg->sender[0] || msg->flags & ENVF_NOTICE;
}

/* report_to - the sender, or who stands in */
const char *report_to(const struct rcpt *rcpt)
{
	if (rcpt->msg->flags & ENVF_DOUBLE)
		return "";
	return nobody_sent(rcpt->msg) ? child_self()->conf->double_bounce : rcpt_sender(rcpt);
}

/* report_wanted - somebody is there, and asked for it */
bool report_wanted(const struct rcpt *rcpt, enum rcpt_stage stage)
{
	uint8_t notify = rcpt->notify ? rcpt->notify : NOTIFY_DEFAULT;
	enum kind kind = kind_of((uint8_t)stage);
	if (!report_to(rcpt)[0])
		return false;
	if (nobody_sent(rcpt->msg))
		return kind == KIND_FAILURE;
	return notify & (kind == KIND_FAILURE    ? NOTIFY_FAILURE
			    : kind == KIND_DELAY ? NOTIFY_DELAY
						 : NOTIFY_SUCCESS);
}

/* others_may_follow - whether other recipients of the message may come to a stage soon too */
static bool others_may_follow(const struct message *msg)
{
	const struct rcpt *rcpt;
	DL_FOREACH2(msg->rcpts, rcpt, sib_next)
	{
		if (rcpt->stage == STAGE_MAIL &&
		    (rcpt->state == RCPT_FLYING || rcpt->state == RCPT_READY ||
			rcpt->state == RCPT_BLOCKED))
			return true;
	}
	return false;
}

/* take_slot - the message's next notice of that kind goes at due_ms or when the rate allows */
static void take_slot(struct rcpt *rcpt, uint64_t due_ms)
{
	const struct conf *conf = child_self()->conf;
	/* Due times are cut to retry.max when they are read back: not even near to it. */
	const struct pace_rule rule = {.burst = conf->notice_burst,
	    .count = conf->notice_rate.count,
	    .period = conf->notice_rate.period,
	    .ahead = conf->retry.max / 2};
	bool again;
	uint64_t at = pace_slot(report_to(rcpt), &rule, now_ms(), &again);
	rcpt->due_ms = at > due_ms ? at : due_ms;
	rcpt->flags &= (uint8_t)~RCPTF_PACED;
	if (again)
		rcpt->flags |= RCPTF_PACED;
}

/*
 * delay_due - the same for all recipients that are found to be late by one walk or just before it:
 * between two of them the message may leave memory
 */
static uint64_t delay_due(const struct message *msg)
{
	uint64_t warn = child_self()->conf->retry.warn, now = now_ms();
	uint64_t due = msg->arrival_ms + warn + delay_interval(warn) + REPORT_GATHER_MS;
	return due > now ? due : now + REPORT_GATHER_MS;
}

/* set_due - with the notice of its kind that still waits, or as another one */
static void set_due(struct rcpt *rcpt)
{
	struct message *msg = rcpt->msg;
	uint64_t now = now_ms();
	uint8_t kind = (uint8_t)kind_of(rcpt->stage);
	if (msg->notice_kind == kind && msg->notice_due > now && !rcpt->sender) {
		rcpt->due_ms = msg->notice_due;
		if (msg->notice_paced)
			rcpt->flags |= RCPTF_PACED;
		return;
	}
	take_slot(rcpt, kind == KIND_DELAY       ? delay_due(msg)
			: others_may_follow(msg) ? now + REPORT_GATHER_MS
						 : now);
	msg->notice_kind = kind;
	msg->notice_due = rcpt->due_ms;
	msg->notice_paced = rcpt->flags & RCPTF_PACED;
}

/* borrow_reason - where nobody said a word of this recipient: what is wrong with its site */
static void borrow_reason(struct rcpt *rcpt, const struct rcpt *of)
{
	const struct dest *dest = of->dest;
	const struct trouble *t = of->trouble;
	if (!t && dest && dest->state == DEST_BOUND)
		t = dest->pool->site->trouble;
	if (!t || t == rcpt->trouble)
		return;
	uint64_t at = t->at_ms;
	rcpt_set_trouble(rcpt, t->code, msg_str(t->status), msg_str(t->host), msg_str(t->text));
	rcpt->trouble->at_ms = at;
}

/* report_owe - the index is to know before anybody is told */
void report_owe(struct rcpt *rcpt, enum rcpt_stage stage)
{
	if (kind_of((uint8_t)stage) != KIND_SUCCESS)
		borrow_reason(rcpt, rcpt);
	schedule_leave(rcpt);
	rcpt->stage = (uint8_t)stage;
	rcpt->attempts = 0;
	set_due(rcpt);
	EVENT_PUT(NOTICE, .id = rcpt->msg->id, .number = rcpt->number, .value = rcpt->due_ms,
	    .what = member_shown(rcpt), .words = msg_str(report_to(rcpt)));
	route_assign(rcpt);
	rcpt_enter(rcpt, RCPT_COMMITTING);
	batch_rcpt(rcpt);
	batch_write_message(rcpt->msg);
}

/* report_late - old enough for a word */
bool report_late(const struct message *msg)
{
	uint64_t warn = child_self()->conf->retry.warn;
	return warn && now_ms() >= msg->arrival_ms + warn;
}

/* report_delay - by a further recipient, made in the transaction that notes it */
void report_delay(struct rcpt *rcpt)
{
	struct message *msg = rcpt->msg;
	if (rcpt->flags & RCPTF_WARNED || rcpt->stage != STAGE_MAIL || rcpt->state == RCPT_DONE)
		return;
	rcpt->flags |= RCPTF_WARNED;
	batch_rcpt(rcpt);
	if (!report_wanted(rcpt, STAGE_DELAYED))
		return;
	struct rcpt *teller = rcpt_new(msg, msg->next_number,
	    (struct msg_bytes){.data = rcpt->address, .len = rcpt->address_len});
	if (!teller)
		log_fatal("out of memory for a recipient");
	teller->parent = rcpt->number;
	teller->depth = rcpt->depth;
	teller->notify = rcpt->notify;
	teller->class = rcpt->class;
	teller->lane = rcpt->lane;
	if (rcpt->flags & RCPTF_ENTRY)
		rcpt_set_entry(teller);
	rcpt_set_orcpt(teller, msg_str(rcpt->orcpt ? rcpt->orcpt : ""));
	rcpt_set_sender(teller, msg_str(rcpt->sender ? rcpt->sender : ""));
	borrow_reason(teller, rcpt);
	batch_message(msg);
	report_owe(teller, STAGE_DELAYED);
	log_event(LOG_INFO, msg->id, "delayed", LOG_STR("from", rcpt_sender(rcpt)),
	    LOG_STR("to", rcpt->address), LOG_U64("age_ms", now_ms() - msg->arrival_ms));
}

/* goes_already - whether a notice of the message that may go tells of this kind too */
static bool goes_already(const struct rcpt *rcpt)
{
	const struct rcpt *other;
	DL_FOREACH2(rcpt->msg->rcpts, other, sib_next)
	{
		if (other != rcpt && other->state == RCPT_READY && !(other->flags & RCPTF_PACED) &&
		    report_together(other->stage, rcpt->stage))
			return true;
	}
	return false;
}

/* report_ready - ask for its place in the rate if it has none */
bool report_ready(struct rcpt *rcpt)
{
	const struct message *msg = rcpt->msg;
	uint64_t now = now_ms();
	/* The index knows its stage now; a lost index must not have it delivered again. */
	if (rcpt->stage == STAGE_RELAYED || rcpt->stage == STAGE_DELIVERED)
		donelist_add_rcpt(
		    msg->segment, msg->offset, msg_bytes(rcpt->address, rcpt->address_len));
	if (!report_to(rcpt)[0]) {
		settle_withdrawn(rcpt); /* double_bounce was taken back */
		return false;
	}
	if (!(rcpt->flags & RCPTF_PACED) || rcpt->due_ms > now)
		return true;
	if (goes_already(rcpt))
		rcpt->flags &= (uint8_t)~RCPTF_PACED;
	else
		take_slot(rcpt, now);
	if (rcpt->due_ms <= now)
		return true;
	schedule_later(rcpt, rcpt->due_ms);
	return false;
}

/* action_of - what the notice says of a recipient */
static enum job_action action_of(uint8_t stage)
{
	switch (stage) {
	case STAGE_DELAYED:
		return ACTION_DELAYED;
	case STAGE_RELAYED:
		return ACTION_RELAYED;
	case STAGE_DELIVERED:
		return ACTION_DELIVERED;
	case STAGE_EXPANDED:
		return ACTION_EXPANDED;
	default:
		return ACTION_FAILED;
	}
}

/* default_status - where nobody gave one (RFC 3463) */
static const char *default_status(uint8_t stage)
{
	switch (stage) {
	case STAGE_EXPIRED:
		return "4.4.7";
	case STAGE_FAILED:
		return "5.0.0";
	case STAGE_DELAYED:
		return "4.0.0";
	default:
		return "2.0.0";
	}
}

/* report_rcpt - number and parameters; what happened, where that is told */
void report_rcpt(const struct rcpt *rcpt, struct job_rcpt *out)
{
	const struct trouble *t = rcpt->trouble;
	*out = (struct job_rcpt){.number = rcpt->number,
	    .address = member_shown(rcpt),
	    .orcpt = msg_str(rcpt->orcpt ? rcpt->orcpt : ""),
	    .notify = rcpt->notify};
	out->status = out->text = out->host = msg_str("");
	if (!stage_owed(rcpt->stage))
		return;
	out->action = (uint8_t)action_of(rcpt->stage);
	out->status = msg_str(t && t->status[0] ? t->status : default_status(rcpt->stage));
	if (rcpt->stage == STAGE_DELAYED || rcpt->stage == STAGE_EXPIRED)
		out->until_ms = rcpt->msg->arrival_ms + class_lifetime(rcpt->class);
	if (t) {
		out->code = t->code;
		out->text = msg_str(t->text);
		out->host = msg_str(t->host);
		out->tried_ms = t->at_ms;
	}
}
