/* SPDX-License-Identifier: ISC */
/* One timer for all questions: each gets an answer or its deadline. */
#include "qmgr/expand.h"

#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "lib/hash.h"
#include "lib/log.h"
#include "lib/loop.h"
#include "lib/str.h"
#include "qmgr/asked.h"
#include "qmgr/dest.h"
#include "qmgr/ended.h"
#include "qmgr/member.h"
#include "qmgr/members.h"
#include "qmgr/message.h"
#include "qmgr/now.h"
#include "qmgr/recall.h"
#include "qmgr/route.h"
#include "qmgr/schedule.h"
#include "qmgr/settle.h"

#define CHECK_MS 1000

struct question {
	uint32_t request; /* 0: in the line */
	struct rcpt *rcpt;
	uint64_t deadline;
	unsigned char *parts; /* of a long list: what came so far */
	size_t parts_len;
	uint64_t msg_id;
	struct loop_task turn; /* answered: those before it of its message are through */
	struct members_list list;
	char owner[320];              /* of an alias' members, "": none */
	char user[256];               /* whose .forward it is, "": an alias */
	struct question *next, *prev; /* of the line */
	UT_hash_handle hh;
};

static struct question *asked, *line;
static struct question *taking; /* answered; of one message one after the other */
static struct event *timer;
static uint32_t last_request;

/* expand_needed - local, and nothing is known of it */
bool expand_needed(const struct rcpt *rcpt)
{
	return rcpt->stage == STAGE_MAIL && !rcpt->user && !strcmp(rcpt->dest->name, DEST_LOCAL);
}

/* ask - the question, if there is somebody to ask */
static void ask(const struct question *q)
{
	char local[320], domain[320];
	struct chan *keeper = asked_keeper();
	if (!keeper)
		return;
	route_split(q->rcpt->address, local, domain, sizeof(local));
	CHAN_SEND(keeper, keeper_expand, .request = q->request, .local = msg_str(local),
	    .domain = msg_str(domain));
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
	free(q->parts);
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
	ended_watch(rcpt->msg->id);
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
	DL_FOREACH (taking, q) {
		if (q->rcpt == rcpt) {
			q->rcpt = NULL;
			rcpt_enter(rcpt, RCPT_NEW);
			return;
		}
	}
}

/* expand_linked - a new keeper is asked everything again */
void expand_linked(void)
{
	struct question *q, *tmp;
	HASH_ITER (hh, asked, q, tmp) {
		q->parts_len = 0; /* what the last one began to say */
		ask(q);
	}
	next();
}

/* collect - one more part of a long list; 0, or -E2BIG and none of it */
static int collect(struct question *q, struct msg_bytes part)
{
	if (part.len > EXPAND_LIST_MAX - q->parts_len)
		return -E2BIG;
	unsigned char *more = realloc(q->parts, q->parts_len + part.len + 1);
	if (!more)
		log_fatal("out of memory for the members of an alias");
	if (part.len)
		memcpy(more + q->parts_len, part.data, part.len);
	q->parts = more;
	q->parts_len += part.len;
	return 0;
}

/* taken - it has come to its end; the next one of its message may begin */
static void taken(void *arg)
{
	struct question *q = arg, *next;
	uint64_t id = q->msg_id;
	DL_DELETE(taking, q);
	free(q->parts);
	free(q);
	DL_FOREACH (taking, next) {
		if (next->msg_id == id) {
			loop_defer(&next->turn);
			return;
		}
	}
}

/* take - the members take its place, now that all others of the message are known */
static void take(struct question *q, const struct recall *others)
{
	struct rcpt *rcpt = q->rcpt;
	if (!rcpt) {
		taken(q);
		return;
	}
	q->rcpt = NULL;
	rcpt_enter(rcpt, RCPT_NEW);
	if (others && recall_error(others)) {
		settle_deferred(rcpt, "4.3.0", "the index can't be read");
		taken(q);
		return;
	}
	if (others)
		recall_keep(others);
	q->list = (struct members_list){.members = msg_bytes(q->parts, q->parts_len),
	    .owner = q->owner,
	    .user = q->user[0] ? q->user : NULL,
	    .others = others};
	members_take(rcpt, &q->list, taken, q);
}

/* on_recalled - the rest of its message is known */
static void on_recalled(const struct recall *r, void *arg)
{
	take(arg, r);
}

/* start_take - what waits in the index only must be known too */
static void start_take(struct loop_task *task)
{
	struct question *q = (struct question *)((char *)task - offsetof(struct question, turn));
	if (q->rcpt && q->rcpt->msg->rowed)
		recall(q->rcpt->msg, on_recalled, q);
	else
		take(q, NULL);
}

/* begin_take - unless another list of the message is being taken */
static void begin_take(struct question *q)
{
	struct question *other;
	q->msg_id = q->rcpt->msg->id;
	q->turn.run = start_take;
	DL_FOREACH (taking, other)
		if (other->msg_id == q->msg_id)
			break;
	DL_APPEND(taking, q);
	if (!other)
		start_take(&q->turn);
}

/* expand_alias - the list is whole; collected */
static void expand_alias(struct question *q, const struct msg_keeper_expand_is *m)
{
	if (str_copy_n(q->owner, sizeof(q->owner), m->owner.data, m->owner.len) != 0)
		q->owner[0] = '\0';
	HASH_DELETE(hh, asked, q);
	begin_take(q);
}

/* expand_forward - as an alias, but for whose list it is */
void expand_forward(struct rcpt *rcpt, struct msg_bytes list, const char *user)
{
	struct question *q = calloc(1, sizeof(*q));
	if (!q)
		log_fatal("out of memory");
	q->rcpt = rcpt;
	if (collect(q, list) != 0 || str_copy(q->user, sizeof(q->user), user) != 0) {
		free(q->parts);
		free(q);
		settle_deferred(rcpt, "4.3.0", "the .forward file has too many members");
		return;
	}
	ended_watch(rcpt->msg->id);
	rcpt_enter(rcpt, RCPT_EXPANDING);
	begin_take(q);
}

/* found - a mailbox */
static void found(struct rcpt *rcpt, struct msg_bytes user)
{
	rcpt->user = strndup(user.data, user.len);
	if (!rcpt->user)
		log_fatal("out of memory");
	schedule_place(rcpt);
}

/* expand_answer - keeper_expand_is; a list's parts are kept until the last one */
void expand_answer(const struct msg_keeper_expand_is *m)
{
	struct question *q;
	HASH_FIND(hh, asked, &m->request, sizeof(m->request), q);
	if (!q)
		return;
	member_by_domain(m->by_domain);
	if (m->verdict == KEEPER_ALIAS && collect(q, m->members) != 0)
		settle_deferred(drop(q), "4.3.0", "the alias has too many members");
	else if (m->verdict == KEEPER_ALIAS && !m->last)
		return;
	else if (m->verdict == KEEPER_ALIAS)
		expand_alias(q, m);
	else if (m->verdict == KEEPER_MAILBOX)
		found(drop(q), m->user);
	else if (m->verdict == KEEPER_UNKNOWN)
		settle_failed(drop(q), 550, "5.1.1", "", "no such user here");
	else
		settle_deferred(drop(q), "4.3.0", "the user can't be looked up now");
	next();
}
