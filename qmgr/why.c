/* SPDX-License-Identifier: ISC */
/* One function a place where a recipient can be; the first that applies speaks. */
#include "qmgr/why.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "lib/clock.h"
#include "qmgr/dest.h"
#include "qmgr/dispatch.h"
#include "qmgr/message.h"
#include "qmgr/now.h"
#include "qmgr/pause.h"
#include "qmgr/queue.h"
#include "qmgr/schedule.h"
#include "qmgr/site.h"

/* Where the words go. */
struct words {
	char *text;
	size_t size, len;
};

/* add - more words, cut where the room ends */
__attribute__((format(printf, 2, 3))) static void add(struct words *w, const char *fmt, ...)
{
	va_list ap;
	va_start(ap, fmt);
	int n = vsnprintf(w->text + w->len, w->size - w->len, fmt, ap);
	va_end(ap);
	if (n > 0)
		w->len += (size_t)n < w->size - w->len ? (size_t)n : w->size - w->len - 1;
}

/* add_span - a time span: 45s, 2m13s, 3h20m, 2d4h */
static void add_span(struct words *w, uint64_t ms)
{
	uint64_t s = (ms + 999) / 1000;
	if (s < 60)
		add(w, "%" PRIu64 "s", s);
	else if (s < 3600)
		add(w, "%" PRIu64 "m%" PRIu64 "s", s / 60, s % 60);
	else if (s < 86400)
		add(w, "%" PRIu64 "h%" PRIu64 "m", s / 3600, s / 60 % 60);
	else
		add(w, "%" PRIu64 "d%" PRIu64 "h", s / 86400, s / 3600 % 24);
}

/* at_worker - it is being sent */
static enum query_wait at_worker(const struct verbs_at *at, struct words *w)
{
	if (at->rcpt->state == RCPT_CLAIMED) {
		add(w, "a delivery worker has it since before the queue manager's restart");
		return QUERY_WAIT_NONE;
	}
	add(w, "it is with a delivery worker");
	if (at->rcpt->job) {
		add(w, " since ");
		add_span(w, now_ms() - at->rcpt->job->sent_ms);
	}
	if (at->order == ORDER_HOLD)
		add(w, "; if it comes back it is held");
	return QUERY_WAIT_NONE;
}

/* down - its site can't be reached, or refused us */
static enum query_wait down(const struct site *site, struct words *w)
{
	uint64_t now = now_ms();
	add(w, "site %s is down since ", site->name);
	add_span(w, now > site->down_since ? now - site->down_since : 0);
	if (site->state == SITE_PROBING) {
		add(w, ", it is being probed now");
	} else if (site->probe_at > now) {
		add(w, ", next probe in ");
		add_span(w, site->probe_at - now);
	}
	if (site->trouble)
		add(w, ": %s", site->trouble->text);
	return QUERY_WAIT_DOWN;
}

/* rate_words - the rate that is in its way, as the configuration has it */
static bool rate_words(const struct site *site, struct words *w)
{
	const struct conf_rate *rate = &site->limits.rate;
	if (rate_wait_us(&site->rate, rate, clock_us()) <= 0)
		return false;
	add(w, "the rate of site %s is used up: %u in %u s", site->name, rate->count,
	    rate->period / 1000);
	return true;
}

/* for_turn - it is ready, and others are too */
static enum query_wait for_turn(const struct dest *dest, struct words *w)
{
	const struct site *site = dest->pool->site;
	uint32_t limit = site_limit(site);
	if (!queue_delivering()) {
		add(w, "the queue manager has just started, delivery begins in a moment");
		return QUERY_WAIT_INTERNAL;
	}
	bool rated = rate_words(site, w);
	if (!rated)
		add(w, "it waits for its turn at site %s", site->name);
	add(w, ": %u of %u connection%s", site->nconns, limit, limit == 1 ? "" : "s");
	if (limit < site->limits.connections)
		add(w, " (%u configured)", site->limits.connections);
	add(w, " open, %u recipients being sent", site->flying);
	if (dest->nready > 1)
		add(w, ", %u ready for %s", dest->nready, dest->name);
	return rated || site->nconns >= limit ? QUERY_WAIT_LIMIT : QUERY_WAIT_TURN;
}

