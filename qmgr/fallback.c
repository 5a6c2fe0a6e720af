/* SPDX-License-Identifier: ISC */
/* A scout isn't among the site's opening connections: it may hang, and mail must not wait for it.
 */
#include "qmgr/fallback.h"

#include "lib/log.h"
#include "qmgr/dispatch.h"
#include "qmgr/message.h"
#include "qmgr/now.h"
#include "qmgr/schedule.h"
#include "qmgr/site.h"

/* say - one line of the pool's way through its hosts */
static void say(const struct pool *pool, const char *state, int level)
{
	const struct site *site = pool->site;
	log_event(level, 0, "site", LOG_STR("site", site->name), LOG_STR("state", state),
	    LOG_STR("host", pool->targets[pool->target].host),
	    LOG_U64("port", pool->targets[pool->target].port),
	    LOG_STR("words", level == LOG_INFO || !site->trouble ? NULL : site->trouble->text));
}

/* plan - the next scout */
static void plan(struct pool *pool)
{
	pool->back_ms = site_interval(pool->site, pool->back_ms);
	pool->back_at =
	    now_ms() + pool->back_ms / 4 * 3 + schedule_random() % (pool->back_ms / 2 + 1);
}

bool fallback_next(struct pool *pool)
{
	if (pool->target + 1 >= pool->ntargets || pool->site->nconns > pool->scouts)
		return false;
	if (!pool->target)
		plan(pool);
	pool->target++;
	say(pool, "next_host", LOG_WARN);
	return dispatch_open(pool);
}

void fallback_look(struct pool *pool)
{
	if (!pool->target || pool->scouts || pool->back_at > now_ms() || !pool->nready ||
	    pool->site->nconns >= pool->site->limits.connections)
		return;
	if (dispatch_scout(pool))
		plan(pool);
}

bool fallback_lone(const struct conn *conn)
{
	return conn->scout || conn->target != conn->pool->target;
}

void fallback_failed(struct pool *pool)
{
	say(pool, "still_next_host", LOG_WARN);
	dispatch_pool(pool);
}

void fallback_opened(struct conn *conn)
{
	struct pool *pool = conn->pool;
	struct conn *other, *tmp;
	if (!conn->scout)
		return;
	conn->scout = false;
	pool->scouts--;
	pool->target = conn->target;
	pool->back_ms = 0;
	say(pool, "first_host", LOG_INFO);
	for (unsigned i = 0; i <= POOL_WINDOW; i++)
		DL_FOREACH_SAFE (pool->conns[i], other, tmp)
			if (other->target != pool->target)
				dispatch_close_conn(other);
}
