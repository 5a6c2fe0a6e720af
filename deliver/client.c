/* SPDX-License-Identifier: ISC */
/*
 * Three moves: input is cut into replies and each goes to the stage that waits for it; at the end
 * of the turn pump() sends what has become possible, in one writev with everything else; whatever
 * breaks goes through client_end(), which decides the jobs at once and tells the owner at the end
 * of the turn. Transactions are pipeline.c's business, meaning of words verdict.c's.
 *
 * A big body is sent in rounds: blocks of up to 256 KiB as long as the kernel takes them, a few a
 * turn, then the others have theirs.
 */
#include "deliver/client.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "deliver/ahead.h"
#include "deliver/client_state.h"
#include "deliver/overheard.h"
#include "deliver/verdict.h"
#include "lib/counters.h"
#include "lib/log.h"

#define CLIENT_ROUNDS  4    /* blocks of a body in one turn */
#define CLIENT_QUIT_MS 2000 /* for the peer to answer QUIT */

/* client_enter - the one place where the state changes */
void client_enter(struct client *c, enum client_state next)
{
	static const char *const names[] = {"connecting", "greeting", "ehlo", "helo", "starttls",
	    "securing", "auth", "trying", "ready", "ended"};
	log_debug("connection %llu: %s", (unsigned long long)c->setup.tag, names[next]);
	c->state = next;
	switch (next) {
	case CLIENT_CONNECTING:
		conn_deadline(c->conn, c->setup.connect_ms);
		break;
	case CLIENT_GREETING:
	case CLIENT_EHLO:
	case CLIENT_HELO:
	case CLIENT_STARTTLS:
	case CLIENT_AUTH:
	case CLIENT_TRYING:
		conn_deadline(c->conn, c->setup.reply_ms);
		break;
	case CLIENT_SECURING:
		conn_deadline(c->conn,
		    c->setup.reply_ms < CLIENT_SHAKE_MS ? c->setup.reply_ms : CLIENT_SHAKE_MS);
		break;
	case CLIENT_READY:
	case CLIENT_ENDED:
		loop_defer(&c->task);
		break;
	}
}

/* client_end - the connection is over: jobs are decided now, the owner hears of it at the turn's
 * end */
void client_end(struct client *c, enum open_verdict why, const struct words *words)
{
	if (c->state == CLIENT_ENDED)
		return;
	overheard_note(
	    c, false, "(ended: %.*s)", c->state == CLIENT_AUTH ? 0 : (int)words->len, words->text);
	client_enter(c, CLIENT_ENDED);
	c->why = why;
	c->words = *words;
	client_auth_forget(c);
	c->ahead = ahead_judge(&c->pipeline, c->timed_out);
	pipeline_lost(&c->pipeline, words);
	conn_free(c->conn);
	c->conn = NULL;
}

/* client_end_ours - the same in our own words */
void client_end_ours(struct client *c, enum open_verdict why, const char *status, const char *text)
{
	struct words words;
	words_set(&words, 0, status, "%s", text);
	client_end(c, why, &words);
}

void client_step(struct client *c, enum client_step step, const struct words *words)
{
	if (c->ops->step)
		c->ops->step(c->arg, step, words);
}

/* quit - in peace: the pipeline is empty */
static void quit(struct client *c)
{
	struct conn *conn = c->conn;
	/* The peer's answer changes nothing: conn.c waits for it without us. */
	if (c->state == CLIENT_READY && conn_write(conn, "QUIT\r\n", 6) == 0) {
		overheard_note(c, true, "QUIT");
		c->conn = NULL;
		conn_finish(conn, CLIENT_QUIT_MS);
	}
	client_end_ours(c, OPEN_IDLE, "2.0.0", "closed");
}

/* -- sending ------------------------------------------------------------------------------- */

/* watch - the deadline for what is awaited now */
static void watch(struct client *c)
{
	uint32_t ms = pipeline_patience(&c->pipeline, c->setup.reply_ms);
	conn_deadline(c->conn, ms ? ms : c->setup.idle_ms);
}

