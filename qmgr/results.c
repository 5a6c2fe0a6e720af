/* SPDX-License-Identifier: ISC */
/*
 * What deliver says of connections and jobs: the second half of qmgr/dispatch.h. A result that
 * names a connection of this run belongs to one of its jobs; one with connection 0 to a job that
 * an earlier qmgr gave out (qmgr/claims.h).
 */
#include <stdlib.h>
#include <string.h>

#include "lib/counters.h"
#include "lib/log.h"
#include "qmgr/batch.h"
#include "qmgr/claims.h"
#include "qmgr/dest.h"
#include "qmgr/dispatch.h"
#include "qmgr/links.h"
#include "qmgr/lookup.h"
#include "qmgr/message.h"
#include "qmgr/poison.h"
#include "qmgr/schedule.h"
#include "qmgr/segments.h"
#include "qmgr/settle.h"

static struct conn *conns;

/* conns_add - by number */
void conns_add(struct conn *conn)
{
	HASH_ADD(hh, conns, id, sizeof(conn->id), conn);
	if (!hash_added(conn))
		log_fatal("out of memory for a connection");
}

/* find - a connection of that worker */
static struct conn *find(const struct worker *worker, uint32_t id)
{
	struct conn *conn;
	HASH_FIND(hh, conns, &id, sizeof(id), conn);
	return conn && conn->worker == worker ? conn : NULL;
}

/* conn_gone - with all its jobs given back */
static void conn_gone(struct conn *conn)
{
	struct pool *pool = conn->pool;
	if (conn->state == CONN_OPENING)
		pool->site->opening--;
	dispatch_drop_jobs(conn);
	conn->worker->nconns--;
	pool->nconns--;
	pool->site->nconns--;
	HASH_DELETE(hh, conns, conn);
	free(conn->dest);
	free(conn);
}

/* trouble - a connection ended badly: the domain's, or the site's */
static void trouble(struct conn *conn, uint8_t verdict, uint16_t code, struct msg_bytes status,
    struct msg_bytes host, struct msg_bytes text)
{
	struct pool *pool = conn->pool;
	if (conn->dest && (verdict == OPEN_NO_DOMAIN || verdict == OPEN_NULL_MX) &&
	    pool->site->state == SITE_UP) {
		struct dest *dest = dest_find(conn->dest, strlen(conn->dest));
		conn_gone(conn);
		if (dest)
			lookup_refused(dest, verdict);
		return;
	}
	conn_gone(conn);
	site_failed(pool, verdict, code, status, host, text);
}

/* dispatch_opened - it stands, or why not */
void dispatch_opened(struct worker *worker, const struct msg_deliver_opened *m)
{
	struct conn *conn = find(worker, m->conn);
	if (!conn || conn->state != CONN_OPENING)
		return;
	if (m->verdict == OPEN_OK)
		dispatch_conn_open(conn);
	else
		trouble(conn, m->verdict, m->code, m->status, m->host, m->text);
}

/* dispatch_closed - it is gone */
void dispatch_closed(struct worker *worker, const struct msg_deliver_closed *m)
{
	struct conn *conn = find(worker, m->conn);
	if (!conn)
		return;
	struct pool *pool = conn->pool;
	if (m->verdict == OPEN_OK || m->verdict == OPEN_IDLE) {
		conn_gone(conn);
	} else if (conn->proved && m->verdict != OPEN_REFUSED && m->verdict != OPEN_TLS) {
		conn_gone(conn);
		if (m->verdict == OPEN_THROTTLED && pool->site->nconns)
			site_failed(pool, m->verdict, m->code, m->status, msg_str(""), m->text);
	} else {
		trouble(conn, m->verdict, m->code, m->status, msg_str(""), m->text);
	}
	dispatch_pool(pool);
}

/* job_of - the job that a result speaks of */
static struct job *job_of(struct conn *conn, const struct msg_deliver_result *m)
{
	struct job *job;
	DL_FOREACH (conn->jobs, job) {
		if (job->msg->offset == m->offset && job->msg->segment->name == m->segment &&
		    job->kind == m->kind)
			return job;
	}
	return NULL;
}

/* fewer - 452 4.5.3: so many at a time are too many for this site */
static void fewer(struct job *job, unsigned refused)
{
	struct conf_site *limits = &job->conn->pool->site->limits;
	if (refused && refused < job->nrcpts &&
	    job->nrcpts - refused < limits->recipients_per_message)
		limits->recipients_per_message = job->nrcpts - refused;
}

/* apply - one result of a job; *at is where the search for its number begins */
static void apply(
    struct job *job, unsigned *at, const struct job_result *result, const struct via *via)
{
	for (unsigned k = 0; k < job->nrcpts; k++) {
		unsigned i = (*at + k) % job->nrcpts;
		struct rcpt *rcpt = job->rcpts[i];
		if (!rcpt || rcpt->number != result->number)
			continue;
		*at = i + 1;
		job_leave(job, i);
		if (result->outcome == OUT_NOT_TRIED || result->outcome == OUT_TOO_MANY) {
			dispatch_give_back(rcpt);
			return;
		}
		poison_cleared(rcpt->msg);
		job->conn->proved = true;
		site_proved(job->conn->pool->site);
		settle_result(rcpt, result, via);
		return;
	}
}

/* apply_all - every result of the message */
static void apply_all(struct job *job, const struct msg_deliver_result *m)
{
	const struct via via = {.host = m->host,
	    .address = m->address,
	    .tls = m->tls,
	    .site = job->conn->pool->site->name,
	    .sent_ms = job->sent_ms,
	    .connect_ms = m->connect_ms,
	    .transfer_ms = m->transfer_ms,
	    .kind = m->kind};
	struct job_result result;
	size_t pos = 0;
	unsigned at = 0, too_many = 0;
	while (job_next_result(m->results, &pos, &result) == 1) {
		too_many += result.outcome == OUT_TOO_MANY;
		apply(job, &at, &result, &via);
	}
	fewer(job, too_many);
	if (!job->nleft)
		job_end(job);
}

/* dispatch_result - what became of a job's recipients */
void dispatch_result(struct worker *worker, const struct msg_deliver_result *m)
{
	struct segment *seg = segment_find(m->segment);
	if (!m->conn) {
		claims_result(worker, m);
		return;
	}
	/* Applied first: what it changes belongs to the transaction that batch_next() names. */
	unsettled_add(worker, m->seq, seg, m->offset, batch_next());
	struct conn *conn = find(worker, m->conn);
	struct job *job = conn ? job_of(conn, m) : NULL;
	if (job)
		apply_all(job, m); /* else its jobs were taken back when it closed */
	batch_result();
}

/* dispatch_worker_gone - its connections are gone, what they had may go elsewhere */
void dispatch_worker_gone(struct worker *worker)
{
	struct conn *conn, *tmp;
	HASH_ITER (hh, conns, conn, tmp) {
		if (conn->worker == worker)
			poison_seen(conn);
	}
	poison_judge(worker);
	HASH_ITER (hh, conns, conn, tmp) {
		if (conn->worker != worker)
			continue;
		struct pool *pool = conn->pool;
		conn_gone(conn);
		if (pool->site->state == SITE_PROBING && !pool->site->nconns)
			site_down(pool->site, "deliver ended");
		dispatch_pool(pool);
	}
}
