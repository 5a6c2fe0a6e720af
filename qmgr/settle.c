/* SPDX-License-Identifier: ISC */
/*
 * One line a recipient and attempt: DESIGN §9. A recipient that ended before the index knew of it
 * leaves no trace there; one with rows is marked done until the transaction that takes them away.
 */
#include "qmgr/settle.h"

#include <stdio.h>
#include <string.h>

#include "lib/child.h"
#include "lib/counters.h"
#include "lib/log.h"
#include "lib/str.h"
#include "qmgr/batch.h"
#include "qmgr/class.h"
#include "qmgr/dest.h"
#include "qmgr/donelist.h"
#include "qmgr/ended.h"
#include "qmgr/expand.h"
#include "qmgr/labels.h"
#include "qmgr/member.h"
#include "qmgr/message.h"
#include "qmgr/now.h"
#include "qmgr/report.h"
#include "qmgr/schedule.h"
#include "qmgr/segments.h"
#include "qmgr/site.h"
#include "qmgr/trace.h"

/* message_ended - its last recipient is done */
static void message_ended(struct message *msg)
{
	struct segment *seg = msg->segment;
	counter_add(C_queue_messages_done, 1);
	counter_sub(C_queue_messages, 1);
	donelist_add(seg, msg->offset);
	ended_forget(msg->id);
	batch_segment(seg);
	if (!msg->rowed)
		DL_DELETE(seg->messages, msg);
	EVENT_PUT(DONE, .id = msg->id, .value = now_ms() - msg->arrival_ms);
	log_event(LOG_DEBUG, msg->id, "done", LOG_U64("age_ms", now_ms() - msg->arrival_ms));
}

/* end_as - the recipient is done, and perhaps its message; for good: not to be told again */
static void end_as(struct rcpt *rcpt, bool for_good)
{
	struct message *msg = rcpt->msg;
	if (rcpt->stage != STAGE_DELAYED && ended_watches(msg->id))
		ended_note(msg->id, member_key(rcpt), rcpt->number, rcpt->parent);
	schedule_leave(rcpt);
	rcpt_enter(rcpt, RCPT_DONE);
	counter_sub(C_queue_recipients, 1);
	if (--msg->left == 0)
		message_ended(msg);
	else if (for_good)
		donelist_add_rcpt(
		    msg->segment, msg->offset, msg_bytes(rcpt->address, rcpt->address_len));
	batch_message(msg);
	if (rcpt->rowed || rcpt->write != WRITE_CLEAN)
		batch_rcpt(rcpt);
	else
		rcpt_free(rcpt);
	message_release(msg);
}

/* end - for good, but for one that only tells of another's delay, whose address it has */
static void end(struct rcpt *rcpt)
{
	end_as(rcpt, rcpt->stage != STAGE_DELAYED);
}

/* put_seconds - ms as seconds with three decimals; printf() would cost more than all of the rest */
static char *put_seconds(char *out, uint64_t ms)
{
	char digits[24], *d = digits + sizeof(digits);
	uint64_t s = ms / 1000;
	unsigned rest = (unsigned)(ms % 1000);
	do
		*--d = (char)('0' + s % 10);
	while (s /= 10);
	size_t n = (size_t)(digits + sizeof(digits) - d);
	memcpy(out, d, n);
	memcpy(out + n,
	    (char[]){'.', (char)('0' + rest / 100), (char)('0' + rest / 10 % 10),
		(char)('0' + rest % 10)},
	    4);
	return out + n + 4;
}

#define DELAYS_MAX 128

/*
 * put_delays - a/b/c/d as Postfix has them: before the queue (from MAIL until it was taken), in the
 * queue, for the connection (where this is its first message), for the transmission. The clock of
 * one process may be a little ahead of another's.
 */
static size_t put_delays(
    char out[DELAYS_MAX], const struct message *msg, const struct via *via, uint64_t age)
{
	uint64_t taken = msg->lag_ms < age ? msg->lag_ms : age;
	uint64_t spent = (uint64_t)via->connect_ms + via->transfer_ms;
	uint64_t queued = age - taken > spent ? age - taken - spent : 0;
	char *p = put_seconds(out, (uint64_t)msg->took_ms + taken);
	const uint64_t others[] = {queued, via->connect_ms, via->transfer_ms};
	for (size_t i = 0; i < 3; i++) {
		*p++ = '/';
		p = put_seconds(p, others[i]);
	}
	return (size_t)(p - out);
}