/* on_again - the next turn of a big body */
static void on_again(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	struct client *c = arg;
	loop_defer(&c->task);
}

/* come_again - the kernel took all and there is more: after the others had their turn */
static void come_again(struct client *c)
{
	static const struct timeval now = {0, 0};
	if (!c->again)
		c->again = event_new(loop_base(), -1, 0, on_again, c);
	if (!c->again || event_add(c->again, &now) < 0)
		client_end_ours(c, OPEN_LOCAL_LIMIT, "4.3.0", "out of memory");
}

/* unreadable - a stored message can't be sent; the peer must not see an end of it */
static void unreadable(struct client *c, int error)
{
	if (error == -ENOMEM)
		client_end_ours(c, OPEN_LOCAL_LIMIT, "4.3.0", "out of memory");
	else
		client_end_ours(c, OPEN_LOCAL_LIMIT, "4.3.0", "a stored message could not be read");
}

/* pump - send what may be sent */
static void pump(struct client *c)
{
	int rc = 0;
	for (unsigned round = 0; round < CLIENT_ROUNDS; round++) {
		/* What the kernel holds back goes first: CONN_DRAINED calls again. */
		if (round && conn_unsent(c->conn))
			break;
		rc = pipeline_send(&c->pipeline, conn_output(c->conn), BODY_BLOCK);
		if (rc < 0) {
			unreadable(c, rc);
			return;
		}
		if (!rc)
			break;
		conn_flush(c->conn);
	}
	conn_written(c->conn);
	if (rc && !conn_unsent(c->conn)) {
		come_again(c);
		if (c->state == CLIENT_ENDED)
			return;
	}
	if (!c->pipeline.count && (c->closing || pipeline_full(&c->pipeline)))
		quit(c);
	else
		watch(c);
}

/* -- replies ------------------------------------------------------------------------------- */

/* on_transaction - a reply to what the pipeline sent, or out of the blue */
static void on_transaction(struct client *c, const struct words *words)
{
	struct words ours;
	bool idle = !c->pipeline.count;
	switch (pipeline_reply(&c->pipeline, words)) {
	case PIPELINE_GOES_ON:
		break;
	case PIPELINE_ENDS:
		if (idle)
			client_end(c, OPEN_IDLE, words);
		else
			client_end(c, verdict_closing(words) ? OPEN_THROTTLED : OPEN_LOST, words);
		break;
	case PIPELINE_REFUSED:
		client_end(c, OPEN_REFUSED, words);
		break;
	case PIPELINE_NO_IPV6:
		client_end(c, OPEN_NO_IPV6, words);
		break;
	case PIPELINE_CONFUSED:
		words_set(&ours, 0, "4.5.0", "unexpected reply at %s: %u %.*s",
		    pipeline_action(&c->pipeline), words->code, (int)words->len, words->text);
		client_end(c, OPEN_LOST, &ours);
		break;
	}
}

/* on_reply - one whole reply, whatever it belongs to */
static void on_reply(struct client *c, const struct words *words)
{
	/* A host may repeat what was said to it, in AUTH too. */
	log_debug("connection %llu: %s: %u %.*s", (unsigned long long)c->setup.tag,
	    pipeline_action(&c->pipeline), words->code,
	    c->state == CLIENT_AUTH ? 0 : (int)words->len, words->text);
	if (dialogue_any)
		overheard_reply(c);
	switch (c->state) {
	case CLIENT_GREETING:
	case CLIENT_EHLO:
	case CLIENT_HELO:
	case CLIENT_STARTTLS:
		client_opening(c, words);
		break;
	case CLIENT_AUTH:
		client_auth_reply(c, words);
		break;
	case CLIENT_TRYING:
		client_try_reply(c, words);
		break;
	case CLIENT_READY:
		on_transaction(c, words);
		break;
	case CLIENT_CONNECTING:
	case CLIENT_SECURING:
	case CLIENT_ENDED:
		break;
	}
}

