/* SPDX-License-Identifier: ISC */
/*
 * Attempts are only added while a question lives and all end with it, so a slow resolver that
 * answers after four seconds is heard although others were asked meanwhile.
 */
#include "dnscache/ask.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "dnscache/exchange.h"
#include "lib/clock.h"
#include "lib/hash.h"
#include "lib/loop.h"

#define RCODE_SERVFAIL 2

static exchange_done attempt_done;

/* server_of - the slot of an attempt's server, -1 when a reload took it away */
static int server_of(const struct upstream *u, const struct attempt *t)
{
	for (size_t i = 0; i < u->nservers; i++)
		if (server_same(&u->servers[i].addr, &t->server))
			return (int)i;
	return -1;
}

/* attempt_free - end an attempt */
static void attempt_free(struct attempt *t)
{
	DL_DELETE(t->ask->attempts, t);
	t->ask->upstream->used--;
	exchange_free(t->exchange);
	free(t);
}

/* attempt_start - send the question to one server */
static bool attempt_start(
    struct upstream_ask *ask, const struct sockaddr_storage *server, struct server_try how)
{
	unsigned form = (how.edns ? QUERY_EDNS : 0) | (ask->checking ? QUERY_CD : 0);
	struct attempt *t = calloc(1, sizeof(*t));

	if (t == NULL) {
		errno = ENOMEM;
		return false;
	}
	t->ask = ask;
	t->server = *server;
	t->how = how;
	t->how.sent_us = clock_us();
	t->exchange = exchange_start(&ask->question, server, how.tcp, form, attempt_done, t);
	if (t->exchange == NULL) {
		int err = errno;

		free(t);
		errno = err;
		return false;
	}
	DL_APPEND(ask->attempts, t);
	ask->upstream->used++;
	return true;
}

/* ask_try - an attempt at a server of the table */
bool ask_try(struct upstream_ask *ask, size_t i)
{
	struct upstream_server *s = &ask->upstream->servers[i];
	bool before = ask->tried[i]++ > 0;
	/* Who comes back may be one that drops what has EDNS: every other trial is without. */
	bool odd = ask->state == ASK_PROBE && (s->silent & 1) != 0;
	struct server_try how = {.again = before, .edns = server_edns(s, before || odd)};

	/* At the limit the newest attempt takes the oldest one's descriptor. */
	if (ask->upstream->used >= ask->upstream->sockets && ask->attempts != NULL)
		attempt_free(ask->attempts);
	if (attempt_start(ask, &s->addr, how)) {
		s->sent++;
		return true;
	}
	/* A lack of ours says nothing of the server. */
	if (errno != ENOMEM && errno != EMFILE && errno != ENFILE && errno != ENOBUFS)
		upstream_silent(ask->upstream, (int)i, true);
	return false;
}

/* server_pick - whom to ask next: least tried first, then who is up, then the order given */
static int server_pick(const struct upstream_ask *ask)
{
	const struct upstream *u = ask->upstream;
	int best = -1;

	for (size_t i = 0; i < u->nservers; i++) {
		if (ask->refused[i])
			continue;
		if (best < 0 || ask->tried[i] < ask->tried[best] ||
		    (ask->tried[i] == ask->tried[best] && !u->servers[i].down &&
			u->servers[best].down))
			best = (int)i;
	}
	return best;
}

/* ask_free - end a question with its attempts, and let a waiting one have its place */
void ask_free(struct upstream_ask *ask)
{
	struct upstream *u = ask->upstream;

	if (ask->state == ASK_WAITING)
		DL_DELETE(u->waiting, ask);
	else if (ask->state == ASK_PROBE)
		DL_DELETE(u->probes, ask);
	while (ask->attempts != NULL)
		attempt_free(ask->attempts);
	event_del(&ask->timer);
	free(ask);
	while (u->waiting != NULL && u->used < u->sockets) {
		struct upstream_ask *next = u->waiting;

		DL_DELETE(u->waiting, next);
		next->state = ASK_RUNNING;
		ask_step(next);
	}
}

/* ask_finish - hand the answer on; the question is gone afterwards */
static void ask_finish(
    struct upstream_ask *ask, const struct query_answer *answer, const struct upstream_server *from)
{
	upstream_done *done = ask->done;
	void *arg = ask->arg;

	ask_free(ask);
	done(answer, from, arg);
}

/* ask_failed - servers answered, none could say */
static void ask_failed(struct upstream_ask *ask, unsigned rcode, bool bogus)
{
	static struct query_answer failed; /* large */

	failed.status = QUERY_FAILED;
	failed.rcode = rcode;
	failed.bogus = bogus;
	ask_finish(ask, &failed, NULL);
}

/* ask_silent - nobody answered in time */
static void ask_silent(struct upstream_ask *ask)
{
	if (ask->checking) {
		ask_failed(ask, ask->failed_rcode, false);
		return;
	}
	if (ask->state != ASK_PROBE)
		upstream_gone(ask->upstream);
	ask_finish(ask, NULL, NULL);
}

/* ask_arm - set the question's clock */
void ask_arm(struct upstream_ask *ask, unsigned ms)
{
	struct timeval tv = {.tv_sec = ms / 1000, .tv_usec = (suseconds_t)(ms % 1000) * 1000};

	event_add(&ask->timer, &tv);
}

/* patience - how long the attempt just made may take before the next one */
static unsigned patience(const struct upstream_ask *ask)
{
	const struct upstream_times *t = &ask->upstream->times;
	unsigned ms = t->patience_ms;

	for (size_t round = ask->upstream->nservers; round < ask->steps; round++)
		ms = ms * 2 < t->wait_max_ms ? ms * 2 : t->wait_max_ms;
	return ms;
}

