/* SPDX-License-Identifier: ISC */
/* Nothing is formatted here: what a reader can put into words is left to it. */
#include "qmgr/trace.h"

#include <string.h>

#include "lib/clock.h"
#include "qmgr/dest.h"
#include "qmgr/dispatch.h"
#include "qmgr/member.h"
#include "qmgr/message.h"
#include "qmgr/site.h"
#include "qmgr/turns.h"

/* trace_taken - and who is the first one */
void trace_taken(const struct message *msg)
{
	const struct rcpt *first = msg->rcpts;
	EVENT_PUT(TAKEN, .id = msg->id, .number = msg->left,
	    .words = msg_bytes(first ? first->address : "", first ? first->address_len : 0));
}

/* waits - for that */
static void waits(const struct rcpt *rcpt, enum event_wait why, const char *what, const char *words)
{
	EVENT_PUT(WAITS, .id = rcpt->msg->id, .number = rcpt->number, .code = (uint16_t)why,
	    .what = msg_str(what), .words = msg_str(words));
}

/* trace_parked - who stops it */
void trace_parked(const struct rcpt *rcpt)
{
	const struct dest *dest = rcpt->dest;
	const struct site *site = dest->state == DEST_BOUND ? dest->pool->site : NULL;
	if (!events_mine)
		return;
	if (site && site->state != SITE_UP)
		waits(rcpt, EVENT_WAIT_DOWN, site->name, site->trouble ? site->trouble->text : "");
	else if (dest_parked(dest))
		waits(rcpt, EVENT_WAIT_PAUSED, site && site->paused ? site->name : dest->name, "");
	else
		waits(rcpt, EVENT_WAIT_TURN, dest->name, "");
}

/* trace_ready - where nothing stops it, it is handed on in this turn */
void trace_ready(const struct rcpt *rcpt)
{
	const struct dest *dest = rcpt->dest;
	if (!events_mine)
		return;
	if (dest->state == DEST_BOUND && dest->pool->blocked)
		waits(rcpt, dest->pool->blocked, dest->pool->site->name, "");
	else if (dest->state != DEST_BOUND && dest->domain_len)
		waits(rcpt, EVENT_WAIT_DNS, dest->name, "");
}

/* blocks - what is in a pool's way now */
static enum event_wait blocks(const struct pool *pool)
{
	const struct site *site = pool->site;
	if (site->limits.rate.count &&
	    rate_wait_us(&site->rate, &site->limits.rate, clock_us()) > 0)
		return EVENT_WAIT_RATE;
	return pool->nconns > site->opening && !site_may_open(site, false) ? EVENT_WAIT_LIMIT
									   : EVENT_WAIT_CONNECTION;
}

/* trace_pool - who comes later is told by trace_ready() */
void trace_pool(struct pool *pool)
{
	bool was = pool->blocked;
	pool->blocked = EVENT_WAIT_NONE;
	if (!pool->nready || !events_mine)
		return;
	pool->blocked = (uint8_t)blocks(pool);
	if (!was)
		waits(turns_first(pool), pool->blocked, pool->site->name, "");
}

/* trace_connecting - no message's yet */
void trace_connecting(const struct conn *conn, struct msg_bytes host)
{
	EVENT_PUT(
	    CONNECTING, .value = conn->id, .what = msg_str(conn->pool->site->name), .words = host);
}

/* trace_handed - one event a job, whatever its number of recipients */
void trace_handed(const struct job *job)
{
	const struct rcpt *first = job->rcpts[0];
	EVENT_PUT(HANDED, .id = job->msg->id, .number = job->nrcpts, .value = job->conn->id,
	    .what = msg_str(job->conn->pool->site->name),
	    .words = msg_bytes(first->address, first->address_len));
}

/* trace_result - the reply to what was sent is deliver's event already */
void trace_result(const struct rcpt *rcpt, const char *result, const struct job_result *words)
{
	char text[EVENT_TEXT_MAX];
	struct msg_bytes shown = member_shown(rcpt);
	size_t n = strlen(result);
	if (!events_mine)
		return;
	memcpy(text, result, n); /* a word of ours */
	if (words && words->text.len && words->code / 100 != 2) {
		size_t len =
		    words->text.len < sizeof(text) - n - 2 ? words->text.len : sizeof(text) - n - 2;
		text[n++] = ':';
		text[n++] = ' ';
		memcpy(text + n, words->text.data, len);
		n += len;
	}
	EVENT_PUT(RESULT, .id = rcpt->msg->id, .number = rcpt->number, .value = rcpt->attempts,
	    .code = words ? words->code : 0, .what = shown, .words = msg_bytes(text, n));
}