/* take_input - every whole reply that has come */
static void take_input(struct client *c)
{
	struct evbuffer *in = conn_input(c->conn);
	size_t len = evbuffer_get_length(in), done = 0, used;
	const char *data = (const char *)evbuffer_pullup(in, -1);
	enum reply_verdict verdict = data || !len ? REPLY_OK : REPLY_BAD;
	struct words words;
	while (c->state != CLIENT_ENDED && c->state != CLIENT_SECURING && done < len &&
	       verdict == REPLY_OK) {
		verdict = reply_feed(&c->reply, data + done, len - done, &used);
		done += used;
		if (verdict == REPLY_OK) {
			words_from_reply(&words, &c->reply);
			on_reply(c, &words);
		}
	}
	if (c->state == CLIENT_ENDED)
		return;
	if (c->state == CLIENT_SECURING) {
		client_secure(c, len - done);
		return;
	}
	if (verdict == REPLY_BAD) {
		words_set(
		    &words, 0, "4.5.0", "%s", c->reply.error ? c->reply.error : "out of memory");
		client_end(c, c->state == CLIENT_READY ? OPEN_LOST : OPEN_UNREACHABLE, &words);
		return;
	}
	evbuffer_drain(in, done);
	if (c->state == CLIENT_READY)
		loop_defer(&c->task);
}

/* -- events of the connection ---------------------------------------------------------------- */

/* lost - it broke, or the peer closed it: what it had said before counts */
static void lost(struct client *c, const char *how)
{
	struct words words;
	if (c->state != CLIENT_SECURING && conn_read_rest(c->conn) > 0)
		take_input(c);
	if (c->state == CLIENT_ENDED)
		return;
	switch (c->state) {
	case CLIENT_CONNECTING:
		words_set(&words, 0, "4.4.1", "%s", how);
		client_end(c, OPEN_UNREACHABLE, &words);
		break;
	case CLIENT_GREETING:
	case CLIENT_EHLO:
	case CLIENT_HELO:
	case CLIENT_AUTH:
	case CLIENT_TRYING:
		words_set(&words, 0, "4.4.2", "%s before the session began", how);
		client_end(c, OPEN_UNREACHABLE, &words);
		break;
	case CLIENT_STARTTLS:
	case CLIENT_SECURING:
		counter_add(C_deliver_tls_failed, 1);
		words_set(&words, 0, "4.7.5", "TLS: %s", how);
		client_end(c, OPEN_TLS, &words);
		break;
	case CLIENT_READY:
		words_set(&words, 0, "4.4.2", "%s at %s", how, pipeline_action(&c->pipeline));
		client_end(c, c->pipeline.count ? OPEN_LOST : OPEN_IDLE, &words);
		break;
	case CLIENT_ENDED:
		break;
	}
}

/* timed_out - nothing came in time: idle connections close in peace */
static void timed_out(struct client *c)
{
	c->timed_out = true;
	if (c->state == CLIENT_READY && !c->pipeline.count)
		quit(c);
	else
		lost(c, c->state == CLIENT_CONNECTING ? "connection timed out" : "timed out");
}

/* on_event - what conn.c has to say */
static void on_event(struct conn *conn, enum conn_event event, void *arg)
{
	struct client *c = arg;
	char how[200];
	switch (event) {
	case CONN_CONNECTED:
		overheard_note(c, false, "(connected)");
		client_step(c, STEP_CONNECTED, NULL);
		if (c->setup.implicit_tls)
			client_secure(c, 0);
		else
			client_enter(c, CLIENT_GREETING);
		break;
	case CONN_SECURED:
		client_secured(c);
		break;
	case CONN_INPUT:
		take_input(c);
		break;
	case CONN_DRAINED:
		loop_defer(&c->task);
		break;
	case CONN_EOF:
		lost(c, "connection closed by the peer");
		break;
	case CONN_ERROR:
		snprintf(how, sizeof(how), "%s", conn_error_text(conn));
		lost(c, how);
		break;
	case CONN_TIMEOUT:
		timed_out(c);
		break;
	}
}

