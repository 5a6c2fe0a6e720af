/* SPDX-License-Identifier: ISC */
/*
 * Each stream has a client that is never told to close and carries any number of transactions.
 * Whichever of them is free asks for a job and gets the next one of the hops in turn. When a stream
 * ends its smtpd is gone (or has had enough), and master's LINK brings another.
 */
#include "deliver/notice.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "deliver/client.h"
#include "deliver/dsn.h"
#include "lib/child.h"
#include "lib/log.h"

#define NOTICE_REPLY_MS 60000 /* smtpd is next door: its sync is all that takes time */

/* A stream to an smtpd. */
struct outlet {
	struct outlet *prev, *next;
	struct client *client;
	bool ready;
};

/* A hop that qmgr opened for notices. */
struct inlet {
	struct inlet *prev, *next;
	struct hop *hop;
};

static struct outlet *outlets;
static struct inlet *inlets;

/* end_inlet - the hop is over */
static void end_inlet(struct inlet *inlet)
{
	struct hop *hop = inlet->hop;
	struct words words;
	DL_DELETE(inlets, inlet);
	free(inlet);
	words_set(&words, 0, "2.0.0", "closed");
	hop_closed(hop, OPEN_IDLE, &words);
}

/* feed_all - whoever is free may ask */
static void feed_all(void)
{
	struct outlet *outlet;
	DL_FOREACH (outlets, outlet) {
		client_feed(outlet->client);
	}
}

/* give_back - a notice is over */
static void give_back(struct job *job)
{
	struct hop *hop = job->hop;
	struct inlet *inlet = hop->carrier;
	hop_done(hop, job);
	if (hop->state == HOP_CLOSING && !hop->out)
		end_inlet(inlet);
}

/* on_next - compose the next notice of any hop, in turn */
static struct job *on_next(void *arg)
{
	struct inlet *inlet = inlets;
	struct job *job = NULL;
	(void)arg;
	DL_FOREACH (inlets, inlet) {
		if ((job = hop_next(inlet->hop)))
			break;
	}
	if (!job)
		return NULL;
	DL_DELETE(inlets, inlet);
	DL_APPEND(inlets, inlet);
	job_to_wire(job);
	const struct conf *conf = child_self()->conf;
	return dsn_compose(job, conf->hostname, conf->notice_size);
}

/*
 * on_done - smtpd's 250 is the only success. Even its 5xx is no end: a notice must not get lost,
 * and what smtpd refuses today it may take after the administrator has looked at the log.
 */
static void on_done(void *arg, struct job *carrier)
{
	struct job *job = carrier->reports;
	const struct job_end *end = &carrier->ends[0];
	(void)arg;
	job->began = carrier->began;
	if (end->decided && end->outcome == OUT_SENT)
		job_decide_rest(job, OUT_SENT, end->words);
	else if (end->decided && end->outcome != OUT_NOT_TRIED)
		job_decide_rest(job, OUT_DEFERRED, end->words);
	job_free(carrier);
	give_back(job);
}

/* on_ready - the smtpd behind it listens */
static void on_ready(void *arg)
{
	struct outlet *outlet = arg;
	struct inlet *inlet, *next;
	outlet->ready = true;
	DL_FOREACH_SAFE (inlets, inlet, next) {
		if (inlet->hop->state == HOP_OPENING)
			hop_opened(inlet->hop);
	}
}

/* on_ended - master brings another */
static void on_ended(void *arg, enum open_verdict why, const struct words *words)
{
	struct outlet *outlet = arg;
	log_debug(
	    "the stream to an smtpd ended (%d): %.*s", (int)why, (int)words->len, words->text);
	DL_DELETE(outlets, outlet);
	client_free(outlet->client);
	free(outlet);
}

void notice_link(int fd)
{
	static const struct client_ops ops = {
	    .ready = on_ready, .next = on_next, .done = on_done, .ended = on_ended};
	struct client_setup setup = {.hello = "localhost",
	    .reply_ms = NOTICE_REPLY_MS,
	    .pipelining = CONF_PIPELINING_RFC2920};
	struct outlet *outlet = calloc(1, sizeof(*outlet));
	if (!outlet)
		log_fatal("out of memory for a stream to an smtpd");
	outlet->client = client_adopt(&setup, fd, &ops, outlet);
	if (!outlet->client)
		log_fatal("out of memory for a stream to an smtpd");
	DL_APPEND(outlets, outlet);
}

void notice_drain(void)
{
	struct outlet *outlet;
	DL_FOREACH (outlets, outlet) {
		client_close(outlet->client);
	}
}

/* any_ready - whether some smtpd listens */
static bool any_ready(void)
{
	struct outlet *outlet;
	DL_FOREACH (outlets, outlet) {
		if (outlet->ready)
			return true;
	}
	return false;
}

/* notice_open - stands as soon as some smtpd listens */
static void notice_open(struct hop *hop, const struct msg_deliver_open *msg)
{
	struct inlet *inlet = calloc(1, sizeof(*inlet));
	(void)msg;
	if (!inlet)
		log_fatal("out of memory for a hop");
	inlet->hop = hop;
	hop->carrier = inlet;
	memcpy(hop->host, "smtpd", sizeof("smtpd"));
	DL_APPEND(inlets, inlet);
	if (any_ready())
		hop_opened(hop);
}

/* notice_feed - a job for whoever is free */
static void notice_feed(struct hop *hop)
{
	(void)hop;
	feed_all();
}

/* notice_close - what an smtpd is being told is told to the end */
static void notice_close(struct hop *hop)
{
	if (!hop->out)
		end_inlet(hop->carrier);
}

const struct hop_transport notice_transport = {
    .open = notice_open, .feed = notice_feed, .close = notice_close};
