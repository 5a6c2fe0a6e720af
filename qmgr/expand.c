/* SPDX-License-Identifier: ISC */
/*
 * One timer for all questions: each gets an answer or its deadline. An address that the message
 * has already, in its envelope or in memory, isn't added again; so an alias that names itself ends.
 */
#include "qmgr/expand.h"

#include <stdlib.h>
#include <strings.h>

#include "lib/addr_param.h"
#include "lib/envelope.h"
#include "lib/hash.h"
#include "lib/job.h"
#include "lib/log.h"
#include "lib/loop.h"
#include "lib/str.h"
#include "qmgr/batch.h"
#include "qmgr/dest.h"
#include "qmgr/donelist.h"
#include "qmgr/links.h"
#include "qmgr/message.h"
#include "qmgr/now.h"
#include "qmgr/route.h"
#include "qmgr/schedule.h"
#include "qmgr/settle.h"

#define CHECK_MS 1000

struct question {
	uint32_t request; /* 0: in the line */
	struct rcpt *rcpt;
	uint64_t deadline;
	struct question *next, *prev; /* of the line */
	UT_hash_handle hh;
};

static struct question *asked, *line;
static struct event *timer;
static uint32_t last_request;

/* expand_needed - local, and nothing is known of it */
bool expand_needed(const struct rcpt *rcpt)
{
	return rcpt->stage == STAGE_MAIL && !rcpt->user &&
	       !strncmp(rcpt->dest->name, DEST_LOCAL, sizeof(DEST_LOCAL) - 1);
}

/* ask - the question, if there is somebody to ask */
static void ask(const struct question *q)
{
	char local[320], domain[320];
	struct chan *keeper = links_keeper();
	if (!keeper)
		return;
	route_split(q->rcpt->address, local, domain, sizeof(local));
	CHAN_SEND(keeper, keeper_expand, .request = q->request, .local = msg_str(local));
}

/* next - from the line into the table */
static void next(void)
{
	while (line && HASH_COUNT(asked) < EXPANDS_MAX) {
		struct question *q = line;
		DL_DELETE(line, q);
		q->request = ++last_request ? last_request : ++last_request;
		HASH_ADD(hh, asked, request, sizeof(q->request), q);
		if (!hash_added(q))
			log_fatal("out of memory");
		ask(q);
	}
}

/* drop - the question is answered or given up */
static struct rcpt *drop(struct question *q)
{
	struct rcpt *rcpt = q->rcpt;
	if (q->request)
		HASH_DELETE(hh, asked, q);
	else
		DL_DELETE(line, q);
	free(q);
	rcpt_enter(rcpt, RCPT_NEW);
	return rcpt;
}

/* on_timer - deadlines */
static void on_timer(evutil_socket_t fd, short what, void *arg)
{
	struct question *q, *tmp;
	uint64_t now = now_ms();
	(void)fd, (void)what, (void)arg;
	HASH_ITER (hh, asked, q, tmp) {
		if (q->deadline <= now)
			settle_deferred(drop(q), "4.3.0", "no answer from keeper");
	}
	DL_FOREACH_SAFE (line, q, tmp) {
		if (q->deadline <= now)
			settle_deferred(drop(q), "4.3.0", "no answer from keeper");
	}
	next();
	if (asked || line)
		event_add(timer, &(struct timeval){.tv_sec = CHECK_MS / 1000});
}

/* expand_ask - what stands behind it */
void expand_ask(struct rcpt *rcpt)
{
	struct question *q = calloc(1, sizeof(*q));
	if (!q || (!timer && !(timer = evtimer_new(loop_base(), on_timer, NULL))))
		log_fatal("out of memory for a question to keeper");
	q->rcpt = rcpt;
	q->deadline = now_ms() + EXPAND_MS;
	rcpt_enter(rcpt, RCPT_EXPANDING);
	DL_APPEND(line, q);
	if (!evtimer_pending(timer, NULL))
		event_add(timer, &(struct timeval){.tv_sec = CHECK_MS / 1000});
	next();
}

/* expand_forget - nobody wants to know any more */
void expand_forget(struct rcpt *rcpt)
{
	struct question *q, *tmp;
	HASH_ITER (hh, asked, q, tmp) {
		if (q->rcpt == rcpt) {
			drop(q);
			return;
		}
	}
	DL_FOREACH (line, q) {
		if (q->rcpt == rcpt) {
			drop(q);
			return;
		}
	}
}