/* log_end - the line of an attempt */
static void log_end(const struct rcpt *rcpt, const char *result, const struct job_result *words,
    const struct via *via)
{
	static const struct via none;
	const struct message *msg = rcpt->msg;
	const struct msg_bytes shown = member_shown(rcpt);
	char delays[DELAYS_MAX];
	uint64_t now = now_ms(), age = now > msg->arrival_ms ? now - msg->arrival_ms : 0;
	if (!via)
		via = &none;
	trace_result(rcpt, result, words);
	log_event(LOG_INFO, msg->id, "delivery", LOG_STR("from", rcpt_sender(rcpt)),
	    LOG_BYTES("to", shown.data, shown.len), LOG_STR("result", result),
	    LOG_IF(rcpt->class != class_normal(), LOG_STR("class", rcpt->class->name)),
	    LOG_IF(via->site != NULL, LOG_STR("site", via->site)),
	    LOG_IF(via->host.len, LOG_BYTES("relay", via->host.data, via->host.len)),
	    LOG_IF(via->address.len, LOG_BYTES("address", via->address.data, via->address.len)),
	    LOG_IF(via->tls.len, LOG_BYTES("tls", via->tls.data, via->tls.len)),
	    LOG_IF(via->kind == JOB_NOTICE, LOG_STR("kind", "notice")),
	    LOG_U64("delay_ms", age + msg->took_ms),
	    LOG_BYTES("delays", delays, put_delays(delays, msg, via, age)),
	    LOG_IF(rcpt->attempts, LOG_U64("attempts", rcpt->attempts)),
	    LOG_IF(words && words->code, LOG_U64("code", words->code)),
	    LOG_IF(words && words->status.len,
		LOG_BYTES("dsn", words->status.data, words->status.len)),
	    LOG_IF(
		words && words->text.len, LOG_BYTES("reply", words->text.data, words->text.len)));
}

/* words_of - what was last said of it */
static struct job_result words_of(const struct rcpt *rcpt)
{
	const struct trouble *t = rcpt->trouble;
	struct job_result words = {.number = rcpt->number};
	if (t) {
		words.code = t->code;
		words.status = msg_str(t->status);
		words.text = msg_str(t->text);
	}
	return words;
}

/* host_of - another host that spoke; a mailbox is none */
static struct msg_bytes host_of(const struct via *via)
{
	return via->kind == JOB_LOCAL ? msg_str("") : via->host;
}

/* count - for the figures: where it ended so, and of which class it is */
static void count(const struct rcpt *rcpt, const struct via *via, enum board_end end)
{
	const struct dest *dest = rcpt->dest;
	const char *site = via ? via->site : NULL;
	if (!site && dest && dest->state == DEST_BOUND)
		site = dest->pool->site->name;
	labels_count(site, rcpt->class->name, end);
	counter_add(end == BOARD_DELIVERED  ? C_queue_delivered
		    : end == BOARD_DEFERRED ? C_queue_deferrals
					    : C_queue_bounced,
	    1);
}

/* fail - failed for good: its sender is to be told, or nobody is */
static void fail(struct rcpt *rcpt, enum rcpt_stage stage, const struct via *via)
{
	struct job_result words = words_of(rcpt);
	count(rcpt, via, BOARD_BOUNCED);
	log_end(rcpt, stage == STAGE_EXPIRED ? "expired" : "bounced", &words, via);
	if (report_wanted(rcpt, stage))
		report_owe(rcpt, stage);
	else
		end(rcpt);
}