/* ask_step - ask the next server, or wait for what is under way */
void ask_step(struct upstream_ask *ask)
{
	struct upstream *u = ask->upstream;

	while (ask->steps < u->nservers + UPSTREAM_ROUNDS) {
		int i = server_pick(ask);

		if (i < 0)
			break;
		ask->steps++;
		if (ask_try(ask, (size_t)i)) {
			ask_arm(ask, patience(ask));
			return;
		}
	}
	/* Nobody is left to ask. The clock ends it: never from within upstream_ask(). */
	ask->steps = u->nservers + UPSTREAM_ROUNDS;
	ask_arm(ask, ask->attempts != NULL ? u->times.wait_max_ms : 0);
}

/* ask_timer - the last attempt has been silent for long enough */
static void ask_timer(evutil_socket_t fd, short what, void *arg)
{
	struct upstream_ask *ask = arg;
	struct upstream *u = ask->upstream;
	struct attempt *last = ask->attempts != NULL ? ask->attempts->prev : NULL;
	int i = last != NULL ? server_of(u, last) : -1;

	(void)fd;
	(void)what;
	upstream_silent(u, i, false);
	if (ask->checking || ask->steps >= u->nservers + UPSTREAM_ROUNDS)
		ask_silent(ask);
	else
		ask_step(ask);
}

/* check - is it because of a signature? SERVFAIL doesn't say, an answer without validation does */
static bool check(struct upstream_ask *ask, const struct sockaddr_storage *server,
    const struct query_answer *answer, bool edns)
{
	if (answer->status != QUERY_FAILED || answer->rcode != RCODE_SERVFAIL || answer->bogus ||
	    ask->state == ASK_PROBE)
		return false;
	/* What others still say to the first form of the question would be taken for the second's.
	 */
	while (ask->attempts != NULL)
		attempt_free(ask->attempts);
	ask->checking = true;
	ask->failed_rcode = RCODE_SERVFAIL;
	if (!attempt_start(ask, server, (struct server_try){.edns = edns})) {
		ask->checking = false;
		return false;
	}
	ask_arm(ask, ask->upstream->times.patience_ms);
	return true;
}

/* refused - a server couldn't say: remember, and ask another unless all have been heard */
static void refused(
    struct upstream_ask *ask, int i, const struct attempt *t, const struct query_answer *answer)
{
	struct upstream *u = ask->upstream;
	bool open = false;

	if (i >= 0) {
		u->servers[i].refused++;
		ask->refused[i] = true;
	}
	for (size_t k = 0; k < u->nservers; k++)
		open |= !ask->refused[k] && !(u->servers[k].down && ask->tried[k] > 1);
	if (open && !answer->bogus) {
		if (ask->attempts == NULL)
			ask_step(ask);
	} else if (!check(ask, &t->server, answer, t->how.edns)) {
		ask_finish(ask, answer, i >= 0 ? &u->servers[i] : NULL);
	}
}

/* checked - the answer without validation; one that was validated after all proves nothing */
static void checked(struct upstream_ask *ask, const struct query_answer *answer)
{
	bool says = answer->status == QUERY_ANSWER || answer->status == QUERY_ALIAS ||
		    answer->status == QUERY_TRUNCATED;

	ask_failed(ask, ask->failed_rcode, says && !answer->authentic);
}

/* again - put the question to the same server in another way; it may fail like a server */
static void again(
    struct upstream_ask *ask, const struct sockaddr_storage *server, int i, struct server_try how)
{
	if (attempt_start(ask, server, how))
		ask_arm(ask, patience(ask));
	else if (i >= 0 && ask->attempts == NULL)
		ask_step(ask);
}

/* attempt_dead - the exchange ended without an answer */
static void attempt_dead(struct upstream_ask *ask, int i, const struct attempt *t)
{
	/* Many servers don't speak TCP: that alone doesn't make one down. */
	upstream_silent(ask->upstream, i, !t->how.tcp);
	if (ask->checking)
		ask_silent(ask);
	else if (ask->attempts == NULL)
		ask_step(ask);
}

/* attempt_done - what came of an exchange */
static void attempt_done(struct exchange *x, const struct query_answer *answer, void *arg)
{
	struct attempt t = *(struct attempt *)arg;
	struct upstream_ask *ask = t.ask;
	struct upstream *u = ask->upstream;
	int i = server_of(u, &t);

	(void)x;
	attempt_free(arg);
	if (answer == NULL) {
		attempt_dead(ask, i, &t);
		return;
	}
	upstream_heard(u, i, &t.how);
	if (ask->checking) {
		checked(ask, answer);
		return;
	}
	switch (answer->status) {
	case QUERY_ANSWER:
	case QUERY_ALIAS:
		ask_finish(ask, answer, i >= 0 ? &u->servers[i] : NULL);
		break;
	case QUERY_TRUNCATED:
		again(ask, &t.server, i, (struct server_try){.tcp = true, .edns = t.how.edns});
		break;
	case QUERY_NO_EDNS:
		if (i >= 0)
			server_choked(&u->servers[i]);
		again(ask, &t.server, i, (struct server_try){.tcp = t.how.tcp});
		break;
	default:
		refused(ask, i, &t, answer);
	}
}

/* ask_new - a question that nothing was done about yet */
struct upstream_ask *ask_new(
    struct upstream *u, const struct query_question *q, upstream_done *done, void *arg)
{
	struct upstream_ask *ask = calloc(1, sizeof(*ask));

	if (ask == NULL)
		return NULL;
	ask->upstream = u;
	ask->question = *q;
	ask->done = done;
	ask->arg = arg;
	evtimer_assign(&ask->timer, loop_base(), ask_timer, ask);
	return ask;
}