/* expand_linked - a new keeper is asked everything again */
void expand_linked(void)
{
	struct question *q, *tmp;
	HASH_ITER (hh, asked, q, tmp) {
		ask(q);
	}
	next();
}

/* has - whether the message has that recipient, as far as memory knows */
static bool has(const struct message *msg, struct msg_bytes address)
{
	const struct rcpt *rcpt;
	DL_FOREACH2(msg->rcpts, rcpt, sib_next)
	{
		if (str_eq_ci(rcpt->address, rcpt->address_len, address.data, address.len))
			return true;
	}
	return false;
}

/*
 * inherit - DSN options of an alias (RFC 3461 §5.2.7.2 and 3): ORCPT is the address that the sender
 * gave; one of several members reports no success, the alias has done so
 */
static void inherit(struct rcpt *rcpt, const struct rcpt *alias, bool several)
{
	char orcpt[1024] = "rfc822;";
	rcpt->notify = alias->notify;
	if (several && rcpt->notify & NOTIFY_SUCCESS) {
		rcpt->notify &= (uint8_t)~NOTIFY_SUCCESS;
		if (!rcpt->notify)
			rcpt->notify = NOTIFY_NEVER;
	}
	rcpt->flags |= alias->flags & RCPTF_WARNED;
	if (alias->orcpt)
		rcpt_set_orcpt(rcpt, msg_str(alias->orcpt));
	else if (addr_xtext_encode(
		     alias->address, alias->address_len, orcpt + 7, sizeof(orcpt) - 7) > 0)
		rcpt_set_orcpt(rcpt, msg_str(orcpt));
}

/* is_several - whether the list has more than one member */
static bool is_several(struct msg_bytes members)
{
	struct msg_bytes member;
	size_t pos = 0;
	return job_next_text(members, &pos, &member) == 1 &&
	       job_next_text(members, &pos, &member) == 1;
}

/* add_members - new recipients; how many could not be added for want of numbers */
static unsigned add_members(struct rcpt *alias, struct msg_bytes members, bool several)
{
	struct message *msg = alias->msg;
	struct msg_bytes member;
	size_t pos = 0;
	unsigned over = 0;
	while (job_next_text(members, &pos, &member) == 1) {
		if (has(msg, member) || donelist_has_rcpt(msg->segment, msg->offset, member))
			continue;
		if (msg->next_number >= ENVELOPE_RCPTS_MAX) {
			over++;
			continue;
		}
		struct rcpt *rcpt = rcpt_new(msg, msg->next_number, member);
		if (!rcpt)
			log_fatal("out of memory for a recipient");
		rcpt->parent = alias->number;
		rcpt->depth = (uint8_t)(alias->depth + 1);
		rcpt->class = alias->class;
		rcpt->lane = alias->lane;
		inherit(rcpt, alias, several);
		route_assign(rcpt);
		rcpt_enter(rcpt, RCPT_COMMITTING);
		batch_rcpt(rcpt);
	}
	return over;
}

/* expand_alias - the members take its place, in one transaction */
static void expand_alias(struct rcpt *alias, struct msg_bytes members)
{
	struct message *msg = alias->msg;
	if (alias->depth >= EXPAND_DEPTH_MAX) {
		settle_failed(alias, 554, "5.4.6", "", "aliases are nested too deeply");
		return;
	}
	bool several = is_several(members);
	unsigned over = add_members(alias, members, several);
	if (over)
		log_text(LOG_WARN, msg->id, "%u members of %s are too many for one message", over,
		    alias->address);
	batch_message(msg);
	batch_write_message(msg);
	settle_expanded(alias, several);
}

/* expand_answer - keeper_expand_is */
void expand_answer(const struct msg_keeper_expand_is *m)
{
	struct question *q;
	HASH_FIND(hh, asked, &m->request, sizeof(m->request), q);
	if (!q)
		return;
	struct rcpt *rcpt = drop(q);
	switch (m->verdict) {
	case KEEPER_MAILBOX:
		rcpt->user = strndup(m->user.data, m->user.len);
		if (!rcpt->user)
			log_fatal("out of memory");
		schedule_place(rcpt);
		break;
	case KEEPER_ALIAS:
		expand_alias(rcpt, m->members);
		break;
	case KEEPER_UNKNOWN:
		settle_failed(rcpt, 550, "5.1.1", "", "no such user here");
		break;
	default:
		settle_deferred(rcpt, "4.3.0", "the user can't be looked up now");
	}
	next();
}
