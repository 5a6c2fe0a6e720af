/* SPDX-License-Identifier: ISC */
/*
 * How much may go to a site now: connections by its throttle, messages by its rate. Growth of both
 * is noticed by looking at the site's pools again.
 */
#include <stdlib.h>

#include "lib/child.h"
#include "lib/clock.h"
#include "lib/log.h"
#include "lib/loop.h"
#include "qmgr/class.h"
#include "qmgr/dispatch.h"
#include "qmgr/keep.h"
#include "qmgr/message.h"
#include "qmgr/now.h"
#include "qmgr/site.h"

#define FULL_MS 1000 /* our own limit was met */

/* look_again - at all pools of the site that have mail; the one served last comes last */
static void look_again(struct site *site)
{
	/* dispatch_pool() serves the last one named first */
	struct pool *pool = site->pools ? site->pools->prev : NULL;
	for (; pool; pool = pool == site->pools ? NULL : pool->prev)
		if (pool->nready)
			dispatch_pool(pool);
}

/* -- connections */

/* site_limit - what adapts, within what is configured */
uint32_t site_limit(const struct site *site)
{
	uint32_t max = site->limits.connections;
	return site->ours || site->throttle.limit > max ? max : site->throttle.limit;
}

/* reserved - what only urgent mail may open; nothing while one above the ceiling is tried */
static uint32_t reserved(const struct site *site)
{
	const struct throttle *t = &site->throttle;
	uint32_t limit = site_limit(site);
	if (limit < SITE_RESERVE_FROM || !class_configured(class_urgent()))
		return 0;
	if (t->ceiling && t->limit > t->ceiling)
		return 0;
	return limit / 10 ? limit / 10 : 1;
}

/* site_may_open - up to the limit; at once no more than stand, so that a dead site costs one try */
bool site_may_open(const struct site *site, bool urgent)
{
	uint32_t standing = site->nconns - site->opening, limit = site_limit(site);
	if (site->state != SITE_UP || site->nconns >= limit - (urgent ? 0 : reserved(site)))
		return false;
	if (site->full_until && site->full_until > now_ms())
		return false;
	return site->opening < (standing ? standing : 1);
}

/* site_full - nothing is opened for a moment */
void site_full(struct site *site)
{
	site->full_until = now_ms() + FULL_MS;
	if (site->state == SITE_UP)
		site_set_timer(site, FULL_MS);
}

/* site_accepted - a transaction went well */
void site_accepted(struct site *site)
{
	struct throttle *t = &site->throttle;
	if (site->ours)
		return;
	/* what is kept for urgent mail counts as used: else the limit would never be reached */
	if (!throttle_accepted(t, site->nconns + reserved(site), site->nconns - site->opening,
		site->limits.connections, now_ms()))
		return;
	keep_changed(site);
	log_debug("site %s: limit %u, ceiling %u", site->name, t->limit, t->ceiling);
	look_again(site);
}

/* trim - what is above the limit closes after the transaction it has on the wire */
static void trim(struct site *site)
{
	uint32_t standing = site->nconns - site->opening, limit = site_limit(site);
	for (struct pool *pool = site->pools; pool; pool = pool->next) {
		while (standing > limit && dispatch_close(pool))
			standing--;
	}
}

/* site_trouble - cut; at the bottom without anything accepted it is as good as down */
void site_trouble(struct site *site, enum throttle_kind kind)
{
	struct throttle *t = &site->throttle;
	uint64_t first = child_self()->conf->retry.first / 2;
	if (site->ours)
		return;
	if (first > THROTTLE_HOLD_MS)
		first = THROTTLE_HOLD_MS;
	if (first < THROTTLE_HOLD_MIN_MS)
		first = THROTTLE_HOLD_MIN_MS;
	bool cut = throttle_trouble(
	    t, kind, site->nconns - site->opening, first, site->limits.probe_max, now_ms());
	keep_changed(site);
	if (cut)
		log_event(LOG_INFO, 0, "site", LOG_STR("site", site->name),
		    LOG_STR("state", "throttled"), LOG_U64("limit", t->limit),
		    LOG_U64("ceiling", t->ceiling), LOG_U64("hold_ms", t->hold_ms),
		    LOG_STR("words", site->trouble ? site->trouble->text : NULL));
	if (t->limit == 1 && t->strikes >= THROTTLE_STRIKES && site->state == SITE_UP)
		site_down(site, "throttled");
	else if (cut && kind == THROTTLE_SESSION)
		trim(site);
}

/* site_make_room - of two pools at the limit the one without mail gives up what it has idle */
void site_make_room(struct pool *pool)
{
	struct site *site = pool->site;
	if (pool->nconns || site->nconns < site_limit(site))
		return;
	for (struct pool *other = site->pools; other; other = other->next) {
		if (other != pool && other->conns[0] && !other->nready) {
			dispatch_close(other);
			return;
		}
	}
}

/* -- messages */

/* site_window - what waits at a worker would reach the wire all at once */
unsigned site_window(const struct site *site)
{
	const struct conf_rate *rate = &site->limits.rate;
	bool paced = rate->count && rate->count <= (uint64_t)SITE_PACED_MAX * rate->period / 1000;
	return paced ? 1 : POOL_WINDOW_WIDE;
}

/* on_rate - the next message may go */
static void on_rate(evutil_socket_t fd, short what, void *arg)
{
	(void)fd, (void)what;
	look_again(arg);
}

/* site_rate_ready - now, or the timer is set */
bool site_rate_ready(struct site *site)
{
	int64_t us = rate_wait_us(&site->rate, &site->limits.rate, clock_us());
	if (!us)
		return true;
	site->rate.waits = true;
	if (!site->rate_timer)
		site->rate_timer = evtimer_new(loop_base(), on_rate, site);
	if (!site->rate_timer)
		log_fatal("out of memory for a timer");
	const struct timeval tv = {
	    .tv_sec = (time_t)(us / 1000000), .tv_usec = (suseconds_t)(us % 1000000)};
	if (!evtimer_pending(site->rate_timer, NULL))
		event_add(site->rate_timer, &tv);
	return false;
}

/* site_rate_take - one goes; another pool of the site has the next turn */
void site_rate_take(struct pool *pool)
{
	struct site *site = pool->site;
	if (site->limits.rate.count && pool->next) {
		DL_DELETE(site->pools, pool);
		DL_APPEND(site->pools, pool);
	}
	rate_take(&site->rate, &site->limits.rate, clock_us());
}

/* site_rate_back - it was not tried */
void site_rate_back(struct site *site)
{
	rate_back(&site->rate, &site->limits.rate);
}