/* sent - the next hop has it, or the mailbox; who asked for it is told (RFC 3461 §5.2.2, 5.2.3) */
static void sent(struct rcpt *rcpt, const struct job_result *result, const struct via *via)
{
	bool in_mailbox = via->kind == JOB_LOCAL || via->lmtp;
	enum rcpt_stage stage = in_mailbox ? STAGE_DELIVERED : STAGE_RELAYED;
	bool notice = rcpt->stage != STAGE_MAIL;
	if (!notice) {
		uint64_t now = now_ms(), since = rcpt->msg->arrival_ms;
		count(rcpt, via, BOARD_DELIVERED);
		labels_latency(rcpt->class->name, now > since ? now - since : 0);
	}
	log_end(rcpt, notice ? "notified" : "sent", result, via);
	if (notice || result->passed || via->kind == JOB_DISCARD || !report_wanted(rcpt, stage)) {
		end(rcpt);
		return;
	}
	rcpt_set_trouble(rcpt, result->code, result->status, host_of(via), result->text);
	report_owe(rcpt, stage);
}

/* later - the next attempt; its sender hears of it when it takes too long */
static void later(struct rcpt *rcpt)
{
	if (report_late(rcpt->msg))
		report_delay(rcpt);
	uint64_t at = schedule_retry_at(rcpt->attempts);
	EVENT_PUT(NEXT, .id = rcpt->msg->id, .number = rcpt->number, .value = at);
	schedule_later(rcpt, at);
}

/* defer - one more attempt later, or the end of its time */
static void defer(struct rcpt *rcpt, const struct job_result *words, const struct via *via)
{
	uint64_t began = via && via->sent_ms ? via->sent_ms : now_ms();
	if (rcpt->attempts < UINT16_MAX)
		rcpt->attempts++;
	if (rcpt->stage == STAGE_MAIL)
		count(rcpt, via, BOARD_DEFERRED);
	log_end(rcpt, "deferred", words, via);
	batch_rcpt(rcpt);
	if (rcpt->stage == STAGE_MAIL && schedule_expired(rcpt, began))
		fail(rcpt, STAGE_EXPIRED, via);
	else
		later(rcpt);
}

/* notice_failed - smtpd refused our own notice: nobody is left to be told */
static void notice_failed(struct rcpt *rcpt, const struct job_result *words, const struct via *via)
{
	log_end(rcpt, "undeliverable", words, via);
	end(rcpt);
}

/* refused - 5xx */
static void refused(struct rcpt *rcpt, const struct job_result *words, const struct via *via)
{
	if (rcpt->stage != STAGE_MAIL) {
		notice_failed(rcpt, words, via);
	} else if (child_self()->conf->soft_bounce) {
		defer(rcpt, words, via);
	} else {
		fail(rcpt, STAGE_FAILED, via);
	}
}

/* deferred_or_failed - keep the words, then one of both */
static void deferred_or_failed(
    struct rcpt *rcpt, const struct job_result *result, const struct via *via)
{
	/* a notice's own troubles must not replace the reason that the notice is to tell */
	if (rcpt->stage == STAGE_MAIL)
		rcpt_set_trouble(rcpt, result->code, result->status, host_of(via), result->text);
	if (result->outcome == OUT_FAILED)
		refused(rcpt, result, via);
	else
		defer(rcpt, result, via);
}

/* expanded - a .forward names others: first of all, whose it is */
static void expanded(struct rcpt *rcpt, const struct job_result *result)
{
	struct msg_bytes user, list = result->members;
	char name[256];
	size_t pos = 0;
	if (job_next_text(list, &pos, &user) != 1 ||
	    str_copy_n(name, sizeof(name), user.data, user.len) != 0) {
		settle_deferred(rcpt, "4.3.0", "a .forward without its user");
		return;
	}
	if (result->text.len)
		log_text(LOG_WARN, rcpt->msg->id, ".forward of %s: %.*s", name,
		    (int)result->text.len, result->text.data);
	expand_forward(rcpt, msg_bytes(list.data + pos, list.len - pos), name);
}

/* settle_result - by outcome */
void settle_result(struct rcpt *rcpt, const struct job_result *result, const struct via *via)
{
	/* A result of a mail job that comes again after the failure it told of was committed. */
	if ((via->kind == JOB_NOTICE) != (rcpt->stage != STAGE_MAIL)) {
		schedule_place(rcpt);
		return;
	}
	if (result->outcome != OUT_SENT && settle_ordered(rcpt))
		return;
	switch (result->outcome) {
	case OUT_SENT:
		sent(rcpt, result, via);
		return;
	case OUT_DEFERRED:
	case OUT_FAILED:
		deferred_or_failed(rcpt, result, via);
		return;
	case OUT_DAMAGED:
		settle_damaged(rcpt, "its record can't be sent");
		return;
	case OUT_EXPANDED:
		expanded(rcpt, result);
		return;
	default:
		schedule_place(rcpt); /* not tried */
	}
}

