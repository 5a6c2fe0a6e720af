/* SPDX-License-Identifier: ISC */
/* All deadlines have the same length, so the table's order of insertion is that of the deadlines.
 */
#include "smtpd/question.h"

#include <errno.h>
#include <event2/event.h>
#include <string.h>

#include "lib/log.h"
#include "lib/loop.h"

static struct chan *keeper;
static struct question *questions;
static uint32_t last_id;
static struct event *tick;

/* take_off - it is open no more */
static void take_off(struct question *q)
{
	if (q->open)
		HASH_DEL(questions, q);
	q->open = false;
}

/* watch - look after deadlines once a second */
static void watch(void)
{
	static const struct timeval second = {.tv_sec = 1};
	if (!event_pending(tick, EV_TIMEOUT, NULL))
		event_add(tick, &second);
}

/* on_tick - what is over its deadline gets no answer */
static void on_tick(evutil_socket_t fd, short what, void *arg)
{
	(void)fd, (void)what, (void)arg;
	while (questions && questions->deadline <= loop_ms()) {
		struct question *q = questions;
		log_warnx("keeper gives no answer about a user");
		take_off(q);
		q->answered(q, NULL);
	}
	if (questions)
		watch();
}

/* question_put - into the table, and to keeper if there is one */
int question_put(struct question *q, uint32_t id)
{
	if (!tick && !(tick = event_new(loop_base(), -1, 0, on_tick, NULL)))
		return -ENOMEM;
	if (HASH_COUNT(questions) >= QUESTION_OPEN)
		return -EBUSY;
	if (!id && !++last_id)
		++last_id;
	q->id = id ? id : last_id;
	memset(&q->hh, 0, sizeof(q->hh));
	HASH_ADD(hh, questions, id, sizeof(q->id), q);
	if (!hash_added(q))
		return -ENOMEM;
	q->open = true;
	q->deadline = loop_ms() + QUESTION_DEADLINE_MS;
	watch();
	if (keeper)
		q->ask(q, keeper);
	return 0;
}

/* question_cancel - a late answer finds nobody */
void question_cancel(struct question *q)
{
	take_off(q);
}

/* question_keeper - whom to tell */
struct chan *question_keeper(void)
{
	return keeper;
}

/* question_linked - a new keeper is asked what the old one left open */
void question_linked(struct chan *chan)
{
	struct question *q, *next;
	keeper = chan;
	HASH_ITER (hh, questions, q, next)
		q->ask(q, keeper);
}

/* question_unlinked - questions wait for the next one, or their deadline */
void question_unlinked(struct chan *chan)
{
	if (keeper == chan)
		keeper = NULL;
}

/* answer - the one that was asked so */
static void answer(enum msg_type type, uint32_t id, const union msg_any *msg)
{
	struct question *q;
	HASH_FIND(hh, questions, &id, sizeof(id), q);
	if (!q || q->answer != type)
		return;
	take_off(q);
	q->answered(q, msg);
}

/* question_login_is - keeper's answer */
void question_login_is(struct chan *chan, union msg_any *msg, void *arg)
{
	(void)chan, (void)arg;
	answer(MSG_keeper_login_is, msg->keeper_login_is.request, msg);
}

/* question_submit_is - keeper's answer */
void question_submit_is(struct chan *chan, union msg_any *msg, void *arg)
{
	(void)chan, (void)arg;
	answer(MSG_keeper_submit_is, msg->keeper_submit_is.request, msg);
}

/* question_reset - for tests */
void question_reset(void)
{
	keeper = NULL;
	if (tick)
		event_free(tick);
	tick = NULL;
}
