/* SPDX-License-Identifier: ISC */
/*
 * The copy of a job is laid out as: struct job, its ends, then all text of the message. Addresses
 * are checked again although smtpd did so: what goes into a command line to a peer must not hold
 * a line end, whoever sent it here.
 */
#include "deliver/jobs.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "lib/hash.h"
#include "lib/log.h"
#include "lib/record.h"

#define INFLIGHT_LIST_MAX (56u << 10) /* of the row's maximum */

/* A reply kept for the ends that point to it; only as long as its text. */
struct job_words {
	struct job_words *next;
	struct words words;
};

static struct job *wire;
static unsigned wire_count;

/* clean - whether text may stand in a command */
static bool clean(struct msg_bytes text)
{
	for (uint32_t i = 0; i < text.len; i++)
		if ((unsigned char)text.data[i] < ' ' || text.data[i] == 127)
			return false;
	return true;
}

/* count - the recipients of a list, or -EBADMSG */
static int count(struct msg_bytes list)
{
	struct job_rcpt rcpt;
	size_t pos = 0;
	int rc, n = 0;
	while ((rc = job_next_rcpt(list, &pos, &rcpt)) == 1) {
		if (!clean(rcpt.address) || !rcpt.address.len || !clean(rcpt.orcpt) ||
		    memchr(rcpt.orcpt.len ? rcpt.orcpt.data : "", ' ', rcpt.orcpt.len))
			return -EBADMSG;
		n++;
	}
	return rc < 0 ? rc : n;
}

/* take - copy text behind what is there */
static struct msg_bytes take(char **to, struct msg_bytes text)
{
	struct msg_bytes copy = {.data = *to, .len = text.len};
	if (text.len)
		memcpy(*to, text.data, text.len);
	*to += text.len;
	return copy;
}

/* in_range - whether the place lies in a file and the sums don't overflow */
static bool in_range(const struct msg_deliver_job *msg)
{
	return msg->body_len <= RECORD_BODY_MAX && msg->plain_len <= RECORD_BODY_MAX &&
	       msg->late_len <= RECORD_LATE_MAX && msg->body < INT64_MAX / 2 &&
	       msg->kind <= JOB_DISCARD;
}

int job_new(const struct msg_deliver_job *msg, struct job **out)
{
	int n = count(msg->recipients);
	if (n <= 0 || !in_range(msg) || !clean(msg->sender) || !clean(msg->envid) ||
	    !clean(msg->report_to))
		return -EBADMSG;
	struct segment *segment = segment_hold(msg->segment);
	if (!segment)
		return -ENOENT;
	size_t ends = (size_t)n * sizeof(struct job_end);
	struct job *job =
	    malloc(sizeof(*job) + ends + msg->recipients.len + msg->sender.len + msg->envid.len +
		   msg->user.len + msg->mailbox.len + msg->report_to.len);
	if (!job) {
		segment_drop(segment);
		return -ENOMEM;
	}
	*job = (struct job){.conn = msg->conn,
	    .kind = (enum job_kind)msg->kind,
	    .id = msg->id,
	    .offset = msg->offset,
	    .body_at = msg->body,
	    .body_len = msg->body_len,
	    .plain_len = msg->plain_len,
	    .arrival_ms = msg->arrival_ms,
	    .late_len = msg->late_len,
	    .flags = msg->flags,
	    .ret = msg->ret,
	    .segment = segment,
	    .mailbox_kind = msg->mailbox_kind,
	    .past = msg->past,
	    .nends = (uint32_t)n};
	job->ends = (struct job_end *)(job + 1);
	char *text = (char *)job->ends + ends;
	job->sender = take(&text, msg->sender);
	job->envid = take(&text, msg->envid);
	job->user = take(&text, msg->user);
	job->mailbox = take(&text, msg->mailbox);
	job->report_to = take(&text, msg->report_to);
	struct msg_bytes list = take(&text, msg->recipients);
	size_t pos = 0;
	for (uint32_t i = 0; i < job->nends; i++) {
		job->ends[i] = (struct job_end){.outcome = OUT_NOT_TRIED};
		job_next_rcpt(list, &pos, &job->ends[i].rcpt);
	}
	*out = job;
	return 0;
}

void job_free(struct job *job)
{
	if (!job)
		return;
	if (job->on_wire) {
		DL_DELETE(wire, job);
		wire_count--;
	}
	free(job->content);
	free(job->expansion);
	for (struct job_words *w = job->kept, *next; w; w = next) {
		next = w->next;
		free(w);
	}
	segment_drop(job->segment);
	free(job);
}

struct job *job_new_text(struct msg_bytes recipient, char *content, size_t len)
{
	struct job *job = calloc(1, sizeof(*job) + sizeof(struct job_end) + recipient.len);
	if (!job)
		log_fatal("out of memory for a notice");
	job->nends = 1;
	job->ends = (struct job_end *)(job + 1);
	char *text = (char *)(job->ends + 1);
	job->ends[0] =
	    (struct job_end){.outcome = OUT_NOT_TRIED, .rcpt = {.address = take(&text, recipient)}};
	job->content = content;
	job->body_len = job->plain_len = len;
	return job;
}

void job_to_wire(struct job *job)
{
	if (job->on_wire)
		return;
	job->on_wire = true;
	DL_APPEND(wire, job);
	wire_count++;
}

void jobs_send_inflight(struct chan *qmgr)
{
	static unsigned char buf[INFLIGHT_LIST_MAX];
	struct job_list list;
	struct job *job;
	job_list_init(&list, buf, sizeof(buf));
	DL_FOREACH (wire, job) {
		job->conn = 0;
		for (uint32_t i = 0; i < job->nends && job->segment; i++) {
			struct job_place place = {.segment = segment_name(job->segment),
			    .offset = job->offset,
			    .number = job->ends[i].rcpt.number};
			if (job_put_place(&list, &place) == 0)
				continue;
			CHAN_SEND(qmgr, deliver_inflight, .places = job_list_bytes(&list));
			job_list_init(&list, buf, sizeof(buf));
			job_put_place(&list, &place);
		}
	}
	CHAN_SEND(qmgr, deliver_inflight, .places = job_list_bytes(&list), .last = 1);
}

unsigned jobs_on_wire(void)
{
	return wire_count;
}

const struct words *job_keep(struct job *job, const struct words *words)
{
	if (!words)
		return NULL;
	size_t size = offsetof(struct job_words, words.text) + words->len;
	struct job_words *kept = malloc(size);
	/* Without memory for its words an outcome is still an outcome. */
	if (!kept)
		return NULL;
	memcpy(&kept->words, words, offsetof(struct words, text) + words->len);
	kept->next = job->kept;
	job->kept = kept;
	return &kept->words;
}

void job_decide(struct job_end *end, enum outcome outcome, const struct words *words)
{
	if (end->decided)
		return;
	end->decided = true;
	end->outcome = outcome;
	end->words = words;
}

void job_decide_rest(struct job *job, enum outcome outcome, const struct words *words)
{
	const struct words *kept = NULL;
	for (uint32_t i = 0; i < job->nends; i++) {
		if (job->ends[i].decided)
			continue;
		if (!kept)
			kept = job_keep(job, words);
		job_decide(&job->ends[i], outcome, kept);
	}
}
