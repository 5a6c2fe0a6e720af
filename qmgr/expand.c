/* SPDX-License-Identifier: ISC */
/* One timer for all questions: each gets an answer or its deadline. */
#include "qmgr/expand.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "lib/hash.h"
#include "lib/log.h"
#include "lib/loop.h"
#include "qmgr/dest.h"
#include "qmgr/ended.h"
#include "qmgr/links.h"
#include "qmgr/members.h"
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
	unsigned char *parts; /* of a long list: what came so far */
	size_t parts_len;
	struct question *next, *prev; /* of the line */
	UT_hash_handle hh;
};

static struct question *asked, *line;
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

/* expand_alias - the list is whole */
static void expand_alias(struct question *q, const struct msg_keeper_expand_is *m)
{
	struct msg_bytes list = q->parts_len ? msg_bytes(q->parts, q->parts_len) : m->members;
	unsigned char *parts = q->parts;
	q->parts = NULL;
	members_take(drop(q), list, m->owner, NULL);
	free(parts);
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
	bool parts = m->verdict == KEEPER_ALIAS && (!m->last || q->parts_len);
	if (parts && collect(q, m->members) != 0)
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
