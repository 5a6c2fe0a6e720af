/* SPDX-License-Identifier: ISC */
/*
 * A transaction is a row of positions, so that "what was sent" and "what was answered" are two
 * numbers and the replies need no list of their own: the next reply belongs to the head, always,
 * since what is ahead of its turn comes behind the head's last command.
 *
 * A peer that answers DATA with 354 although it took no recipient (RFC 2920 §3.1) gets the end of
 * data at once; whatever it says to that, nothing counts as sent.
 */
#include "deliver/pipeline.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "deliver/chunk.h"
#include "deliver/fit.h"
#include "deliver/verb.h"
#include "deliver/verdict.h"
#include "lib/clock.h"
#include "lib/dialogue.h"
#include "lib/events.h"

enum stage { STAGE_RSET, STAGE_MAIL, STAGE_RCPT, STAGE_DATA, STAGE_BODY, STAGE_END };

/* stage_at - what a position is */
static enum stage stage_at(const struct tx *tx, uint32_t pos)
{
	uint32_t n = tx->job->nends;
	if (pos < 2)
		return pos == 0 ? STAGE_RSET : STAGE_MAIL;
	if (pos < 2 + n)
		return STAGE_RCPT;
	if (tx->bdat)
		return pos == 2 + n ? STAGE_BODY : STAGE_END;
	return pos == 2 + n ? STAGE_DATA : pos == 3 + n ? STAGE_BODY : STAGE_END;
}

/* tx_at - the i-th transaction in flight */
static struct tx *tx_at(const struct pipeline *p, unsigned i)
{
	return (struct tx *)&p->tx[(p->head + i) % PIPELINE_WINDOW_MAX];
}

void pipeline_init(struct pipeline *p, const struct pipeline_ops *ops, void *arg)
{
	*p =
	    (struct pipeline){.ops = ops, .arg = arg, .max = UINT32_MAX, .window = PIPELINE_WINDOW};
}

/* -- sending ------------------------------------------------------------------------------- */

/* may_begin - whether another transaction may follow now */
static bool may_begin(const struct pipeline *p)
{
	if (p->closing || p->begun >= p->max)
		return false;
	if (!p->count)
		return true;
	const struct tx *last = tx_at(p, p->count - 1);
	return p->mode == PIPELINE_FULL && p->carried && p->count < p->window &&
	       stage_at(last, last->sent) == STAGE_END;
}

/* drop - a message that is changed on its way needs no more of that */
static void drop(struct downgrade **down)
{
	downgrade_free(*down);
	*down = NULL;
}

/* unreadable - what can't be read is decided here; the error goes on to who has to know */
static int unreadable(struct job *job, int error)
{
	struct words words;
	if (error == -EBADMSG) {
		words_set(&words, 0, "4.3.0", "the stored message is damaged");
		job_decide_rest(job, OUT_DAMAGED, &words);
	} else {
		words_set(
		    &words, 0, "4.3.0", "can't read the stored message: %s", strerror(-error));
		job_decide_rest(job, OUT_DEFERRED, &words);
	}
	return error;
}

/* by_bdat - whether the message goes as a chunk: small, and as it is */
static bool by_bdat(const struct pipeline *p, const struct job *job)
{
	return p->mode == PIPELINE_FULL && p->peer.chunking && !p->lmtp && !p->down &&
	       chunk_fits(job);
}

/* take - the next job that can be sent, and its chunk where it goes by BDAT; NULL: there is none,
 * or p->held has to be looked at */
static struct job *take(struct pipeline *p, struct evbuffer **chunk)
{
	struct job *job;
	*chunk = NULL;
	while ((job = p->held ? p->held : p->ops->next(p->arg))) {
		p->held = job;
		int rc = fit_job(&p->peer, job, &p->down);
		if (rc > 0)
			return NULL;
		p->held = NULL;
		if (!rc && by_bdat(p, job))
			rc = chunk_read(job, chunk);
		if (!rc)
			return job;
		drop(&p->down);
		if (rc != FIT_REFUSED)
			unreadable(job, rc);
		p->ops->done(p->arg, job);
	}
	return NULL;
}

