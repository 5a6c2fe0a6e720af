/* SPDX-License-Identifier: ISC */
/*
 * Open questions are in a hash by request number, the rest in a list. Deadlines all have the same
 * length, so one timer that looks once a second is exact enough. The cache throws out its oldest
 * entry when it is full: uthash keeps the order of insertion.
 */
#include "smtpd/recipient.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/log.h"
#include "lib/loop.h"
#include "lib/str.h"

struct answer {
	UT_hash_handle hh;
	uint64_t until;
	enum keeper_verdict verdict;
	char name[];
};

static struct chan *keeper;
static struct recipient_ask *open_asks, *waiting_asks;
static struct answer *answers;
static uint32_t last_id;
static struct event *tick;

/* forget - one answer */
static void forget(struct answer *a)
{
	HASH_DEL(answers, a);
	free(a);
}

/* remember - an answer, unless keeper didn't know or there is no memory */
static void remember(const char *name, enum keeper_verdict verdict)
{
	struct answer *a;
	if (verdict == KEEPER_TEMPFAIL)
		return;
	HASH_FIND_STR(answers, name, a);
	if (a)
		forget(a);
	if (HASH_COUNT(answers) >= RECIPIENT_CACHE)
		forget(answers);
	size_t len = strlen(name);
	a = calloc(1, sizeof(*a) + len + 1);
	if (!a)
		return;
	memcpy(a->name, name, len + 1);
	a->verdict = verdict;
	a->until = loop_ms() + (verdict == KEEPER_UNKNOWN ? RECIPIENT_NO_MS : RECIPIENT_YES_MS);
	HASH_ADD_KEYPTR(hh, answers, a->name, len, a);
	if (!hash_added(a))
		free(a);
}

/* recall - a fresh answer, or -1 */
static int recall(const char *name)
{
	struct answer *a;
	HASH_FIND_STR(answers, name, a);
	if (!a)
		return -1;
	if (a->until > loop_ms())
		return (int)a->verdict;
	forget(a);
	return -1;
}

/* take_off - an ask is neither open nor waiting any more */
static void take_off(struct recipient_ask *ask)
{
	if (ask->state == ASK_OPEN)
		HASH_DEL(open_asks, ask);
	else if (ask->state == ASK_WAITING)
		DL_DELETE(waiting_asks, ask);
	ask->state = ASK_NONE;
}

/* send_ask - the question itself */
static void send_ask(struct recipient_ask *ask)
{
	const char *at = strrchr(ask->name, '@');
	if (keeper)
		CHAN_SEND(keeper, keeper_recipient, .request = ask->id,
		    .local = msg_bytes(ask->name, (size_t)(at - ask->name)),
		    .domain = msg_str(at + 1));
}

/* send_waiting - as many as may be open */
static void send_waiting(void)
{
	while (waiting_asks && HASH_COUNT(open_asks) < RECIPIENT_OPEN) {
		struct recipient_ask *ask = waiting_asks;
		DL_DELETE(waiting_asks, ask);
		ask->id = ++last_id;
		memset(&ask->hh, 0, sizeof(ask->hh));
		HASH_ADD(hh, open_asks, id, sizeof(ask->id), ask);
		if (!hash_added(ask)) { /* out of memory: try again with the next answer or tick */
			DL_PREPEND(waiting_asks, ask);
			return;
		}
		ask->state = ASK_OPEN;
		send_ask(ask);
	}
}

/* finish - tell who asked */
static void finish(struct recipient_ask *ask, enum keeper_verdict verdict)
{
	take_off(ask);
	ask->answered(ask, verdict);
}

/* watch - look after deadlines once a second */
static void watch(void)
{
	static const struct timeval second = {.tv_sec = 1};
	if (!event_pending(tick, EV_TIMEOUT, NULL))
		event_add(tick, &second);
}

/* late - some ask whose deadline is over */
static struct recipient_ask *late(void)
{
	struct recipient_ask *ask, *tmp;
	HASH_ITER (hh, open_asks, ask, tmp) {
		if (ask->deadline <= loop_ms())
			return ask;
	}
	/* Both are in the order of asking. */
	return waiting_asks && waiting_asks->deadline <= loop_ms() ? waiting_asks : NULL;
}

/* on_tick - what is over its deadline gets "not now" */
static void on_tick(evutil_socket_t fd, short what, void *arg)
{
	struct recipient_ask *ask;
	(void)fd;
	(void)what;
	(void)arg;
	while ((ask = late())) {
		log_warnx("keeper gives no answer about a recipient");
		finish(ask, KEEPER_TEMPFAIL);
	}
	send_waiting();
	if (open_asks || waiting_asks)
		watch();
}

/* put_name - what is asked for, the domain in lower case; false: too long */
static bool put_name(struct recipient_ask *ask, const char *local, const char *domain)
{
	int n = snprintf(ask->name, sizeof(ask->name), "%s@%s", local, domain ? domain : "");
	if (n < 0 || (size_t)n >= sizeof(ask->name))
		return false;
	char *at = strrchr(ask->name, '@');
	str_lower(at, at, strlen(at));
	return true;
}

/* recipient_ask - from the cache, or keeper */
int recipient_ask(
    struct recipient_ask *ask, const char *local, const char *domain, recipient_answered *answered)
{
	if (!put_name(ask, local, domain))
		return KEEPER_UNKNOWN;
	int known = recall(ask->name);
	if (known >= 0)
		return known;
	if (!tick && !(tick = event_new(loop_base(), -1, 0, on_tick, NULL)))
		return KEEPER_TEMPFAIL;
	ask->answered = answered;
	ask->deadline = loop_ms() + RECIPIENT_DEADLINE_MS;
	ask->state = ASK_WAITING;
	DL_APPEND(waiting_asks, ask);
	send_waiting();
	watch();
	return -EINPROGRESS;
}

/* recipient_cancel - the session is gone; a late answer finds nobody */
void recipient_cancel(struct recipient_ask *ask)
{
	take_off(ask);
}

/* recipient_linked - a new keeper is asked what the old one left open */
void recipient_linked(struct chan *chan)
{
	struct recipient_ask *ask, *tmp;
	keeper = chan;
	HASH_ITER (hh, open_asks, ask, tmp) {
		send_ask(ask);
	}
	send_waiting();
}

/* recipient_unlinked - questions wait for the next keeper, or their deadline */
void recipient_unlinked(struct chan *chan)
{
	if (keeper == chan)
		keeper = NULL;
}

/* recipient_is - keeper's answer */
void recipient_is(struct chan *chan, union msg_any *msg, void *arg)
{
	const struct msg_keeper_recipient_is *m = &msg->keeper_recipient_is;
	struct recipient_ask *ask;
	(void)arg;
	HASH_FIND(hh, open_asks, &m->request, sizeof(m->request), ask);
	if (!ask)
		return;
	enum keeper_verdict verdict = KEEPER_TEMPFAIL;
	if (m->verdict <= KEEPER_TEMPFAIL)
		verdict = (enum keeper_verdict)m->verdict;
	else
		log_warnx("keeper/%u gave verdict %u", chan_instance(chan), m->verdict);
	remember(ask->name, verdict);
	finish(ask, verdict);
	send_waiting();
}

/* recipient_reset - for tests */
void recipient_reset(void)
{
	while (answers)
		forget(answers);
	keeper = NULL;
	if (tick)
		event_free(tick);
	tick = NULL;
}
