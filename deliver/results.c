/* SPDX-License-Identifier: ISC */
/*
 * A list in the order of seq; COMMITTED takes from its head. Each entry is one allocation that
 * holds the row's texts and the encoded list, so that sending again is sending the same bytes.
 */
#include "deliver/results.h"

#include <stdlib.h>
#include <string.h>

#include "lib/clock.h"
#include "lib/counters.h"
#include "lib/hash.h"
#include "lib/log.h"

/* Of the row's maximum, what host, address, tls and the numbers leave for the list. */
#define RESULTS_LIST_MAX (56u << 10)

struct kept {
	struct kept *next;
	struct msg_deliver_result msg;
};

static struct kept *head, *tail;
static unsigned kept_count;
static uint64_t last_seq;
static struct chan *link_to_qmgr;

/* send - one result over the link there is; a broken link is replaced, and then all come again */
static void send(struct kept *kept)
{
	if (link_to_qmgr)
		chan_send(link_to_qmgr, MSG_deliver_result, &kept->msg);
}

/* copy - text behind what is there */
static struct msg_bytes copy(char **to, const void *data, size_t len)
{
	struct msg_bytes text = {.data = *to, .len = (uint32_t)len};
	if (len)
		memcpy(*to, data, len);
	*to += len;
	return text;
}

/* keep - number a result, put it into the list, send it */
static void keep(
    const struct msg_deliver_result *msg, const struct results_via *via, struct msg_bytes results)
{
	size_t host = strlen(via->host), address = strlen(via->address), tls = strlen(via->tls);
	struct kept *kept = malloc(sizeof(*kept) + host + address + tls + results.len);
	if (!kept)
		log_fatal("out of memory for a result");
	char *text = (char *)(kept + 1);
	kept->next = NULL;
	kept->msg = *msg;
	kept->msg.seq = ++last_seq;
	kept->msg.connect_ms = via->connect_ms;
	kept->msg.window = via->window;
	kept->msg.host = copy(&text, via->host, host);
	kept->msg.address = copy(&text, via->address, address);
	kept->msg.tls = copy(&text, via->tls, tls);
	kept->msg.results = copy(&text, results.data, results.len);
	if (tail)
		tail->next = kept;
	else
		head = kept;
	tail = kept;
	kept_count++;
	send(kept);
}

/* put - one recipient's end into the list */
static int put(struct job_list *list, const struct job *job, const struct job_end *end)
{
	const struct words *words = end->words;
	struct job_result result = {.number = end->rcpt.number,
	    .outcome = end->outcome,
	    .passed = job->passed,
	    .members = end->members};
	if (words) {
		result.code = words->code;
		result.status = msg_str(words->status);
		result.text = msg_bytes(words->text, words->len);
	} else {
		result.status = msg_str("");
		result.text = msg_str("");
	}
	return job_put_result(list, &result);
}

/* count - what became of a job, for the figures */
static void count(const struct job *job)
{
	static const enum counter of[] = {[OUT_SENT] = C_deliver_sent,
	    [OUT_DEFERRED] = C_deliver_deferred,
	    [OUT_FAILED] = C_deliver_failed,
	    [OUT_DAMAGED] = C_deliver_damaged};
	unsigned tried = 0, sent = 0;
	for (uint32_t i = 0; i < job->nends; i++) {
		enum outcome end = job->ends[i].outcome;
		if (end == OUT_NOT_TRIED || end == OUT_TOO_MANY || end == OUT_EXPANDED)
			continue;
		tried++;
		sent += end == OUT_SENT;
		counter_add(of[end], 1);
	}
	if (tried)
		counter_add(C_deliver_transactions, 1);
	if (sent)
		counter_add(C_deliver_bytes_sent, job->plain_len);
}

void results_report(struct job *job, const struct results_via *via)
{
	static unsigned char buf[RESULTS_LIST_MAX];
	struct msg_deliver_result msg = {.conn = job->conn,
	    .kind = job->kind,
	    .segment = segment_name(job->segment),
	    .offset = job->offset,
	    .transfer_ms = job->began ? (uint32_t)(clock_ms() - job->began) : 0};
	struct job_list list;
	count(job);
	job_list_init(&list, buf, sizeof(buf));
	for (uint32_t i = 0; i < job->nends; i++) {
		if (put(&list, job, &job->ends[i]) == 0)
			continue;
		keep(&msg, via, job_list_bytes(&list));
		job_list_init(&list, buf, sizeof(buf));
		if (put(&list, job, &job->ends[i]) < 0)
			log_bug("a result of one recipient doesn't fit into a list");
	}
	keep(&msg, via, job_list_bytes(&list));
	job_free(job);
}

void results_refuse(const struct msg_deliver_job *job, enum outcome outcome, const char *text)
{
	static unsigned char buf[RESULTS_LIST_MAX];
	static const struct results_via nowhere = {.host = "", .address = "", .tls = ""};
	struct msg_deliver_result msg = {
	    .conn = job->conn, .kind = job->kind, .segment = job->segment, .offset = job->offset};
	struct job_list list;
	struct job_rcpt rcpt;
	size_t pos = 0;
	job_list_init(&list, buf, sizeof(buf));
	while (job_next_rcpt(job->recipients, &pos, &rcpt) == 1) {
		struct job_result result = {.number = rcpt.number,
		    .outcome = outcome,
		    .status = msg_str("4.3.0"),
		    .text = msg_str(text)};
		if (job_put_result(&list, &result) == 0)
			continue;
		keep(&msg, &nowhere, job_list_bytes(&list));
		job_list_init(&list, buf, sizeof(buf));
		job_put_result(&list, &result);
	}
	keep(&msg, &nowhere, job_list_bytes(&list));
}

void results_committed(uint64_t seq)
{
	while (head && head->msg.seq <= seq) {
		struct kept *done = head;
		head = done->next;
		if (!head)
			tail = NULL;
		kept_count--;
		free(done);
	}
}

void results_link(struct chan *qmgr)
{
	link_to_qmgr = qmgr;
	if (!qmgr)
		return;
	for (struct kept *kept = head; kept; kept = kept->next) {
		kept->msg.conn = 0;
		send(kept);
	}
}

unsigned results_kept(void)
{
	return kept_count;
}