/* begin - the next job as a transaction, or NULL when there is none */
static struct tx *begin(struct pipeline *p)
{
	struct evbuffer *chunk;
	struct job *job = take(p, &chunk);
	if (!job)
		return NULL;
	bool reset = p->reset || p->count;
	struct tx *tx = tx_at(p, p->count);
	*tx = (struct tx){
	    .job = job, .down = p->down, .ahead = p->count > 0, .bdat = chunk, .chunk = chunk};
	p->down = NULL;
	tx->first = tx->sent = tx->heard = reset ? 0 : 1;
	p->count++;
	p->begun++;
	p->reset = false;
	/* What is sent ahead begins to take time when the one before it is over: pop(). */
	job->began = p->count == 1 ? clock_ms() : 0;
	job_to_wire(job);
	return tx;
}

/* fill - the next bytes of the content; 1: there are more */
static int fill(struct tx *tx, struct evbuffer *out, size_t max)
{
	return tx->down ? downgrade_fill(tx->down, out, max) : body_fill(&tx->body, out, max);
}

/* put_body - as much of the content as there is room for, then the end of data; 1: more waits */
static int put_body(struct tx *tx, struct evbuffer *out, size_t room)
{
	if (!tx->body_begun)
		body_init(&tx->body, tx->job);
	tx->body_begun = true;
	if (tx->accepted) {
		size_t have = evbuffer_get_length(out);
		int rc = have < room || body_size(&tx->body) == tx->body.done
			     ? fill(tx, out, have < room ? room - have : 0)
			     : 1;
		if (rc)
			return rc;
	}
	return evbuffer_add(out, BODY_END, strlen(BODY_END)) < 0 ? -ENOMEM : 0;
}

/* put_chunk - BDAT and the content; 1: waits for room */
static int put_chunk(struct tx *tx, struct evbuffer *out, size_t room)
{
	if (evbuffer_get_length(out) >= room)
		return 1;
	tx->body_begun = true;
	int rc = evbuffer_add_buffer(out, tx->chunk) < 0 ? -ENOMEM : 0;
	evbuffer_free(tx->chunk);
	tx->chunk = NULL;
	return rc;
}

/* may_send_body - whether the content may go now */
static bool may_send_body(const struct pipeline *p, const struct tx *tx, bool is_head)
{
	if (tx->bdat)
		return p->chunks || tx->heard == tx->sent;
	return is_head && tx->data_ok;
}

/* tx_send - everything of one transaction that may go now; 1: waits for room */
static int tx_send(
    struct pipeline *p, struct tx *tx, bool is_head, struct evbuffer *out, size_t room)
{
	for (;;) {
		enum stage stage = stage_at(tx, tx->sent);
		size_t before = dialogue_any ? evbuffer_get_length(out) : 0;
		int rc = 0;
		if (stage == STAGE_END)
			return 0;
		if (p->mode == PIPELINE_STEP && tx->sent != tx->heard)
			return 0;
		if (stage == STAGE_BODY && !may_send_body(p, tx, is_head))
			return 0;
		switch (stage) {
		case STAGE_RSET:
			rc = evbuffer_add(out, "RSET\r\n", 6) < 0 ? -ENOMEM : 0;
			break;
		case STAGE_MAIL:
			rc = verb_mail(&p->peer, tx->job, out);
			break;
		case STAGE_RCPT:
			rc = verb_rcpt(&p->peer, &tx->job->ends[tx->sent - 2].rcpt, out);
			break;
		case STAGE_DATA:
			rc = evbuffer_add(out, "DATA\r\n", 6) < 0 ? -ENOMEM : 0;
			break;
		case STAGE_BODY:
			rc = tx->bdat ? put_chunk(tx, out, room) : put_body(tx, out, room);
			break;
		case STAGE_END:
			return 0;
		}
		if (rc)
			return rc;
		if (dialogue_any && p->ops->said)
			p->ops->said(p->arg, out, before,
			    stage == STAGE_BODY ? tx->job->late_len + tx->job->body_len : 0);
		tx->sent++;
	}
}

