/* SPDX-License-Identifier: ISC */
/*
 * All feeding happens at the end of a turn, once a pool: so recipients that one turn brought are
 * grouped, and what goes to a worker is one packet. Among the connections of a pool the one with
 * the fewest jobs is fed first; a new one is opened while something waits and none is without a
 * job. Whose turn it is is the business of qmgr/turns.h.
 */
#include "qmgr/dispatch.h"

#include <stdlib.h>
#include <string.h>

#include "lib/child.h"
#include "lib/counters.h"
#include "lib/log.h"
#include "lib/loop.h"
#include "qmgr/batch.h"
#include "qmgr/class.h"
#include "qmgr/dest.h"
#include "qmgr/fallback.h"
#include "qmgr/jobs.h"
#include "qmgr/links.h"
#include "qmgr/mailbox.h"
#include "qmgr/message.h"
#include "qmgr/now.h"
#include "qmgr/poison.h"
#include "qmgr/schedule.h"
#include "qmgr/segments.h"
#include "qmgr/settle.h"
#include "qmgr/steps.h"
#include "qmgr/trace.h"
#include "qmgr/turns.h"

#define RCPTS_ROOM 56000 /* bytes of a job's recipients */

static void kick(struct loop_task *task);

static struct {
	bool open;
	struct pool *kicked;
	struct pool *held;
	struct loop_task task;
	unsigned jobs;
} d = {.task = {.run = kick}};

/* dispatch_jobs - under way */
unsigned dispatch_jobs(void)
{
	return d.jobs;
}

/* -- connections and their places in the pool's lists */

/* list_of - the list of its number of jobs */
static struct conn **list_of(struct conn *conn)
{
	return &conn->pool->conns[conn->njobs < POOL_WINDOW ? conn->njobs : POOL_WINDOW];
}

/* unlist - out of the list of its number of jobs */
static void unlist(struct conn *conn)
{
	if (conn->listed)
		DL_DELETE(*list_of(conn), conn);
	conn->listed = false;
	crowd_busy(conn);
}

/* enlist - where one with its number of jobs belongs, if it may get more */
static void enlist(struct conn *conn)
{
	uint32_t max = conn->pool->site->limits.messages_per_connection;
	bool more = conn->state == CONN_OPEN && (!max || conn->given < max);
	if (more)
		DL_APPEND(*list_of(conn), conn);
	conn->listed = more;
	if (more && !conn->njobs)
		crowd_idle(conn);
}

/* hold - its connections have room, but what becomes of jobs has to be written first */
static void hold(struct pool *pool)
{
	if (!pool->held)
		DL_APPEND2(d.held, pool, held_prev, held_next);
	pool->held = true;
}

/* has_credit - whether the worker may have another job or result that isn't settled */
static bool has_credit(const struct worker *w)
{
	return w->njobs + unsettled_count(w) < WORKER_CREDIT;
}

/* emptiest - the connection with the fewest jobs that may get another one now */
static struct conn *emptiest(struct pool *pool)
{
	unsigned window = site_window(pool->site),
		 lists = pool->wide ? POOL_WINDOW + 1 : POOL_WINDOW;
	struct conn *conn;
	for (unsigned i = 0; i < window && i < lists; i++) {
		DL_FOREACH (pool->conns[i], conn) {
			if (conn->njobs >= conn->window)
				continue;
			bool full = batch_full();
			if (!full && has_credit(conn->worker))
				return conn;
			hold(pool);
			if (full)
				return NULL;
		}
	}
	return NULL;
}

/* -- jobs */

/* can_go - whether it can be sent now; else it is put where it waits */
static bool can_go(struct rcpt *rcpt)
{
	struct dest *dest = rcpt->dest;
	struct segment *seg = rcpt->msg->segment;
	if (seg->file == FILE_OPEN)
		return dest->pool->transport != TRANSPORT_LOCAL || mailbox_take(rcpt);
	dest_remove(dest, rcpt);
	if (seg->file == FILE_LOST) {
		settle_deferred(rcpt, "4.3.0", "its segment can't be opened");
		seg->file = FILE_NONE; /* the next attempt tries again */
		return false;
	}
	rcpt_enter(rcpt, RCPT_OPENING);
	DL_APPEND(seg->opening, rcpt);
	segment_want_file(seg);
	return false;
}

#define JOB_RCPTS_MAX 1000