/* in_memory - due, and somewhere on its way */
static enum query_wait in_memory(const struct verbs_at *at, struct words *w)
{
	const struct dest *dest = at->dest;
	switch (at->rcpt->state) {
	case RCPT_EXPANDING:
		add(w, "keeper is asked what stands behind the address");
		return QUERY_WAIT_INTERNAL;
	case RCPT_BLOCKED:
		add(w, "its mailbox takes one message at a time, and others are before it");
		return QUERY_WAIT_TURN;
	case RCPT_OPENING:
		add(w, "its file in the spool is being opened");
		return QUERY_WAIT_INTERNAL;
	case RCPT_SUSPECT:
		add(w, "a delivery worker ended while it had this message: it is tried again "
		       "apart from others, when its turn comes");
		return QUERY_WAIT_TURN;
	case RCPT_READY:
		break;
	default:
		add(w, "the queue manager is writing it to its index");
		return QUERY_WAIT_INTERNAL;
	}
	if (dest->state == DEST_BOUND)
		return for_turn(dest, w);
	add(w, "DNS is asked for the mail hosts of %s", dest->name);
	return QUERY_WAIT_DNS;
}

/* in_index - due, but there is no room in memory for it yet */
static enum query_wait in_index(const struct verbs_at *at, struct words *w)
{
	const struct dest *dest = at->dest;
	if (!dest || !dest->nactive) {
		add(w, "it is about to be read from the queue's index");
		return QUERY_WAIT_INTERNAL;
	}
	add(w, "%u recipients of %s are before it", dest->nactive, dest->name);
	if (dest->state == DEST_BOUND) {
		add(w, "; ");
		for_turn(dest, w);
	}
	return QUERY_WAIT_TURN;
}

/* waits_for - what is in its way */
static enum query_wait waits_for(
    const struct verbs_at *at, const struct query_rcpt *out, struct words *w)
{
	char pause[QUERY_PAUSE_NAME_MAX + 80];
	switch (out->state) {
	case QUERY_ACTIVE:
		return at_worker(at, w);
	case QUERY_HELD:
		add(w, "it is held by the administrator");
		return QUERY_WAIT_RELEASE;
	case QUERY_DAMAGED:
		add(w, "its record in the spool can't be sent: it was set aside");
		return QUERY_WAIT_RELEASE;
	case QUERY_POISON:
		add(w, "its handling ended delivery workers: it was set aside");
		return QUERY_WAIT_RELEASE;
	case QUERY_BOUNCING:
		add(w, "it has failed; the notice to its sender is on its way");
		return QUERY_WAIT_NOTICE;
	case QUERY_NOTIFYING:
		add(w, "what its sender asked to be told is on its way");
		return QUERY_WAIT_NOTICE;
	case QUERY_PAUSED:
		pause_words(at->pause, pause, sizeof(pause));
		add(w, "%s", pause);
		return QUERY_WAIT_PAUSE;
	}
	if (at->site && at->site->state != SITE_UP)
		return down(at->site, w);
	if (at->due > now_ms()) {
		add(w, "it was deferred and waits for its next attempt");
		return QUERY_WAIT_TIME;
	}
	return at->rcpt && at->rcpt->state != RCPT_WAITING ? in_memory(at, w) : in_index(at, w);
}

/* last_words - who said it, before what was said */
static void last_words(
    const struct row *row, const struct verbs_at *at, struct query_rcpt *out, struct words *w)
{
	const struct trouble *t = at->rcpt ? at->rcpt->trouble : NULL;
	struct msg_bytes host = t ? msg_str(t->host) : at->rcpt ? msg_str("") : row->rcpt.host;
	unsigned code = t ? t->code : at->rcpt ? 0 : row->rcpt.code;
	size_t from = w->len;
	if (!out->reason.len || !code || !host.len)
		return;
	add(w, "%.*s said: %.*s", (int)host.len, host.data, (int)out->reason.len, out->reason.data);
	out->reason = msg_bytes(w->text + from, w->len - from);
}

/* why_fill - both */
void why_fill(const struct row *row, const struct verbs_at *at, struct query_rcpt *out, char *text,
    size_t size)
{
	struct words w = {.text = text, .size = size};
	out->wait = (uint8_t)waits_for(at, out, &w);
	out->wait_text = msg_bytes(text, w.len);
	last_words(row, at, out, &w);
}