/* settle_failed - by word of ours */
void settle_failed(
    struct rcpt *rcpt, uint16_t code, const char *status, const char *host, const char *text)
{
	const struct via via = {.kind = JOB_MAIL};
	const struct job_result words = {
	    .outcome = OUT_FAILED, .code = code, .status = msg_str(status), .text = msg_str(text)};
	rcpt_set_trouble(rcpt, code, words.status, msg_str(host), words.text);
	refused(rcpt, &words, &via);
}

/* settle_expired - outlived */
void settle_expired(struct rcpt *rcpt)
{
	fail(rcpt, STAGE_EXPIRED, NULL);
}

/* settle_deferred - by word of ours */
void settle_deferred(struct rcpt *rcpt, const char *status, const char *text)
{
	const struct job_result words = {
	    .outcome = OUT_DEFERRED, .status = msg_str(status), .text = msg_str(text)};
	if (rcpt->stage == STAGE_MAIL)
		rcpt_set_trouble(rcpt, 0, words.status, msg_str(""), words.text);
	defer(rcpt, &words, NULL);
}

/* settle_discarded - nobody wants it */
void settle_discarded(struct rcpt *rcpt)
{
	log_end(rcpt, "discarded", NULL, NULL);
	end(rcpt);
}

/* settle_expanded - others have taken its place */
void settle_expanded(struct rcpt *rcpt, bool several)
{
	log_end(rcpt, "expanded", NULL, NULL);
	if (!several || !report_wanted(rcpt, STAGE_EXPANDED)) {
		end_as(rcpt, false);
		return;
	}
	rcpt_set_trouble(rcpt, 0, msg_str("2.0.0"), msg_str(""), msg_str("expanded"));
	report_owe(rcpt, STAGE_EXPANDED);
}

/* settle_withdrawn - nothing is left to tell */
void settle_withdrawn(struct rcpt *rcpt)
{
	log_end(rcpt, "withdrawn", NULL, &(const struct via){.kind = JOB_NOTICE});
	end(rcpt);
}

/* settle_ended - in an earlier run */
void settle_ended(struct rcpt *rcpt)
{
	end(rcpt);
}

/* settle_returned - by a tool. RFC 3463: X.0.0 other undefined status */
void settle_returned(struct rcpt *rcpt)
{
	const struct via via = {.kind = JOB_MAIL};
	rcpt_set_trouble(rcpt, 554, msg_str("5.0.0"), msg_str(""), msg_str(SETTLE_RETURNED));
	fail(rcpt, STAGE_FAILED, &via);
}

/* settle_ordered - now that no worker has it */
bool settle_ordered(struct rcpt *rcpt)
{
	if (rcpt->order == ORDER_DELETE) {
		settle_deleted(rcpt);
		return true;
	}
	if (rcpt->order != ORDER_BOUNCE)
		return false;
	rcpt->order = ORDER_NONE;
	batch_rcpt(rcpt);
	if (stage_owed(rcpt->stage))
		return false; /* its sender is being told already */
	settle_returned(rcpt);
	return true;
}

/* settle_deleted - by a tool */
void settle_deleted(struct rcpt *rcpt)
{
	log_end(rcpt, "deleted", NULL, NULL);
	end(rcpt);
}

/* settle_damaged - set aside */
void settle_damaged(struct rcpt *rcpt, const char *text)
{
	log_text(LOG_ERROR, rcpt->msg->id, "to %s: %s; set aside", rcpt->address, text);
	schedule_leave(rcpt);
	rcpt->was = rcpt->stage;
	rcpt->stage = STAGE_DAMAGED;
	rcpt_set_trouble(rcpt, 0, msg_str("4.3.0"), msg_str(""), msg_str(text));
	rcpt_enter(rcpt, RCPT_WAITING);
	batch_rcpt(rcpt);
	batch_write_message(rcpt->msg);
}