/* give - the pool's next job to a connection; false when there is none now */
static bool give(struct pool *pool, struct conn *conn)
{
	static struct rcpt *rcpts[JOB_RCPTS_MAX];
	static unsigned char room[RCPTS_ROOM];
	struct job_list list;
	struct rcpt *first = turns_first(pool);
	unsigned max = pool->site->limits.recipients_per_message;
	if (pool->transport == TRANSPORT_LOCAL)
		max = 1;
	else if (pool->transport == TRANSPORT_NOTICE)
		max = JOB_RCPTS_MAX;
	if (!can_go(first))
		return false;
	job_list_init(&list, room, sizeof(room));
	unsigned n = jobs_fill(first, rcpts, max < JOB_RCPTS_MAX ? max : JOB_RCPTS_MAX, &list);
	if (!n)
		log_bug("a recipient doesn't fit into a job");
	turns_used(pool, first, n);
	struct job *job = calloc(1, sizeof(*job) + n * sizeof(struct rcpt *));
	if (!job)
		log_fatal("out of memory for a job");
	job->conn = conn;
	job->msg = rcpts[0]->msg;
	job->kind = jobs_kind(pool->transport);
	job->sent_ms = now_ms();
	job->nrcpts = job->nleft = n;
	for (unsigned i = 0; i < n; i++) {
		job->rcpts[i] = rcpts[i];
		dest_remove(rcpts[i]->dest, rcpts[i]);
		rcpt_enter(rcpts[i], RCPT_FLYING);
		rcpts[i]->job = job;
	}
	unlist(conn);
	DL_APPEND(conn->jobs, job);
	conn->njobs++;
	conn->given++;
	enlist(conn);
	conn->worker->njobs++;
	pool->site->flying += n;
	site_rate_take(pool);
	d.jobs++;
	counter_add(C_queue_jobs, 1);
	counter_add(C_queue_active, n);
	trace_handed(job);
	jobs_send(job, &list);
	if (first->dest->nready < REFILL_LOW)
		schedule_refill(first->dest);
	return true;
}

/* -- feeding */

/* choose_worker - the one with the fewest connections */
static struct worker *choose_worker(void)
{
	struct worker *best = NULL, *w;
	DL_FOREACH (links_workers(), w) {
		if (w->told && (!best || w->nconns < best->nconns))
			best = w;
	}
	return best;
}

/* domain_dest - for whose domain a connection of an MX pool is opened */
static struct dest *domain_dest(struct pool *pool)
{
	const struct rcpt *first = turns_first(pool);
	return first ? first->dest : pool->dests;
}

/* open_conn - one more connection, to one of the pool's hosts */
static bool open_conn(struct pool *pool, uint8_t target, bool scout)
{
	static uint32_t last;
	struct worker *w = choose_worker();
	struct dest *dest = pool->by_mx ? domain_dest(pool) : NULL;
	const struct site_limits *limits = &pool->site->limits;
	struct target none = {.host = "", .port = (uint16_t)child_self()->conf->deliver.port};
	const struct target *t = pool->ntargets ? &pool->targets[target] : &none;
	if (!d.open || !w || (pool->by_mx && !dest) || crowd_full(pool))
		return false;
	struct conn *conn = calloc(1, sizeof(*conn));
	if (!conn)
		log_fatal("out of memory for a connection");
	conn->id = ++last ? last : ++last; /* 0 says: of an earlier qmgr */
	conn->state = CONN_OPENING;
	conn->worker = w;
	conn->pool = pool;
	conn->target = target;
	conn->scout = scout;
	pool->scouts += scout;
	conn->window = pool->transport == TRANSPORT_LOCAL ? 1 : POOL_WINDOW;
	conn->dest = dest ? strdup(dest->name) : NULL;
	conns_add(conn);
	crowd_enter(conn);
	w->nconns++;
	pool->nconns++;
	pool->site->nconns++;
	pool->site->opening += !scout;
	struct msg_bytes host =
	    dest ? (struct msg_bytes){.data = dest->name, .len = dest->domain_len}
		 : msg_str(t->host);
	trace_connecting(conn, host);
	CHAN_SEND(w->chan, deliver_open, .conn = conn->id, .transport = (uint8_t)pool->transport,
	    .by_mx = pool->by_mx, .host = host, .port = t->port, .tls = pool->tls,
	    .implicit_tls = t->implicit_tls, .credential = msg_str(pool->credential),
	    .source = msg_str(pool->source), .site = msg_str(pool->site->name),
	    .connect_ms = limits->connect_timeout, .reply_ms = limits->reply_timeout,
	    .idle_ms = limits->idle, .max_messages = limits->messages_per_connection,
	    .pipelining = steps_pipelining(pool->site), .ipv4 = pool->site->ipv4_until > now_ms());
	return true;
}

/* dispatch_open - to the host in use */
bool dispatch_open(struct pool *pool)
{
	return open_conn(pool, pool->target, false);
}

/* dispatch_scout - to the first one */
bool dispatch_scout(struct pool *pool)
{
	return open_conn(pool, 0, true);
}

/* dispatch_close_conn - it finishes what is on the wire */
void dispatch_close_conn(struct conn *conn)
{
	unlist(conn);
	crowd_closing(conn);
	conn->state = CONN_CLOSING;
	CHAN_SEND(conn->worker->chan, deliver_close, .conn = conn->id);
}

/* dispatch_close - the one with the fewest jobs */
bool dispatch_close(struct pool *pool)
{
	struct conn *conn = NULL;
	for (unsigned i = 0; !conn && i <= POOL_WINDOW; i++)
		conn = pool->conns[i];
	if (conn)
		dispatch_close_conn(conn);
	return conn;
}

