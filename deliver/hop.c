/* SPDX-License-Identifier: ISC */
/*
 * The table by number is for what qmgr says; a hop whose qmgr is gone leaves it and stays in the
 * list only, so that the next qmgr's numbers can't meet it.
 */
#include "deliver/hop.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "lib/clock.h"
#include "lib/counters.h"
#include "lib/events.h"
#include "lib/log.h"

static struct hop *table, *list;
static unsigned count;
static bool draining;
static struct chan *link_to_qmgr;

/* find - qmgr's connection */
static struct hop *find(uint32_t conn)
{
	struct hop *hop;
	HASH_FIND(hh, table, &conn, sizeof(conn), hop);
	return hop;
}

/* forget - out of the table: its number means nothing any more */
static void forget(struct hop *hop)
{
	if (hop->conn)
		HASH_DEL(table, hop);
	hop->conn = 0;
}

/* drop_queue - what waited comes back untouched, or is forgotten where nobody asks for it */
static void drop_queue(struct hop *hop)
{
	static const struct results_via nowhere = {.host = "", .address = "", .tls = ""};
	struct job *job, *next;
	DL_FOREACH_SAFE (hop->queue, job, next) {
		DL_DELETE(hop->queue, job);
		if (hop->conn)
			results_report(job, &nowhere);
		else
			job_free(job);
	}
	hop->queued = 0;
}

/* free_hop - the last of it */
static void free_hop(struct hop *hop)
{
	forget(hop);
	DL_DELETE(list, hop);
	count--;
	counter_sub(C_deliver_connections_open, hop->counted);
	free(hop);
}

/* transport_of - who carries it, NULL for a number that no transport has */
static const struct hop_transport *transport_of(unsigned transport)
{
	switch (transport) {
	case TRANSPORT_SMTP:
	case TRANSPORT_LMTP:
		return &dial_transport;
	case TRANSPORT_LOCAL:
		return &handover_transport;
	case TRANSPORT_NOTICE:
		return &notice_transport;
	case TRANSPORT_DISCARD:
		return &discard_transport;
	default:
		return NULL;
	}
}

/* refuse_open - no hop can be made of it */
static void refuse_open(const struct msg_deliver_open *msg, const char *text)
{
	if (link_to_qmgr)
		CHAN_SEND(link_to_qmgr, deliver_opened, .conn = msg->conn,
		    .verdict = OPEN_LOCAL_LIMIT, .host = msg_str(""), .address = msg_str(""),
		    .status = msg_str("4.3.0"), .text = msg_str(text));
}

void hop_open(const struct msg_deliver_open *msg)
{
	const struct hop_transport *transport = transport_of(msg->transport);
	if (draining) {
		refuse_open(msg, "deliver is ending");
		return;
	}
	if (!transport || !msg->conn || find(msg->conn)) {
		refuse_open(msg, "OPEN makes no sense");
		return;
	}
	struct hop *hop = calloc(1, sizeof(*hop));
	if (!hop) {
		refuse_open(msg, "out of memory");
		return;
	}
	hop->conn = msg->conn;
	hop->transport = transport;
	hop->asked = clock_ms();
	HASH_ADD(hh, table, conn, sizeof(hop->conn), hop);
	if (!hash_added(hop)) {
		free(hop);
		refuse_open(msg, "out of memory");
		return;
	}
	DL_APPEND(list, hop);
	count++;
	transport->open(hop, msg);
}

void hop_job(const struct msg_deliver_job *msg)
{
	struct hop *hop = find(msg->conn);
	struct job *job;
	/* CLOSED and this JOB may have crossed. */
	if (!hop || hop->state == HOP_CLOSING) {
		results_refuse(msg, OUT_NOT_TRIED, "the connection is closed");
		return;
	}
	int rc = job_new(msg, &job);
	if (rc < 0) {
		log_warnc(rc, "job %llu refused", (unsigned long long)msg->id);
		results_refuse(msg, rc == -EBADMSG ? OUT_DAMAGED : OUT_DEFERRED,
		    rc == -EBADMSG ? "the stored envelope is damaged"
				   : "deliver could not take the job");
		return;
	}
	job->hop = hop;
	DL_APPEND(hop->queue, job);
	hop->queued++;
	if (hop->state == HOP_OPEN)
		hop->transport->feed(hop);
}

