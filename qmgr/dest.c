/* SPDX-License-Identifier: ISC */
/*
 * A table by name. A destination that is bound to a pool is in the pool's list, and its ready
 * recipients are in the pool's turns; the pool counts them together.
 */
#include "qmgr/dest.h"

#include <stdlib.h>
#include <string.h>

#include "lib/child.h"
#include "lib/log.h"
#include "qmgr/alarm.h"
#include "qmgr/dispatch.h"
#include "qmgr/lookup.h"
#include "qmgr/message.h"
#include "qmgr/now.h"
#include "qmgr/pause.h"
#include "qmgr/route.h"
#include "qmgr/schedule.h"
#include "qmgr/site.h"
#include "qmgr/trace.h"
#include "qmgr/turns.h"

static struct dest *table;

/* dest_find - by name */
struct dest *dest_find(const char *name, size_t len)
{
	struct dest *dest;
	HASH_FIND(hh, table, name, len, dest);
	return dest;
}

/* dest_get - by name, made if needed */
struct dest *dest_get(const char *name, size_t len)
{
	struct dest *dest = dest_find(name, len);
	if (dest)
		return dest;
	if (len > KEYS_DEST_MAX)
		log_bug("a destination's name has %zu bytes", len);
	dest = calloc(1, offsetof(struct dest, name) + len + 1);
	if (!dest)
		log_fatal("out of memory for a destination");
	memcpy(dest->name, name, len);
	dest->name_len = (uint16_t)len;
	if (name[0] != '[' && !memchr(name, ':', len))
		dest->domain_len = (uint16_t)strcspn(dest->name, " ");
	walk_init(&dest->walk);
	dest->index_due = DEST_NEVER;
	dest->paused = pause_covers_dest(dest);
	HASH_ADD(hh, table, name, len, dest);
	if (!hash_added(dest))
		log_fatal("out of memory for a destination");
	return dest;
}

/* dest_first - for walks */
struct dest *dest_first(void)
{
	return table;
}

/* dest_count - known ones */
unsigned dest_count(void)
{
	return HASH_COUNT(table);
}

/* dest_assign - where a recipient goes */
void dest_assign(struct rcpt *rcpt, struct dest *dest)
{
	if (rcpt->windowed)
		log_bug("a recipient changes its destination while in the window");
	if (rcpt->dest)
		rcpt->dest->refs--;
	rcpt->dest = dest;
	dest->refs++;
}

/* dest_enter - change the state */
void dest_enter(struct dest *dest, enum dest_state state)
{
	static const unsigned allowed[] = {
	    [DEST_UNBOUND] = 1u << DEST_ASKING | 1u << DEST_BOUND | 1u << DEST_REFUSED,
	    [DEST_ASKING] = 1u << DEST_BOUND | 1u << DEST_REFUSED | 1u << DEST_UNBOUND,
	    [DEST_BOUND] = 1u << DEST_UNBOUND | 1u << DEST_REFUSED,
	    [DEST_REFUSED] = 1u << DEST_UNBOUND,
	};
	if (!(allowed[dest->state] & 1u << state))
		log_bug("destination %s goes from state %d to %d", dest->name, dest->state, state);
	dest->state = state;
}

/* dest_bind - find its pool */
void dest_bind(struct dest *dest)
{
	if (dest->state != DEST_UNBOUND || (!dest->route && dest->domain_len))
		return;
	if (dest->domain_len) {
		dest_enter(dest, DEST_ASKING);
		lookup_site(dest);
	} else if (dest->route || dest->name[0] != '[') {
		site_bind_fixed(dest);
	}
}

/* leave_turns - its ready recipients wait here until it is bound again */
static void leave_turns(struct dest *dest)
{
	struct rcpt *rcpt;
	DL_FOREACH (dest->ready, rcpt)
		turns_remove(rcpt);
	dest->pool->nready -= dest->nready;
}

/* dest_join - into a pool, with what it has ready */
void dest_join(struct dest *dest, struct pool *pool)
{
	struct rcpt *rcpt;
	dest_enter(dest, DEST_BOUND);
	dest->pool = pool;
	DL_APPEND2(pool->dests, dest, pool_prev, pool_next);
	DL_FOREACH (dest->ready, rcpt)
		turns_add(pool, rcpt, false);
	pool->nready += dest->nready;
	if (dest_parked(dest))
		schedule_park(dest);
	else
		dispatch_pool(pool);
	if (dest->probe)
		site_flush(pool->site);
	dest->probe = false;
}