/* run - the end of the turn */
static void run(struct loop_task *task)
{
	struct client *c = (struct client *)((char *)task - offsetof(struct client, task));
	if (c->state == CLIENT_READY)
		pump(c);
	/* The owner frees the client here. */
	if (c->state == CLIENT_ENDED)
		c->ops->ended(c->arg, c->why, &c->words);
}

/* -- for the owner ----------------------------------------------------------------------------- */

/* next - the pipeline wants a job */
static struct job *next(void *arg)
{
	struct client *c = arg;
	return c->closing ? NULL : c->ops->next(c->arg);
}

/* done - a job is over */
static void done(void *arg, struct job *job)
{
	struct client *c = arg;
	c->ops->done(c->arg, job);
}

/* said - commands, or a message */
static void said(void *arg, struct evbuffer *out, size_t before, uint64_t body)
{
	const struct client *c = arg;
	if (body)
		overheard_noted(c, true, "(a message of %llu bytes)", (unsigned long long)body);
	else
		overheard_output(c, out, before);
}

/* make - a client without a connection yet */
static struct client *make(
    const struct client_setup *setup, const struct client_ops *ops, void *arg)
{
	static const struct pipeline_ops pipeline_ops = {.next = next, .done = done, .said = said};
	struct client *c = calloc(1, sizeof(*c));
	if (!c)
		return NULL;
	c->setup = *setup;
	c->ops = ops;
	c->arg = arg;
	c->task.run = run;
	reply_init(&c->reply);
	pipeline_init(&c->pipeline, &pipeline_ops, c);
	c->pipeline.lmtp = setup->lmtp;
	c->pipeline.try_ipv4 = setup->try_ipv4;
	if (setup->max_messages)
		c->pipeline.max = setup->max_messages;
	return c;
}

struct client *client_connect(const struct client_setup *setup, const struct sockaddr *to,
    socklen_t to_len, const struct sockaddr *source, socklen_t source_len,
    const struct client_ops *ops, void *arg)
{
	struct client *c = make(setup, ops, arg);
	if (!c) {
		errno = ENOMEM;
		return NULL;
	}
	c->conn = conn_connect(to, to_len, source, source_len, on_event, c);
	if (!c->conn) {
		int error = errno;
		free(c);
		errno = error;
		return NULL;
	}
	client_enter(c, CLIENT_CONNECTING);
	return c;
}

struct client *client_adopt(
    const struct client_setup *setup, int fd, const struct client_ops *ops, void *arg)
{
	struct client *c = make(setup, ops, arg);
	struct conn *conn = conn_new(fd, on_event, c);
	if (!c || !conn) {
		conn_free(conn);
		free(c);
		errno = ENOMEM;
		return NULL;
	}
	c->conn = conn;
	if (setup->implicit_tls)
		client_secure(c, 0);
	else
		client_enter(c, CLIENT_GREETING);
	return c;
}

void client_feed(struct client *c)
{
	if (c->state == CLIENT_READY)
		loop_defer(&c->task);
}

void client_close(struct client *c)
{
	c->closing = true;
	c->pipeline.closing = true;
	if (c->state == CLIENT_READY)
		loop_defer(&c->task);
	else if (c->state != CLIENT_ENDED)
		client_end_ours(c, OPEN_IDLE, "2.0.0", "closed before the session began");
}

void client_free(struct client *c)
{
	if (!c)
		return;
	if (c->state != CLIENT_ENDED)
		client_end_ours(c, OPEN_IDLE, "4.4.2", "closed");
	loop_cancel(&c->task);
	if (c->again)
		event_free(c->again);
	free(c);
}

void client_tls(const struct client *c, char out[TLS_TEXT_SIZE])
{
	out[0] = '\0';
	if (c->conn && conn_tls(c->conn))
		tls_text(conn_tls(c->conn), out);
}

unsigned client_wants(const struct client *c)
{
	return pipeline_wants(&c->pipeline);
}

enum ahead_verdict client_ahead(const struct client *c)
{
	return c->ahead;
}

uint32_t client_carried(const struct client *c)
{
	return c->pipeline.carried;
}
