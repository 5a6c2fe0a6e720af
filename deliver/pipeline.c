/* SPDX-License-Identifier: ISC */
/*
 * A transaction is a row of positions, so that "what was sent" and "what was answered" are two
 * numbers and the replies need no list of their own: the next reply belongs to the head, always,
 * since what is ahead of its turn comes behind the head's last command. Here is what is sent;
 * pipeline_reply.c has what the answers mean.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "deliver/chunk.h"
#include "deliver/fit.h"
#include "deliver/pipeline_state.h"
#include "deliver/verb.h"
#include "deliver/verdict.h"
#include "lib/clock.h"
#include "lib/dialogue.h"
#include "lib/events.h"

/* pipeline_stage - by the commands that this transaction has */
enum pipeline_stage pipeline_stage(const struct tx *tx, uint32_t pos)
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

/* pipeline_tx - out of the ring */
struct tx *pipeline_tx(const struct pipeline *p, unsigned i)
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
	const struct tx *last = pipeline_tx(p, p->count - 1);
	return p->mode == PIPELINE_FULL && p->carried && p->count < p->window &&
	       pipeline_stage(last, last->sent) == STAGE_END;
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
	struct tx *tx = pipeline_tx(p, p->count);
	*tx = (struct tx){
	    .job = job, .down = p->down, .ahead = p->count > 0, .bdat = chunk, .chunk = chunk};
	p->down = NULL;
	tx->first = tx->sent = tx->heard = reset ? 0 : 1;
	p->count++;
	p->begun++;
	p->reset = false;
	/* What is sent ahead begins to take time when the one before it is over: pipeline_pop(). */
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
		enum pipeline_stage stage = pipeline_stage(tx, tx->sent);
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
		int rc = tx_send(p, pipeline_tx(p, i), i == 0, out, room);
		if (rc)
			return rc < 0 ? unreadable(pipeline_tx(p, i)->job, rc) : rc;
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

/* -- the end ---------------------------------------------------------------------------------- */

/* pipeline_pop - the next one is on the wire from now on */
void pipeline_pop(struct pipeline *p)
{
	struct tx *tx = pipeline_tx(p, 0);
	struct job *job = tx->job;
	drop(&tx->down);
	if (tx->chunk)
		evbuffer_free(tx->chunk);
	p->head = (p->head + 1) % PIPELINE_WINDOW_MAX;
	p->count--;
	if (p->count)
		pipeline_tx(p, 0)->job->began = clock_ms();
	p->ops->done(p->arg, job);
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
		struct tx *tx = pipeline_tx(p, 0);
		bool untouched = p->answered && tx->heard == tx->first;
		EVENT_PUT(BROKEN, .id = tx->job->id, .value = tx->job->conn,
		    .words = msg_bytes(why->text, why->len));
		if (is_head && !untouched)
			job_decide_rest(tx->job, OUT_DEFERRED, why);
		pipeline_pop(p);
	}
	give_back(p);
}

/* -- questions ------------------------------------------------------------------------------ */

uint32_t pipeline_patience(const struct pipeline *p, uint32_t ms)
{
	if (!p->count)
		return 0;
	const struct tx *tx = pipeline_tx(p, 0);
	switch (pipeline_stage(tx, tx->heard)) {
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
	const struct tx *tx = pipeline_tx(p, 0);
	if (tx->heard == tx->sent && pipeline_stage(tx, tx->sent) == STAGE_BODY)
		return "message body";
	return names[pipeline_stage(tx, tx->heard)];
}