int pipeline_send(struct pipeline *p, struct evbuffer *out, size_t room)
{
	for (unsigned i = 0; i < p->count; i++) {
		int rc = tx_send(p, tx_at(p, i), i == 0, out, room);
		if (rc)
			return rc < 0 ? unreadable(tx_at(p, i)->job, rc) : rc;
	}
	while (may_begin(p)) {
		struct tx *tx = begin(p);
		if (!tx)
			return p->held ? 1 : 0;
		int rc = tx_send(p, tx, p->count == 1, out, room);
		if (rc)
			return rc < 0 ? unreadable(tx->job, rc) : rc;
	}
	return 0;
}

/* -- replies ------------------------------------------------------------------------------- */

/* pop - the head is over: its job goes back with every recipient decided */
static void pop(struct pipeline *p)
{
	struct tx *tx = tx_at(p, 0);
	struct job *job = tx->job;
	drop(&tx->down);
	if (tx->chunk)
		evbuffer_free(tx->chunk);
	p->head = (p->head + 1) % PIPELINE_WINDOW_MAX;
	p->count--;
	if (p->count)
		tx_at(p, 0)->job->began = clock_ms();
	p->ops->done(p->arg, job);
}

/* answered - the head is over by the peer's own words */
static void answered(struct pipeline *p)
{
	p->answered++;
	pop(p);
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
	bool early = stage_at(tx, tx->sent) != STAGE_END;
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
    struct pipeline *p, struct tx *tx, enum stage stage, const struct words *words)
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
	enum stage stage = stage_at(tx, pos);
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
	struct tx *tx = tx_at(p, 0);
	unsigned class = verdict_class(words);
	uint32_t pos = tx->heard;
	enum stage stage = stage_at(tx, pos);
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

/* give_back - what was only looked at; pipeline_lost() */
static void give_back(struct pipeline *p)
{
	struct job *job = p->held;
	p->held = NULL;
	drop(&p->down);
	if (job)
		p->ops->done(p->arg, job);
}

void pipeline_lost(struct pipeline *p, const struct words *why)
{
	for (bool is_head = true; p->count; is_head = false) {
		struct tx *tx = tx_at(p, 0);
		bool untouched = p->answered && tx->heard == tx->first;
		EVENT_PUT(BROKEN, .id = tx->job->id, .value = tx->job->conn,
		    .words = msg_bytes(why->text, why->len));
		if (is_head && !untouched)
			job_decide_rest(tx->job, OUT_DEFERRED, why);
		pop(p);
	}
	give_back(p);
}

/* -- questions ------------------------------------------------------------------------------ */

uint32_t pipeline_patience(const struct pipeline *p, uint32_t ms)
{
	if (!p->count)
		return 0;
	const struct tx *tx = tx_at(p, 0);
	switch (stage_at(tx, tx->heard)) {
	case STAGE_DATA:
		return ms / 5 * 2;
	case STAGE_BODY:
		return tx->heard < tx->sent ? 2 * ms : ms / 5 * 3;
	default:
		return ms;
	}
}

bool pipeline_full(const struct pipeline *p)
{
	return p->closing || p->begun >= p->max;
}

unsigned pipeline_wants(const struct pipeline *p)
{
	return p->chunks && p->window > PIPELINE_WINDOW ? p->window + 1 : 0;
}

const char *pipeline_action(const struct pipeline *p)
{
	static const char *const names[] = {[STAGE_RSET] = "RSET",
	    [STAGE_MAIL] = "MAIL",
	    [STAGE_RCPT] = "RCPT",
	    [STAGE_DATA] = "DATA",
	    [STAGE_BODY] = "end of data",
	    [STAGE_END] = "end of data"};
	if (!p->count)
		return "idle";
	const struct tx *tx = tx_at(p, 0);
	if (tx->heard == tx->sent && stage_at(tx, tx->sent) == STAGE_BODY)
		return "message body";
	return names[stage_at(tx, tx->heard)];
}
