/* SPDX-License-Identifier: ISC */
/*
 * A recipient in memory is where its state says; one that isn't is brought there first, so that
 * every change goes the one way through settle and schedule.
 */
#include "qmgr/verbs.h"

#include <string.h>

#include "lib/log.h"
#include "lib/str.h"
#include "qmgr/batch.h"
#include "qmgr/dest.h"
#include "qmgr/expand.h"
#include "qmgr/mailbox.h"
#include "qmgr/message.h"
#include "qmgr/now.h"
#include "qmgr/pause.h"
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

/* rests - what pause is in its way, NULL: none. A row that waits elsewhere goes by its address. */
static const struct pause *rests(const struct row *row, const struct site *site)
{
	char domain[QUERY_PAUSE_NAME_MAX];
	const char *address = row->rcpt.address.data;
	size_t n = row->rcpt.address.len;
	while (n && address[n - 1] != '@')
		n--;
	size_t len = n ? row->rcpt.address.len - n : 0;
	if (len > sizeof(domain))
		return NULL;
	str_lower(domain, address + n, len);
	return pause_of(site, domain, len);
}

/* state_of - by stage, by what was ordered, by where it is, by when it is due */
static enum query_state state_of(const struct verbs_at *at)
{
	const struct rcpt *rcpt = at->rcpt;
	bool parked = at->site && at->site->state != SITE_UP;
	if (at->stage == STAGE_DAMAGED)
		return QUERY_DAMAGED;
	if (at->stage == STAGE_POISON)
		return QUERY_POISON;
	if (rcpt && (rcpt->state == RCPT_FLYING || rcpt->state == RCPT_CLAIMED))
		return QUERY_ACTIVE;
	if (at->order == ORDER_HOLD)
		return QUERY_HELD;
	if (at->stage == STAGE_FAILED || at->stage == STAGE_EXPIRED)
		return QUERY_BOUNCING;
	if (stage_owed(at->stage))
		return QUERY_NOTIFYING;
	if (at->pause)
		return QUERY_PAUSED;
	return at->due > now_ms() || parked ? QUERY_DEFERRED : QUERY_READY;
}

/* find - where it stands: what memory knows is newer than the row */
static bool find(const struct row *row, struct verbs_at *at)
{
	const struct rcpt *rcpt = in_memory(row);
	if (rcpt && (rcpt->state == RCPT_DONE || rcpt->order > ORDER_HOLD))
		return false;
	*at = (struct verbs_at){.rcpt = rcpt,
	    .dest = rcpt ? rcpt->dest : dest_find(row->rcpt.dest.data, row->rcpt.dest.len),
	    .stage = rcpt ? rcpt->stage : row->rcpt.stage,
	    .was = rcpt ? rcpt->was : row->rcpt.was,
	    .order = rcpt ? rcpt->order : row->rcpt.order,
	    .due = rcpt ? rcpt->due_ms : row->rcpt.due_ms};
	at->site = at->dest && at->dest->state == DEST_BOUND ? at->dest->pool->site : NULL;
	if (pause_any() && at->stage == STAGE_MAIL)
		at->pause = rests(row, at->site);
	return true;
}

/* next_of - when something will be tried; 0: nobody can say, or now */
static uint64_t next_of(const struct verbs_at *at, enum query_state state)
{
	bool parked = at->site && at->site->state != SITE_UP;
	uint64_t until = at->pause ? pause_until(at->pause) : 0;
	switch (state) {
	case QUERY_BOUNCING:
	case QUERY_NOTIFYING:
		return at->due;
	case QUERY_DEFERRED:
		return parked && at->site->probe_at > at->due ? at->site->probe_at : at->due;
	case QUERY_PAUSED:
		return until && until < at->due ? at->due : until;
	default:
		return 0;
	}
}

/* put - text behind what is there, cut to what is left */
static size_t put(char *out, size_t size, size_t n, const char *text, size_t len)
{
	if (len > size - n)
		len = size - n;
	memcpy(out + n, text, len);
	return n + len;
}

