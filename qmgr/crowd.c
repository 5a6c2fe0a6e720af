/* SPDX-License-Identifier: ISC */
/*
 * Two lines of pools, one list of idle connections in the order in which they became so. What was
 * asked to close (`leaving`) counts until it is gone, so nobody is let in too early and no more
 * are closed than are waited for.
 */
#include "qmgr/crowd.h"

#include <sys/resource.h>

#include "lib/child.h"
#include "lib/hash.h"
#include "qmgr/dispatch.h"
#include "qmgr/links.h"
#include "qmgr/site.h"

#define LOOK_AT 16 /* idle connections that are looked at for one whose pool has nothing */

enum { LINE_NONE, LINE_FIRST, LINE_MORE, LINES };

static struct {
	unsigned count, leaving;
	unsigned waiting[LINES];
	struct pool *line[LINES];
	struct conn *idle; /* longest first */
} crowd;

/* crowd_count - opening or open */
unsigned crowd_count(void)
{
	return crowd.count;
}

/* crowd_limit - by configuration and descriptors, a quarter of which is left to segments */
unsigned crowd_limit(void)
{
	unsigned limit = child_self()->conf->deliver.connections, workers = 0;
	static struct rlimit files;
	struct worker *w;
	if (!files.rlim_cur && getrlimit(RLIMIT_NOFILE, &files))
		return limit;
	DL_FOREACH (links_workers(), w)
		workers++;
	rlim_t most = files.rlim_cur / 4 * 3 * (workers ? workers : 1);
	return most < limit ? (unsigned)most : limit;
}

/* leave_line - wherever it stands */
static void leave_line(struct pool *pool)
{
	struct crowd_place *place = &pool->place;
	if (place->line == LINE_NONE)
		return;
	DL_DELETE2(crowd.line[place->line], pool, place.prev, place.next);
	crowd.waiting[place->line]--;
	place->line = LINE_NONE;
}

/* join_line - at the end of the one it belongs to */
static void join_line(struct pool *pool)
{
	uint8_t line = pool->nconns ? LINE_MORE : LINE_FIRST;
	if (pool->place.line == line)
		return;
	leave_line(pool);
	pool->place.line = line;
	DL_APPEND2(crowd.line[line], pool, place.prev, place.next);
	crowd.waiting[line]++;
}

/* ask_to_leave - the longest idle one whose pool has nothing for it; false: there is none */
static bool ask_to_leave(void)
{
	struct conn *conn;
	for (unsigned i = 0; i < LOOK_AT && (conn = crowd.idle); i++) {
		if (!conn->pool->nready) {
			dispatch_close_conn(conn);
			return true;
		}
		DL_DELETE2(crowd.idle, conn, idle_prev, idle_next);
		DL_APPEND2(crowd.idle, conn, idle_prev, idle_next);
	}
	return false;
}

/* make_room - for as many as wait */
static void make_room(void)
{
	while (crowd.leaving < crowd.waiting[LINE_FIRST] + crowd.waiting[LINE_MORE] &&
	       ask_to_leave())
		;
}

/* crowd_admit - there is room and nobody waits for it, or its turn has come; else it waits */
bool crowd_admit(struct pool *pool)
{
	unsigned waiting = crowd.waiting[LINE_FIRST] + crowd.waiting[LINE_MORE];
	if (pool->site->ours)
		return true;
	if (crowd.count < crowd_limit() && (pool->place.called || !waiting)) {
		pool->place.called = false;
		return true;
	}
	join_line(pool);
	return false;
}

/* crowd_full - so many more than there may be that a probe has to wait too */
bool crowd_full(const struct pool *pool)
{
	return !pool->site->ours && crowd.count >= crowd_limit() / 4 * 5;
}

/* crowd_forget - it doesn't wait any more */
void crowd_forget(struct pool *pool)
{
	leave_line(pool);
}

/* crowd_enter - one more */
void crowd_enter(struct conn *conn)
{
	if (!conn->pool->site->ours)
		crowd.count++;
}

/* crowd_leave - one less */
void crowd_leave(struct conn *conn)
{
	crowd_busy(conn);
	if (conn->pool->site->ours)
		return;
	crowd.count--;
	if (conn->asked)
		crowd.leaving--;
	crowd_pump();
}

/* crowd_idle - it has no job */
void crowd_idle(struct conn *conn)
{
	if (conn->idle || conn->pool->site->ours)
		return;
	conn->idle = true;
	DL_APPEND2(crowd.idle, conn, idle_prev, idle_next);
}

/* crowd_busy - it has one, or is closing */
void crowd_busy(struct conn *conn)
{
	if (!conn->idle)
		return;
	conn->idle = false;
	DL_DELETE2(crowd.idle, conn, idle_prev, idle_next);
}

/* crowd_closing - it was asked to close */
void crowd_closing(struct conn *conn)
{
	crowd_busy(conn);
	if (conn->asked || conn->pool->site->ours)
		return;
	conn->asked = true;
	crowd.leaving++;
}

/* crowd_yield - somebody has none, it has several */
bool crowd_yield(const struct pool *pool)
{
	return crowd.leaving < crowd.waiting[LINE_FIRST] && pool->nconns > 1 && !pool->site->ours;
}

/* call - the next in line: one with no connection before one with some; false: nobody waits */
static bool call(void)
{
	struct pool *pool = crowd.line[LINE_FIRST];
	if (!pool)
		pool = crowd.line[LINE_MORE];
	if (!pool)
		return false;
	leave_line(pool);
	pool->place.called = true;
	dispatch_pool(pool);
	return true;
}

/* crowd_pump - those there is room for are called, and room is made for the others */
void crowd_pump(void)
{
	unsigned limit = crowd_limit();
	for (unsigned room = limit > crowd.count ? limit - crowd.count : 0; room > 0; room--) {
		if (!call())
			return;
	}
	make_room();
}