/* feed - jobs as long as there are recipients and places, then perhaps one more connection */
static void feed(struct pool *pool)
{
	struct conn *conn = NULL;
	if (crowd_yield(pool))
		dispatch_close(pool);
	fallback_look(pool);
	while (pool->nready && (conn = emptiest(pool)) && site_rate_ready(pool->site))
		give(pool, conn);
	if (!pool->nready || pool->conns[0])
		return;
	if (!site_may_open(pool->site, turns_has(pool, class_urgent())))
		site_make_room(pool);
	else if (site_rate_ready(pool->site) && crowd_admit(pool))
		dispatch_open(pool);
}

/* kick - the end of the turn */
static void kick(struct loop_task *task)
{
	(void)task;
	while (d.kicked) {
		struct pool *pool = d.kicked;
		d.kicked = pool->kick_next;
		pool->kicked = false;
		if (d.open) {
			feed(pool);
			trace_pool(pool);
		}
		if (!pool->nconns && !pool->nready)
			site_forget(pool->site); /* the pool with it */
		if (!d.kicked)
			crowd_pump();
	}
}

/* dispatch_pool - look at it at the end of this turn */
void dispatch_pool(struct pool *pool)
{
	if (pool->kicked)
		return;
	pool->kicked = true;
	pool->kick_next = d.kicked;
	d.kicked = pool;
	loop_defer(&d.task);
}

/* dispatch_all - every pool */
void dispatch_all(void)
{
	struct site *site;
	for (site = site_first(); site; site = site->hh.next) {
		for (struct pool *pool = site->pools; pool; pool = pool->next) {
			if (pool->nready)
				dispatch_pool(pool);
		}
	}
}

/* dispatch_forget - out of the lists */
void dispatch_forget(struct pool *pool)
{
	if (pool->held)
		DL_DELETE2(d.held, pool, held_prev, held_next);
	pool->held = false;
}

/* dispatch_held - from the last one, for kick() begins with who was put there last */
void dispatch_held(void)
{
	while (d.held) {
		struct pool *pool = d.held->held_prev;
		dispatch_forget(pool);
		dispatch_pool(pool);
	}
}

/* dispatch_start - jobs may be given out */
void dispatch_start(void)
{
	d.open = true;
	dispatch_all();
}

/* dispatch_stop - no more */
void dispatch_stop(void)
{
	d.open = false;
}

/* -- what comes back */

/* job_leave - one recipient less; its mailbox is free */
void job_leave(struct job *job, unsigned i)
{
	struct rcpt *rcpt = job->rcpts[i];
	job->rcpts[i] = NULL;
	job->nleft--;
	rcpt->job = NULL;
	job->conn->pool->site->flying--;
	counter_sub(C_queue_active, 1);
	rcpt_enter(rcpt, RCPT_NEW);
	if (job->kind == JOB_LOCAL)
		mailbox_free(rcpt->user);
}

/* give_back - not tried: it keeps its turn */
void dispatch_give_back(struct rcpt *rcpt)
{
	if (rcpt->order || dest_parked(rcpt->dest) || !rcpt->windowed)
		schedule_place(rcpt);
	else if (!poison_hold(rcpt))
		dest_push_front(rcpt->dest, rcpt);
}

/* job_end - all its recipients are settled */
void job_end(struct job *job)
{
	struct conn *conn = job->conn;
	unlist(conn);
	DL_DELETE(conn->jobs, job);
	conn->njobs--;
	enlist(conn);
	conn->worker->njobs--;
	if (!job->tried)
		site_rate_back(conn->pool->site);
	d.jobs--;
	free(job);
	dispatch_pool(conn->pool);
}

/* job_drop - none of what is left was tried */
static void job_drop(struct job *job)
{
	for (unsigned i = job->nrcpts; i-- > 0;) { /* from the end: the front is pushed last */
		struct rcpt *rcpt = job->rcpts[i];
		if (!rcpt)
			continue;
		job_leave(job, i);
		dispatch_give_back(rcpt);
	}
	job_end(job);
}

/* dispatch_drop_jobs - all of a connection, the last one first */
void dispatch_drop_jobs(struct conn *conn)
{
	conn->state = CONN_CLOSING;
	while (conn->jobs)
		job_drop(conn->jobs->prev);
	unlist(conn);
}

/* conn_opened - it takes jobs from now on */
void dispatch_conn_open(struct conn *conn)
{
	conn->state = CONN_OPEN;
	conn->pool->site->opening -= !conn->scout;
	fallback_opened(conn);
	if (conn->pool->site->state == SITE_DOWN) { /* it was parked meanwhile */
		dispatch_close_conn(conn);
		return;
	}
	enlist(conn);
	site_opened(conn->pool);
	dispatch_pool(conn->pool);
}

/* dispatch_segment_opened - recipients that waited for the file */
void dispatch_segment_opened(struct segment *seg)
{
	while (seg->opening) {
		struct rcpt *rcpt = seg->opening;
		DL_DELETE(seg->opening, rcpt);
		rcpt_enter(rcpt, RCPT_NEW);
		if (seg->file == FILE_LOST)
			settle_deferred(rcpt, "4.3.0", "its segment can't be opened");
		else
			schedule_place(rcpt);
	}
}