/* finish - no more jobs; it closes when what was taken is over */
static void finish(struct hop *hop)
{
	drop_queue(hop);
	if (hop->state == HOP_CLOSING)
		return;
	hop->state = HOP_CLOSING;
	hop->transport->close(hop);
}

void hop_close(uint32_t conn)
{
	struct hop *hop = find(conn);
	if (hop)
		finish(hop);
}

void hops_drain(void)
{
	struct hop *hop, *next;
	draining = true;
	DL_FOREACH_SAFE (list, hop, next) {
		finish(hop);
	}
}

void hops_link(struct chan *qmgr)
{
	struct hop *hop, *next;
	link_to_qmgr = qmgr;
	if (qmgr)
		return;
	DL_FOREACH (list, hop) {
		forget(hop);
	}
	DL_FOREACH_SAFE (list, hop, next) {
		finish(hop);
	}
}

unsigned hops_count(void)
{
	return count;
}

struct chan *hops_qmgr(void)
{
	return link_to_qmgr;
}

void hop_opened(struct hop *hop)
{
	hop->connect_ms = (uint32_t)(clock_ms() - hop->asked);
	if (hop->state == HOP_CLOSING)
		return;
	hop->state = HOP_OPEN;
	hop->counted = hop->transport == &dial_transport;
	counter_add(C_deliver_connections, hop->counted);
	counter_add(C_deliver_connections_open, hop->counted);
	EVENT_PUT(CONNECTED, .value = hop->conn, .what = msg_str(hop->host),
	    .words = msg_str(hop->tls[0] ? hop->tls : hop->address));
	if (hop->conn)
		CHAN_SEND(link_to_qmgr, deliver_opened, .conn = hop->conn, .verdict = OPEN_OK,
		    .host = msg_str(hop->host), .address = msg_str(hop->address),
		    .status = msg_str(""), .text = msg_str(""));
	if (hop->queue)
		hop->transport->feed(hop);
}

void hop_failed(struct hop *hop, enum open_verdict verdict, const struct words *words)
{
	counter_add(C_deliver_connects_failed, hop->transport == &dial_transport);
	EVENT_PUT(UNCONNECTED, .value = hop->conn, .code = words->code, .what = msg_str(hop->host),
	    .words = msg_bytes(words->text, words->len));
	if (hop->conn)
		CHAN_SEND(link_to_qmgr, deliver_opened, .conn = hop->conn, .verdict = verdict,
		    .host = msg_str(hop->host), .address = msg_str(hop->address),
		    .code = words->code, .status = msg_str(words->status),
		    .text = msg_bytes(words->text, words->len));
	drop_queue(hop);
	free_hop(hop);
}

struct job *hop_next(struct hop *hop)
{
	struct job *job = hop->queue;
	if (!job)
		return NULL;
	DL_DELETE(hop->queue, job);
	hop->queued--;
	hop->out++;
	return job;
}

void hop_done(struct hop *hop, struct job *job)
{
	struct results_via via = {.host = hop->host,
	    .address = hop->address,
	    .tls = hop->tls,
	    .connect_ms = hop->connect_ms,
	    .window = hop->window};
	hop->connect_ms = 0;
	hop->out--;
	results_report(job, &via);
}

void hop_closed(struct hop *hop, enum open_verdict verdict, const struct words *words)
{
	drop_queue(hop);
	if (hop->conn)
		CHAN_SEND(link_to_qmgr, deliver_closed, .conn = hop->conn, .verdict = verdict,
		    .code = words->code, .status = msg_str(words->status),
		    .text = msg_bytes(words->text, words->len), .ahead = hop->ahead);
	free_hop(hop);
}

/* -- nowhere ------------------------------------------------------------------------------- */

/* discard_open - always there */
static void discard_open(struct hop *hop, const struct msg_deliver_open *msg)
{
	(void)msg;
	hop_opened(hop);
}

/* discard_feed - every job is a success */
static void discard_feed(struct hop *hop)
{
	struct words words;
	struct job *job;
	words_set(&words, 250, "2.0.0", "discarded");
	while ((job = hop_next(hop))) {
		job->began = clock_ms();
		job_decide_rest(job, OUT_SENT, &words);
		hop_done(hop, job);
	}
}

/* discard_close - nothing to finish */
static void discard_close(struct hop *hop)
{
	struct words words;
	words_set(&words, 0, "2.0.0", "closed");
	hop_closed(hop, OPEN_IDLE, &words);
}

const struct hop_transport discard_transport = {
    .open = discard_open, .feed = discard_feed, .close = discard_close};
