/* SPDX-License-Identifier: ISC */
/*
 * What a reply means to the head of the pipeline, by the command that it answers.
 *
 * A peer that answers DATA with 354 although it took no recipient (RFC 2920 §3.1) gets the end of
 * data at once; whatever it says to that, nothing counts as sent.
 */
#include <stdio.h>

#include "deliver/pipeline_state.h"
#include "deliver/verdict.h"
#include "lib/events.h"

/* answered - the head is over by the peer's own words */
static void answered(struct pipeline *p)
{
	p->answered++;
	pipeline_pop(p);
}

/* abandon - the transaction ends without data; the peer may still think that it goes on */
static void abandon(struct pipeline *p)
{
	if (p->count == 1)
		p->reset = true;
	answered(p);
}

/* lost_track - "bad sequence of commands" although all before this one was accepted */
static bool lost_track(const struct pipeline *p, const struct words *words, bool accepted)
{
	return words->code == 503 && accepted && p->mode != PIPELINE_STEP;
}

/* on_rset - anything but 2xx: the peer can't be brought into a known state */
static enum pipeline_verdict on_rset(const struct tx *tx, const struct words *words)
{
	if (verdict_class(words) == 2)
		return PIPELINE_GOES_ON;
	return tx->ahead ? PIPELINE_CONFUSED : PIPELINE_ENDS;
}

/* on_mail - accepted, or the end of this job */
static enum pipeline_verdict on_mail(struct pipeline *p, struct tx *tx, const struct words *words)
{
	tx->mail_ok = verdict_class(words) == 2;
	if (lost_track(p, words, true))
		return PIPELINE_CONFUSED;
	if (tx->mail_ok)
		return PIPELINE_GOES_ON;
	if (verdict_refuses_us(words)) {
		job_decide_rest(tx->job, OUT_NOT_TRIED, words);
		return PIPELINE_REFUSED;
	}
	job_decide_rest(tx->job, verdict_message(words), words);
	if (p->mode == PIPELINE_STEP)
		abandon(p);
	return PIPELINE_GOES_ON;
}

/* on_rcpt - one recipient is in, or decided */
static enum pipeline_verdict on_rcpt(
    struct pipeline *p, struct tx *tx, uint32_t index, const struct words *words)
{
	struct job_end *end = &tx->job->ends[index];
	bool last = index + 1 == tx->job->nends;
	if (lost_track(p, words, tx->mail_ok))
		return PIPELINE_CONFUSED;
	if (tx->mail_ok && verdict_class(words) == 2)
		tx->accepted++;
	else if (!end->decided)
		job_decide(end, verdict_rcpt(words, tx->accepted), job_keep(tx->job, words));
	/* Nobody took it, and no DATA or BDAT is on its way: nothing of it is left to be answered.
	 */
	if (last && !tx->accepted && tx->heard == tx->sent)
		abandon(p);
	return PIPELINE_GOES_ON;
}

/* on_data - 354 opens the body; a 2xx would be an end of data that was never sent */
static enum pipeline_verdict on_data(struct pipeline *p, struct tx *tx, const struct words *words)
{
	if (words->code == 354) {
		/* RFC 2033 §4.2: without a recipient it is 503; else no reply would follow */
		if (p->lmtp && !tx->accepted)
			return PIPELINE_CONFUSED;
		tx->data_ok = true;
		return PIPELINE_GOES_ON;
	}
	if (verdict_class(words) < 4 || lost_track(p, words, tx->accepted))
		return PIPELINE_CONFUSED;
	job_decide_rest(tx->job, verdict_message(words), words);
	abandon(p);
	return PIPELINE_GOES_ON;
}

/* undecided - the first recipient that is still to be answered for, NULL: none */
static struct job_end *undecided(const struct job *job)
{
	for (uint32_t i = 0; i < job->nends; i++)
		if (!job->ends[i].decided)
			return &job->ends[i];
	return NULL;
}

/* decide_final - what the end of data brought; false: more replies to it are to come (LMTP) */
static bool decide_final(struct pipeline *p, struct tx *tx, const struct words *words)
{
	struct job *job = tx->job;
	if (!p->lmtp) {
		job_decide_rest(job, verdict_message(words), words);
		return true;
	}
	struct job_end *end = undecided(job);
	if (end)
		job_decide(end, verdict_message(words), job_keep(job, words));
	return !undecided(job);
}

/* carried - the head went well; what went ahead makes room for more of it */
static void carried(struct pipeline *p, const struct tx *tx)
{
	p->carried++;
	p->chunks += tx->bdat;
	if (!tx->ahead)
		return;
	p->fine = true;
	if (p->window < PIPELINE_WINDOW_MAX)
		p->window++;
}

