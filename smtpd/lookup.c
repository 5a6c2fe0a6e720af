/* SPDX-License-Identifier: ISC */
/* Open questions are in a hash by request number; one timer looks after all deadlines. */
#include "smtpd/lookup.h"

#include <string.h>

#include "lib/log.h"
#include "lib/loop.h"
#include "lib/str.h"

static struct chan *dnscache;
static struct lookup *asked;
static uint32_t last_id;
static struct event *tick;

/* send - the question itself */
static void send_question(const struct lookup *l)
{
	if (dnscache)
		CHAN_SEND(dnscache, dns_lookup, .request = l->id, .type = l->type,
		    .name = msg_str(l->name));
}

/* finish - tell who asked */
static void finish(struct lookup *l, enum dns_verdict verdict, const void *records, size_t len)
{
	lookup_cancel(l);
	l->answered(l, verdict, records, len);
}

/* late - some question whose deadline is over */
static struct lookup *late(void)
{
	struct lookup *l, *tmp;
	HASH_ITER (hh, asked, l, tmp) {
		if (l->deadline <= loop_ms())
			return l;
	}
	return NULL;
}

/* watch - as long as something is open */
static void watch(void)
{
	static const struct timeval often = {.tv_usec = LOOKUP_TICK_MS * 1000};
	if (!event_pending(tick, EV_TIMEOUT, NULL))
		event_add(tick, &often);
}

/* on_tick - what is over its deadline won't be known */
static void on_tick(evutil_socket_t fd, short what, void *arg)
{
	struct lookup *l;
	(void)fd, (void)what, (void)arg;
	while ((l = late()))
		finish(l, DNS_TEMPFAIL, NULL, 0);
	if (asked)
		watch();
}

/* lookup_ask - without dnscache it waits for the next one, or its deadline */
bool lookup_ask(struct lookup *l, enum dns_type type, const char *name, uint64_t deadline,
    lookup_answered *answered)
{
	if (HASH_COUNT(asked) >= LOOKUP_OPEN || deadline <= loop_ms())
		return false;
	if (!tick && !(tick = event_new(loop_base(), -1, 0, on_tick, NULL)))
		return false;
	if (str_copy(l->name, sizeof(l->name), name) < 0)
		return false;
	memset(&l->hh, 0, sizeof(l->hh));
	l->id = ++last_id;
	l->type = (uint16_t)type;
	l->deadline = deadline;
	l->answered = answered;
	HASH_ADD(hh, asked, id, sizeof(l->id), l);
	if (!hash_added(l))
		return false;
	l->open = true;
	watch();
	send_question(l);
	return true;
}

/* lookup_cancel - a late answer finds nobody */
void lookup_cancel(struct lookup *l)
{
	if (l->open)
		HASH_DEL(asked, l);
	l->open = false;
}

/* lookup_linked - a new dnscache is asked what the old one left open */
void lookup_linked(struct chan *chan)
{
	struct lookup *l, *tmp;
	dnscache = chan;
	HASH_ITER (hh, asked, l, tmp) {
		send_question(l);
	}
}

/* lookup_unlinked - the questions wait */
void lookup_unlinked(struct chan *chan)
{
	if (dnscache == chan)
		dnscache = NULL;
}

/* lookup_is - dnscache's answer */
void lookup_is(struct chan *chan, union msg_any *msg, void *arg)
{
	const struct msg_dns_lookup_is *m = &msg->dns_lookup_is;
	struct lookup *l;
	(void)chan, (void)arg;
	HASH_FIND(hh, asked, &m->request, sizeof(m->request), l);
	if (!l)
		return;
	enum dns_verdict verdict =
	    m->verdict < DNS_VERDICTS ? (enum dns_verdict)m->verdict : DNS_TEMPFAIL;
	finish(l, verdict, m->records.data, verdict == DNS_OK ? m->records.len : 0);
}

/* lookup_open - how many */
unsigned lookup_open(void)
{
	return HASH_COUNT(asked);
}