/* reply - "450 4.2.0 mailbox busy": what a peer said as it said it; trouble of ours is its text */
static struct msg_bytes reply(uint16_t code, struct msg_bytes status, struct msg_bytes text)
{
	static char buf[KEYS_ROW_MAX + 32];
	size_t n = 4;
	if (code < 100 || code > 999)
		return text;
	buf[0] = (char)('0' + code / 100);
	buf[1] = (char)('0' + code / 10 % 10);
	buf[2] = (char)('0' + code % 10);
	buf[3] = ' ';
	n = put(buf, sizeof(buf), n, status.data, status.len);
	n = put(buf, sizeof(buf), n, " ", status.len ? 1 : 0);
	n = put(buf, sizeof(buf), n, text.data, text.len);
	return msg_bytes(buf, n);
}

/* reason_of - what was last said of it */
static struct msg_bytes reason_of(const struct row *row, const struct rcpt *rcpt)
{
	const struct row_rcpt *r = &row->rcpt;
	const struct trouble *t = rcpt ? rcpt->trouble : NULL;
	if (!rcpt)
		return reply(r->code, r->status, r->text);
	return t ? reply(t->code, msg_str(t->status), msg_str(t->text)) : msg_str("");
}

/* verbs_view - the recipient as a row of the answer */
bool verbs_view(const struct row *row, struct query_rcpt *out, struct verbs_at *at)
{
	if (!find(row, at))
		return false;
	const struct rcpt *rcpt = at->rcpt;
	const struct site *site = at->site;
	enum query_state state = state_of(at);
	*out = (struct query_rcpt){.address = row->rcpt.address,
	    .state = (uint8_t)state,
	    .attempts = rcpt ? rcpt->attempts : row->rcpt.attempts,
	    .next_ms = next_of(at, state),
	    .site = msg_str(site ? site->name : ""),
	    .reason = reason_of(row, rcpt),
	    .wait_text = msg_str("")};
	if (state == QUERY_DEFERRED && site && site->state != SITE_UP && site->trouble &&
	    (!out->reason.len || at->due <= now_ms()))
		out->reason = msg_str(site->trouble->text);
	return true;
}

/* verbs_concern - which recipients a verb means anything to */
bool verbs_concern(enum query_verb verb, const struct verbs_at *at)
{
	switch (verb) {
	case QUERY_FLUSH:
		return !stage_aside(at->stage) && at->order != ORDER_HOLD;
	case QUERY_HOLD:
		return at->order != ORDER_HOLD && !stage_aside(at->stage);
	case QUERY_RELEASE:
		return at->order == ORDER_HOLD || stage_aside(at->stage);
	case QUERY_BOUNCE:
		return at->stage == STAGE_MAIL || (stage_aside(at->stage) && at->was == STAGE_MAIL);
	default:
		return true;
	}
}

/* wake - a destination's site is probed now if it is down */
static void wake(struct dest *dest)
{
	if (dest->state == DEST_BOUND)
		site_flush(dest->pool->site);
	else
		dest->probe = true;
}

/* verbs_wake - what is due has its turn anyway */
bool verbs_wake(enum query_verb verb, const struct verbs_at *at)
{
	if (verb != QUERY_FLUSH || at->rcpt || !at->dest || at->due > now_ms())
		return false;
	wake(at->dest);
	return true;
}

/* flush - due now, if it only waits for its time */
static void flush(struct rcpt *rcpt)
{
	struct dest *dest = rcpt->dest;
	if (rcpt->state == RCPT_NEW || rcpt->state == RCPT_WAITING) {
		if (rcpt->due_ms > now_ms()) {
			rcpt->due_ms = now_ms();
			batch_rcpt(rcpt);
		}
		rcpt_enter(rcpt, RCPT_NEW);
		route_rcpt(rcpt);
	}
	wake(dest);
}

/*
 * take_out - of wherever it is; true when nobody has it any more. One that is at a worker, or about
 * to be committed, gets the order, which is carried out when it comes back.
 */