/* on_final - the end of data, or a peer that gives up in the middle of it */
static enum pipeline_verdict on_final(struct pipeline *p, struct tx *tx, const struct words *words)
{
	bool early = pipeline_stage(tx, tx->sent) != STAGE_END;
	unsigned class = verdict_class(words);
	if (class == 3 || (early && class == 2) || (tx->bdat && lost_track(p, words, tx->accepted)))
		return PIPELINE_CONFUSED;
	if (early) {
		job_decide_rest(tx->job, verdict_message(words), words);
		return PIPELINE_ENDS;
	}
	tx->taken |= class == 2 && tx->accepted;
	if (!decide_final(p, tx, words)) {
		tx->heard--;
		return PIPELINE_GOES_ON;
	}
	if (tx->taken)
		carried(p, tx);
	/* Behind a BDAT that failed there is no transaction that could be used (RFC 3030 §2). */
	if (class != 2 && tx->bdat)
		abandon(p);
	else
		answered(p);
	return PIPELINE_GOES_ON;
}

/* on_closing - 421: what it answers is deferred by it, unless nothing was tried yet */
static enum pipeline_verdict on_closing(
    struct pipeline *p, struct tx *tx, enum pipeline_stage stage, const struct words *words)
{
	bool tried = stage > STAGE_MAIL || !p->answered;
	p->goodbye = true;
	job_decide_rest(tx->job, tried ? OUT_DEFERRED : OUT_NOT_TRIED, words);
	return PIPELINE_ENDS;
}

/* trace - the peer's words, for `batonctl trace`; a notice's are those of what it reports on */
static void trace(const struct tx *tx, uint32_t pos, const struct words *words)
{
	static const uint8_t types[] = {[STAGE_MAIL] = EVENT_MAIL,
	    [STAGE_RCPT] = EVENT_RCPT,
	    [STAGE_DATA] = EVENT_DATA,
	    [STAGE_BODY] = EVENT_FINAL};
	enum pipeline_stage stage = pipeline_stage(tx, pos);
	const struct job *job = tx->job->reports ? tx->job->reports : tx->job;
	char text[JOB_TEXT_MAX + sizeof(words->status) + 2];
	int n = 0;

	if (!events_mine || stage >= sizeof(types) || !types[stage])
		return;
	if (verdict_class(words) > 3)
		n = snprintf(
		    text, sizeof(text), "%s %.*s", words->status, (int)words->len, words->text);
	events_write(types[stage],
	    &(const struct event_note){.id = job->id,
		.value = job->conn,
		.code = words->code,
		.what = stage == STAGE_RCPT ? tx->job->ends[pos - 2].rcpt.address : msg_str(""),
		.words = n > 0 ? msg_bytes(text, (size_t)n) : msg_bytes(words->text, words->len)});
}

/* on_reply - what it means to the head */
static enum pipeline_verdict on_reply(struct pipeline *p, const struct words *words)
{
	struct tx *tx = pipeline_tx(p, 0);
	unsigned class = verdict_class(words);
	uint32_t pos = tx->heard;
	enum pipeline_stage stage = pipeline_stage(tx, pos);
	trace(tx, pos, words);
	if (p->try_ipv4 && pos < tx->sent && stage != STAGE_RSET && verdict_no_ipv6(words)) {
		job_decide_rest(tx->job, OUT_NOT_TRIED, words);
		return PIPELINE_NO_IPV6;
	}
	if (verdict_closing(words))
		return on_closing(p, tx, stage, words);
	/* Nothing outstanding: only a peer that breaks off a body has something to say. */
	if (pos == tx->sent && !(stage == STAGE_BODY && tx->body_begun))
		return PIPELINE_CONFUSED;
	tx->heard++;
	if (!class || (class == 3 && stage != STAGE_DATA))
		return PIPELINE_CONFUSED;
	switch (stage) {
	case STAGE_RSET:
		return on_rset(tx, words);
	case STAGE_MAIL:
		return on_mail(p, tx, words);
	case STAGE_RCPT:
		return on_rcpt(p, tx, pos - 2, words);
	case STAGE_DATA:
		return on_data(p, tx, words);
	case STAGE_BODY:
		return on_final(p, tx, words);
	case STAGE_END:
		break;
	}
	return PIPELINE_CONFUSED;
}

enum pipeline_verdict pipeline_reply(struct pipeline *p, const struct words *words)
{
	if (!p->count)
		return verdict_closing(words) ? PIPELINE_ENDS : PIPELINE_CONFUSED;
	enum pipeline_verdict verdict = on_reply(p, words);
	if (verdict == PIPELINE_CONFUSED && p->mode != PIPELINE_STEP)
		p->confused = true;
	return verdict;
}
