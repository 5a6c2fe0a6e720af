/* SPDX-License-Identifier: ISC */
/*
 * A table of open questions by number, each with its own deadline.
 */
#include "deliver/resolve.h"

#include <stdlib.h>
#include <string.h>

#include "lib/answers.h"
#include "lib/counters.h"
#include "lib/hash.h"
#include "lib/loop.h"

struct resolve {
	uint32_t request;
	enum dns_site_kind kind;
	resolve_answer *answer;
	void *arg;
	struct event *timer;
	bool told; /* the answer is there to be read: the timer runs out at once */
	UT_hash_handle hh;
	uint32_t len;
	char domain[];
};

static struct resolve *table;
static uint32_t last_request;
static struct chan *link_to_dnscache;

/* ask - send it, where there is somebody to ask */
static void ask(const struct resolve *q)
{
	if (link_to_dnscache)
		CHAN_SEND(link_to_dnscache, dns_site, .request = q->request,
		    .kind = (uint8_t)q->kind, .domain = msg_bytes(q->domain, q->len));
}

void resolve_cancel(struct resolve *q)
{
	if (!q)
		return;
	HASH_DEL(table, q);
	event_free(q->timer);
	free(q);
}

/* finish - the one answer */
static void finish(
    struct resolve *q, enum dns_verdict verdict, struct msg_bytes hosts, struct msg_bytes text)
{
	resolve_answer *answer = q->answer;
	void *arg = q->arg;
	resolve_cancel(q);
	answer(arg, verdict, hosts, text);
}

/* read_answer - if it is there still */
static bool read_answer(struct resolve *q)
{
	struct msg_dns_site_is m;
	if (!answers_find(q->kind, msg_bytes(q->domain, q->len), &m))
		return false;
	counter_add(C_dns_answers_read, 1);
	finish(q, (enum dns_verdict)m.verdict, m.hosts, m.text);
	return true;
}

/* arm - a question is never open for longer */
static int arm(struct resolve *q)
{
	static const struct timeval now, max = {.tv_sec = RESOLVE_MAX_MS / 1000};
	return event_add(q->timer, q->told ? &now : &max);
}

/* on_deadline - dnscache is silent or not there; or there is no need of it */
static void on_deadline(evutil_socket_t fd, short what, void *arg)
{
	struct resolve *q = arg;
	(void)fd;
	(void)what;
	if (q->told && read_answer(q))
		return;
	if (q->told) {
		q->told = false;
		ask(q);
		if (arm(q) == 0)
			return;
	}
	finish(q, DNS_TEMPFAIL, msg_str(""), msg_str("no answer from dnscache"));
}

struct resolve *resolve_site(
    enum dns_site_kind kind, struct msg_bytes domain, resolve_answer *answer, void *arg)
{
	struct msg_dns_site_is m;
	struct resolve *q = calloc(1, sizeof(*q) + domain.len);
	if (!q)
		return NULL;
	q->request = ++last_request;
	q->kind = kind;
	q->answer = answer;
	q->arg = arg;
	q->len = domain.len;
	memcpy(q->domain, domain.data, domain.len);
	q->timer = event_new(loop_base(), -1, 0, on_deadline, q);
	q->told = answers_find(kind, domain, &m);
	if (!q->timer || arm(q) < 0)
		goto out;
	HASH_ADD(hh, table, request, sizeof(q->request), q);
	if (!hash_added(q))
		goto out;
	if (!q->told)
		ask(q);
	return q;
out:
	if (q->timer)
		event_free(q->timer);
	free(q);
	return NULL;
}

void resolve_answered(const struct msg_dns_site_is *msg)
{
	struct resolve *q;
	HASH_FIND(hh, table, &msg->request, sizeof(msg->request), q);
	if (q)
		finish(q,
		    msg->verdict < DNS_VERDICTS ? (enum dns_verdict)msg->verdict : DNS_TEMPFAIL,
		    msg->hosts, msg->text);
}

void resolve_link(struct chan *dnscache)
{
	struct resolve *q, *next;
	link_to_dnscache = dnscache;
	HASH_ITER (hh, table, q, next) {
		if (!q->told)
			ask(q);
	}
}
