/* SPDX-License-Identifier: ISC */
/*
 * A recipient in memory is where its state says; one that isn't is brought there first, so that
 * every change goes the one way through settle and schedule.
 */
#include "qmgr/verbs.h"

#include <string.h>

#include "lib/log.h"
#include "qmgr/batch.h"
#include "qmgr/dest.h"
#include "qmgr/expand.h"
#include "qmgr/mailbox.h"
#include "qmgr/message.h"
#include "qmgr/now.h"
#include "qmgr/poison.h"
#include "qmgr/route.h"
#include "qmgr/schedule.h"
#include "qmgr/segments.h"
#include "qmgr/settle.h"
#include "qmgr/site.h"

/* in_memory - the row's recipient, if it is there */
static struct rcpt *in_memory(const struct row *row)
{
	struct message *msg = message_find(row->id);
	return msg ? rcpt_find(msg, row->number) : NULL;
}

/* state_of - by stage, by where it is, by when it is due */
static enum query_state state_of(const struct row *row, const struct rcpt *rcpt, bool parked)
{
	uint8_t stage = rcpt ? rcpt->stage : row->rcpt.stage;
	uint64_t due = rcpt ? rcpt->due_ms : row->rcpt.due_ms;
	if (stage == STAGE_DAMAGED)
		return QUERY_DAMAGED;
	if (stage == STAGE_POISON)
		return QUERY_POISON;
	if (rcpt && (rcpt->state == RCPT_FLYING || rcpt->state == RCPT_CLAIMED))
		return QUERY_ACTIVE;
	if ((rcpt ? rcpt->order : row->rcpt.order) == ORDER_HOLD)
		return QUERY_HELD;
	if (stage != STAGE_MAIL)
		return QUERY_BOUNCING;
	return due > now_ms() || parked ? QUERY_DEFERRED : QUERY_READY;
}

/* verbs_view - the recipient as a row of the answer */
bool verbs_view(const struct row *row, struct query_rcpt *out)
{
	const struct rcpt *rcpt = in_memory(row);
	if (rcpt && (rcpt->state == RCPT_DONE || rcpt->order > ORDER_HOLD))
		return false;
	const struct dest *dest =
	    rcpt ? rcpt->dest : dest_find(row->rcpt.dest.data, row->rcpt.dest.len);
	const struct site *site = dest && dest->state == DEST_BOUND ? dest->pool->site : NULL;
	bool parked = site && site->state != SITE_UP;
	uint64_t due = rcpt ? rcpt->due_ms : row->rcpt.due_ms;
	*out = (struct query_rcpt){.address = row->rcpt.address,
	    .state = (uint8_t)state_of(row, rcpt, parked),
	    .attempts = rcpt ? rcpt->attempts : row->rcpt.attempts,
	    .site = msg_str(site ? site->name : ""),
	    .reason = row->rcpt.text};
	if (rcpt)
		out->reason = msg_str(rcpt->trouble ? rcpt->trouble->text : "");
	if (out->state == QUERY_DEFERRED || out->state == QUERY_BOUNCING)
		out->next_ms = due;
	if (parked && out->state == QUERY_DEFERRED) {
		if (site->probe_at > due)
			out->next_ms = site->probe_at;
		if (site->trouble && (!out->reason.len || due <= now_ms()))
			out->reason = msg_str(site->trouble->text);
	}
	return true;
}

/* flush - due now, if it only waits for its time */
static void flush(struct rcpt *rcpt)
{
	if (rcpt->state != RCPT_NEW && rcpt->state != RCPT_WAITING)
		return;
	if (stage_aside(rcpt->stage))
		return;
	if (rcpt->due_ms > now_ms()) {
		rcpt->due_ms = now_ms();
		batch_rcpt(rcpt);
	}
	rcpt_enter(rcpt, RCPT_NEW);
	route_rcpt(rcpt);
}

/* delete_one - out of wherever it is; one that is at a worker ends when it comes back */
static void delete_one(struct rcpt *rcpt)
{
	const char *user = rcpt->user;
	switch (rcpt->state) {
	case RCPT_FLYING:
	case RCPT_CLAIMED:
		rcpt->order = ORDER_DELETE;
		batch_rcpt(rcpt);
		return;
	case RCPT_EXPANDING:
		expand_forget(rcpt);
		break;
	case RCPT_READY:
		dest_remove(rcpt->dest, rcpt);
		if (user)
			mailbox_poke(user);
		break;
	case RCPT_SUSPECT:
		poison_forget(rcpt);
		break;
	case RCPT_BLOCKED:
		mailbox_forget(rcpt);
		break;
	case RCPT_OPENING:
		DL_DELETE(rcpt->msg->segment->opening, rcpt);
		break;
	default:
		break;
	}
	settle_deleted(rcpt);
}

/* verbs_apply - bring it into memory, then do it */
void verbs_apply(enum query_verb verb, const struct row *row)
{
	struct rcpt *rcpt = in_memory(row);
	if (!rcpt) {
		rcpt = row_load(row);
		if (!rcpt)
			return;
		route_assign(rcpt);
	}
	if (verb == QUERY_DELETE) {
		delete_one(rcpt);
		return;
	}
	struct dest *dest = rcpt->dest;
	flush(rcpt);
	if (dest->state == DEST_BOUND)
		site_flush(dest->pool->site);
	else
		dest->probe = true;
}

/* verbs_end - a flush of everything also probes what is down without mail in sight */
void verbs_end(enum query_verb verb, const struct query_filter *filter)
{
	struct site *site;
	if (verb != QUERY_FLUSH || !filter->all)
		return;
	for (site = site_first(); site; site = site->hh.next)
		site_flush(site);
}
