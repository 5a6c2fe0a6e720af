/* SPDX-License-Identifier: ISC */
/* A job is one message and recipients of it; lib/job.h has the form of the list. */
#include "qmgr/jobs.h"

#include <string.h>
#include <strings.h>

#include "lib/child.h"
#include "lib/local.h"
#include "lib/log.h"
#include "qmgr/dest.h"
#include "qmgr/links.h"
#include "qmgr/member.h"
#include "qmgr/message.h"
#include "qmgr/report.h"
#include "qmgr/segments.h"
#include "qmgr/turns.h"

/* jobs_kind - what a job of that transport is */
enum job_kind jobs_kind(enum transport transport)
{
	switch (transport) {
	case TRANSPORT_LOCAL:
		return JOB_LOCAL;
	case TRANSPORT_NOTICE:
		return JOB_NOTICE;
	case TRANSPORT_DISCARD:
		return JOB_DISCARD;
	default:
		return JOB_MAIL;
	}
}

/* Where a local delivery goes. */
struct box {
	struct msg_bytes user, mailbox;
	uint8_t kind, past;
};

/* hosted - the block of a recipient at a hosted domain, or NULL */
static const struct conf_virtual *hosted(const struct rcpt *rcpt, const struct conf *conf)
{
	const char *at = strrchr(rcpt->address, '@');
	return at ? conf_virtual(conf, at + 1) : NULL;
}

/* box_of - the user's mailbox, or what an alias or his .forward says instead (lib/local.h) */
static struct box box_of(const struct rcpt *rcpt, const struct conf *conf)
{
	struct box box = {.user = msg_str(rcpt->user), .mailbox = msg_str(conf->mailbox_path)};
	box.kind = conf->mailbox_kind == CONF_MAILBOX_MAILDIR ? LOCAL_MAILDIR : LOCAL_MBOX;
	box.past = rcpt->address[0] == '\\' && rcpt->address[1] != '\\';
	const struct conf_virtual *block = hosted(rcpt, conf);
	if (block && !(rcpt->flags & RCPTF_ENTRY)) {
		box.mailbox = msg_str(block->mailbox);
		box.kind = LOCAL_VIRTUAL;
	}
	if (!(rcpt->flags & RCPTF_ENTRY))
		return box;
	bool alias = member_entry(rcpt, &box.user, &box.mailbox);
	box.kind = alias ? LOCAL_ALIAS : LOCAL_FORWARD;
	if (alias) /* name and digest: they stand side by side */
		box.mailbox = msg_bytes(box.user.data, box.user.len + 1 + box.mailbox.len);
	return box;
}

/* jobs_send - to the connection's worker */
void jobs_send(struct job *job, const struct job_list *list)
{
	const struct message *msg = job->msg;
	const struct conf *conf = child_self()->conf;
	struct conn *conn = job->conn;
	const struct rcpt *first = job->rcpts[0];
	/* a list's own envelope: the sender's parameters end here (RFC 3461 §5.2.7.4) */
	bool own = first->sender != NULL;
	struct box box = {.user = msg_str(""), .mailbox = msg_str("")};
	if (job->kind == JOB_LOCAL)
		box = box_of(first, conf);
	int err = link_give_segment(conn->worker, msg->segment);
	if (!err)
		err = CHAN_SEND(conn->worker->chan, deliver_job, .conn = conn->id,
		    .kind = job->kind, .id = msg->id, .segment = msg->segment->name,
		    .offset = msg->offset, .body = msg->body_at, .body_len = msg->body_len,
		    .late_len = msg->late_len, .plain_len = msg->plain_len, .flags = msg->flags,
		    .arrival_ms = msg->arrival_ms, .sender = msg_str(rcpt_sender(first)),
		    .envid = msg_str(msg->envid && !own ? msg->envid : ""),
		    .recipients = job_list_bytes(list), .user = box.user, .mailbox_kind = box.kind,
		    .mailbox = box.mailbox, .past = box.past, .ret = own ? 0 : msg->ret,
		    .report_to = msg_str(report_to(first)));
	if (err && err != -EPIPE) /* -EPIPE: its end is about to be told, with all its jobs */
		log_warnc(err, "a job for deliver/%u", conn->worker->instance);
}

/* same_domain - of two addresses */
static bool same_domain(const struct rcpt *a, const struct rcpt *b)
{
	const char *x = strrchr(a->address, '@'), *y = strrchr(b->address, '@');
	return x && y ? strcasecmp(x, y) == 0 : x == y;
}

/* jobs_fill - what is ready of its message there, in order */
unsigned jobs_fill(struct rcpt *first, struct rcpt **rcpts, unsigned max, struct job_list *list)
{
	const struct site *site = first->dest->pool->site;
	struct job_rcpt out;
	unsigned n = 0;
	for (struct rcpt *rcpt = first; rcpt && n < max; rcpt = turns_more(rcpt)) {
		if (site->one_domain && n && !same_domain(first, rcpt))
			continue;
		if (!report_together(first->stage, rcpt->stage) ||
		    (first->sender != rcpt->sender &&
			strcmp(rcpt_sender(first), rcpt_sender(rcpt))))
			continue;
		report_rcpt(rcpt, &out);
		if (job_put_rcpt(list, &out))
			break;
		rcpts[n++] = rcpt;
	}
	return n;
}
