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
#include "qmgr/fallback.h"
#include "qmgr/keep.h"
#include "qmgr/links.h"
#include "qmgr/lookup.h"
#include "qmgr/message.h"
#include "qmgr/poison.h"
#include "qmgr/schedule.h"
#include "qmgr/segments.h"
#include "qmgr/settle.h"
#include "qmgr/steps.h"

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
		pool->site->opening -= !conn->scout;
	pool->scouts -= conn->scout;
	dispatch_drop_jobs(conn);
	crowd_leave(conn);
	conn->worker->nconns--;
	pool->nconns--;
	pool->site->nconns--;
	HASH_DELETE(hh, conns, conn);
	free(conn->dest);
	free(conn);
	site_conn_gone(pool->site);
}

/* trouble - a connection ended badly: the domain's, or the site's */
static void trouble(struct conn *conn, uint8_t verdict, uint16_t code, struct msg_bytes status,
    struct msg_bytes host, struct msg_bytes text)
{
	struct pool *pool = conn->pool;
	if (conn->dest &&
	    (verdict == OPEN_NO_DOMAIN || verdict == OPEN_NULL_MX || verdict == OPEN_LOOP)) {
		struct dest *dest = dest_find(conn->dest, strlen(conn->dest));
		conn_gone(conn);
		if (dest)
			lookup_refused(dest, verdict);
		return;
	}
	bool lone = fallback_lone(conn);
	conn_gone(conn);
	if (verdict == OPEN_NO_IPV6) {
		site_refuses_ipv6(pool, host, text);
		return;
	}
	if (lone) {
		site_set_trouble(pool->site, site_verdict_name(verdict), code, status, host, text);
		fallback_failed(pool);
		return;
	}
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

/* broke - in the middle of a session that stood: 421, lost, timed out */
static void broke(struct conn *conn, const struct msg_deliver_closed *m)
{
	struct site *site = conn->pool->site;
	conn_gone(conn);
	site_set_trouble(site, m->verdict == OPEN_THROTTLED ? "throttled" : "lost", m->code,
	    m->status, msg_str(""), m->text);
	site_trouble(site, THROTTLE_SESSION);
}

/* dispatch_closed - it is gone */
void dispatch_closed(struct worker *worker, const struct msg_deliver_closed *m)
{
	struct conn *conn = find(worker, m->conn);
	if (!conn)
		return;
	struct pool *pool = conn->pool;
	steps_heard(pool->site, m->ahead);
	if (m->verdict == OPEN_OK || m->verdict == OPEN_IDLE)
		conn_gone(conn);
	else if (m->verdict == OPEN_LOST || (m->verdict == OPEN_THROTTLED && conn->proved))
		broke(conn, m);
	else
		trouble(conn, m->verdict, m->code, m->status, msg_str(""), m->text);
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

/* What the results of one job say of the site. */
struct tally {
	unsigned accepted, answered, trouble, refusals, too_many;
	bool one_domain;
	struct job_result words; /* of the trouble */
};

/* names_domains - whether a reply wants one domain a transaction */
static bool names_domains(struct msg_bytes text)
{
	static const char phrase[] = "multiple destination domains";
	for (size_t i = 0; i + sizeof(phrase) - 1 <= text.len; i++)
		if (!strncasecmp(text.data + i, phrase, sizeof(phrase) - 1))
			return true;
	return false;
}

/* count - one more result */
static void count(struct tally *t, const struct job_result *result)
{
	bool refusal;
	if (result->outcome == OUT_SENT) {
		t->accepted++;
	} else if (result->outcome == OUT_TOO_MANY) {
		t->too_many++;
		t->one_domain = t->one_domain || names_domains(result->text);
	} else if (result->outcome == OUT_DEFERRED &&
		   throttle_is_trouble(result->code, result->status, result->text, &refusal)) {
		t->trouble++;
		t->refusals += refusal;
		t->words = *result;
	} else if (result->code) {
		t->answered++; /* without a code they are words of ours */
	}
}

/* fewer - 452 4.5.3: so many at a time are too many for this site */
static void fewer(const struct job *job, const struct tally *t)
{
	struct site *site = job->conn->pool->site;
	unsigned fits = job->nrcpts - t->too_many;
	if (t->one_domain) {
		site->one_domain = true;
		keep_changed(site);
	} else if (t->too_many && fits && fits < site->limits.recipients_per_message) {
		site->fewer = fits;
		site->limits.recipients_per_message = fits;
		keep_changed(site);
	}
}

/* judge - what the site made of a transaction */
static void judge(struct conn *conn, const struct tally *t, struct msg_bytes host)
{
	struct site *site = conn->pool->site;
	if (t->accepted || t->answered) {
		conn->proved = true;
		site_proved(site);
	}
	if (t->accepted)
		site_accepted(site);
	if (t->accepted || t->answered || !t->trouble)
		return; /* a trouble among others is that recipient's own */
	if (t->refusals == t->trouble && ++site->throttle.refusals < THROTTLE_REFUSALS)
		return;
	site_set_trouble(site, "throttled", t->words.code, t->words.status, host, t->words.text);
	site_trouble(site, THROTTLE_SESSION);
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
		job->tried = job->tried || result->outcome != OUT_NOT_TRIED;
		if (result->outcome == OUT_NOT_TRIED || result->outcome == OUT_TOO_MANY) {
			dispatch_give_back(rcpt);
			return;
		}
		poison_cleared(rcpt->msg);
		settle_result(rcpt, result, via);
		return;
	}
}

/* widen - many messages are in flight there: more jobs are of use */
static void widen(struct conn *conn, uint8_t window)
{
	if (window <= conn->window || conn->pool->transport != TRANSPORT_SMTP)
		return;
	conn->window = window < POOL_WINDOW_WIDE ? window : POOL_WINDOW_WIDE;
	conn->pool->wide = conn->pool->wide || conn->window > POOL_WINDOW;
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
	    .kind = m->kind,
	    .lmtp = job->conn->pool->transport == TRANSPORT_LMTP};
	struct job_result result;
	struct tally tally = {0};
	size_t pos = 0;
	unsigned at = 0;
	while (job_next_result(m->results, &pos, &result) == 1) {
		count(&tally, &result);
		apply(job, &at, &result, &via);
	}
	widen(job->conn, m->window);
	fewer(job, &tally);
	judge(job->conn, &tally, m->host);
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
		dispatch_pool(pool);
	}
}