/* dest_unbind - out of its pool */
void dest_unbind(struct dest *dest)
{
	bool left = false;
	if (dest->state == DEST_BOUND) {
		site_left(dest);
		leave_turns(dest);
		DL_DELETE2(dest->pool->dests, dest, pool_prev, pool_next);
		dest->pool = NULL;
		left = true;
	}
	if (dest->state == DEST_ASKING)
		lookup_forget(dest);
	free(dest->refused_status);
	free(dest->refused_text);
	dest->refused_status = dest->refused_text = NULL;
	if (dest->state != DEST_UNBOUND)
		dest_enter(dest, DEST_UNBOUND);
	if (left && dest->index_due != DEST_NEVER)
		schedule_refill(dest); /* while it was parked no timer was set */
}

/* added - one more is ready: somebody has to take it */
static void added(struct dest *dest, struct rcpt *rcpt, bool front)
{
	if (dest->state == DEST_BOUND && dest->domain_len && dest->nready == 0 &&
	    dest->bound_until <= now_ms())
		dest_unbind(dest); /* DNS may have changed its mind */
	rcpt_enter(rcpt, RCPT_READY);
	if (front)
		DL_PREPEND(dest->ready, rcpt);
	else
		DL_APPEND(dest->ready, rcpt);
	dest->nready++;
	trace_ready(rcpt); /* before it may be parked, and leave memory */
	if (dest->state == DEST_BOUND) {
		turns_add(dest->pool, rcpt, front);
		dest->pool->nready++;
		dispatch_pool(dest->pool);
	} else if (dest->state == DEST_UNBOUND) {
		dest_bind(dest);
	}
}

/* dest_push - ready, behind the others */
void dest_push(struct dest *dest, struct rcpt *rcpt)
{
	added(dest, rcpt, false);
}

/* dest_push_front - ready, it was first before */
void dest_push_front(struct dest *dest, struct rcpt *rcpt)
{
	added(dest, rcpt, true);
}

/* dest_remove - out of the ready ones */
void dest_remove(struct dest *dest, struct rcpt *rcpt)
{
	DL_DELETE(dest->ready, rcpt);
	dest->nready--;
	if (dest->state == DEST_BOUND) {
		turns_remove(rcpt);
		dest->pool->nready--;
	}
	rcpt_enter(rcpt, RCPT_NEW);
}

/* dest_parked - its site is down, or somebody paused it */
bool dest_parked(const struct dest *dest)
{
	if (dest->paused)
		return true;
	return dest->state == DEST_BOUND &&
	       (dest->pool->site->state != SITE_UP || dest->pool->site->paused);
}

/* unused - nothing in memory or in the index belongs to it */
static bool unused(const struct dest *dest)
{
	return !dest->refs && !dest->nready && !dest->nactive && dest->index_due == DEST_NEVER &&
	       !dest->wanted && !dest->notes && !dest->expiring && dest->state != DEST_ASKING;
}

/* dest_sweep - free what is unused and whose knowledge is old */
void dest_sweep(void)
{
	struct dest *dest, *tmp;
	uint64_t now = now_ms();
	HASH_ITER (hh, table, dest, tmp) {
		if (!unused(dest) || (dest->state == DEST_BOUND && dest->bound_until > now))
			continue;
		dest_unbind(dest);
		alarm_off(&dest->timer);
		HASH_DELETE(hh, table, dest);
		free(dest->was);
		free(dest);
	}
}

/* dest_reroute - the ready ones leave the list first: one may come back to it */
void dest_reroute(struct dest *dest)
{
	if (dest->state == DEST_BOUND)
		leave_turns(dest);
	struct rcpt *rcpt, *tmp, *list = dest->ready;
	dest->ready = NULL;
	dest->nready = 0;
	DL_FOREACH_SAFE (list, rcpt, tmp) {
		rcpt_enter(rcpt, RCPT_NEW);
		schedule_leave(rcpt);
		route_rcpt(rcpt);
	}
}

/*
 * dest_reconfigure - routes point into the old configuration: all go, then what is ready is routed
 * again; what waits in the index is when it is read back
 */
void dest_reconfigure(void)
{
	struct dest *dest, *tmp;
	HASH_ITER (hh, table, dest, tmp) {
		dest_unbind(dest);
		dest->route = NULL;
		dest->source = NULL;
		dest->oldest_ms = 0; /* lifetimes may have changed */
	}
	HASH_ITER (hh, table, dest, tmp) {
		if (dest->nready)
			dest_reroute(dest);
		else if (dest->index_due != DEST_NEVER)
			schedule_refill(dest);
	}
}