static bool take_out(struct rcpt *rcpt, enum rcpt_order order)
{
	const char *user = rcpt->user;
	switch (rcpt->state) {
	case RCPT_FLYING:
	case RCPT_CLAIMED:
	case RCPT_COMMITTING:
		rcpt->order = (uint8_t)order;
		batch_rcpt(rcpt);
		return false;
	case RCPT_EXPANDING:
		expand_forget(rcpt);
		break;
	case RCPT_READY:
		dest_remove(rcpt->dest, rcpt);
		if (user)
			mailbox_poke(user);
		break;
	case RCPT_BLOCKED:
		mailbox_forget(rcpt);
		break;
	case RCPT_OPENING:
		DL_DELETE(rcpt->msg->segment->opening, rcpt);
		break;
	case RCPT_SUSPECT:
		poison_forget(rcpt);
		break;
	default:
		break;
	}
	rcpt_enter(rcpt, RCPT_NEW);
	return true;
}

/* hold - until it is released: it keeps its due time for then */
static void hold(struct rcpt *rcpt)
{
	if (!take_out(rcpt, ORDER_HOLD))
		return;
	rcpt->order = ORDER_HOLD;
	batch_rcpt(rcpt);
	schedule_place(rcpt);
}

/* release - what was held, or set aside, goes on */
static void release(struct rcpt *rcpt)
{
	if (rcpt->order == ORDER_HOLD) {
		rcpt->order = ORDER_NONE;
		batch_rcpt(rcpt);
	}
	if (rcpt->state != RCPT_NEW && rcpt->state != RCPT_WAITING)
		return; /* held while it was at a worker: as if nothing had been said */
	if (stage_aside(rcpt->stage)) {
		poison_release(rcpt);
		return;
	}
	rcpt_enter(rcpt, RCPT_NEW);
	route_rcpt(rcpt);
}

/* bounce - back to its sender */
static void bounce(struct rcpt *rcpt)
{
	if (!take_out(rcpt, ORDER_BOUNCE))
		return;
	rcpt->order = ORDER_NONE;
	rcpt->stage = STAGE_MAIL;
	settle_returned(rcpt);
}

/* loaded - the row's recipient, brought into memory if needed; what ends goes nowhere any more */
static struct rcpt *loaded(const struct row *row, bool ends)
{
	struct rcpt *rcpt = in_memory(row);
	if (rcpt)
		return rcpt;
	rcpt = row_load(row);
	if (rcpt && ends && rcpt->row_dest)
		dest_assign(rcpt, rcpt->row_dest);
	else if (rcpt)
		route_assign(rcpt);
	return rcpt;
}

/* verbs_apply - bring it into memory, then do it; whether it takes effect at once */
bool verbs_apply(enum query_verb verb, const struct row *row)
{
	struct rcpt *rcpt = loaded(row, verb == QUERY_DELETE);
	if (!rcpt)
		return true;
	bool at_once = rcpt->state != RCPT_FLYING && rcpt->state != RCPT_CLAIMED;
	switch (verb) {
	case QUERY_DELETE:
		if (take_out(rcpt, ORDER_DELETE))
			settle_deleted(rcpt);
		break;
	case QUERY_HOLD:
		hold(rcpt);
		break;
	case QUERY_RELEASE:
		release(rcpt);
		break;
	case QUERY_BOUNCE:
		bounce(rcpt);
		break;
	default:
		flush(rcpt);
	}
	return at_once;
}

/* verbs_end - a flush of everything probes all that is down, with mail in sight or without */
void verbs_end(enum query_verb verb, const struct query_filter *filter)
{
	if (verb != QUERY_FLUSH || !filter->all)
		return;
	for (struct site *site = site_first(); site; site = site->hh.next)
		site_flush(site);
	for (struct dest *dest = dest_first(); dest; dest = dest->hh.next)
		dest->probe |= dest->state != DEST_BOUND;
}
