/* SPDX-License-Identifier: ISC */
/*
 * The table of servers, and the questions that nobody asked: probes of those that are down. A
 * reload may change the table under a question, so questions know servers by their address.
 */
#include "dnscache/upstream.h"

#include <errno.h>
#include <event2/event.h>
#include <event2/event_struct.h>
#include <stdlib.h>
#include <string.h>

#include "dnscache/ask.h"
#include "lib/clock.h"
#include "lib/hash.h"
#include "lib/log.h"
#include "lib/loop.h"

/* upstream_heard - a server answered something; whoever waits for the resolvers' return is told */
void upstream_heard(struct upstream *u, int i, const struct server_try *t)
{
	if (i >= 0)
		server_heard(&u->servers[i], t);
	if (!u->lost)
		return;
	u->lost = false;
	event_del(&u->probe_timer);
	log_info("resolvers answer again");
	if (u->back != NULL)
		u->back(u->back_arg);
}

/* upstream_silent - a server didn't answer */
void upstream_silent(struct upstream *u, int i, bool dead)
{
	if (i >= 0 && server_silent(&u->servers[i], dead))
		u->servers[i].probe_ms = clock_ms() + u->times.probe_ms;
}

/* upstream_gone - no server is left: try them all until one answers, since nobody else may ask */
void upstream_gone(struct upstream *u)
{
	const struct timeval tv = {
	    u->times.lost_ms / 1000, (suseconds_t)(u->times.lost_ms % 1000) * 1000};

	if (u->lost)
		return;
	for (size_t i = 0; i < u->nservers; i++)
		if (!u->servers[i].down)
			return;
	u->lost = true;
	event_add(&u->probe_timer, &tv);
}

/* probe_done - the answer to a probe: the server's state says it all */
static void probe_done(
    const struct query_answer *answer, const struct upstream_server *from, void *arg)
{
	(void)answer;
	(void)from;
	(void)arg;
}

/* probe - put a question also to a server that is down, and listen however long it takes */
static void probe(struct upstream *u, size_t i, const struct query_question *q)
{
	struct upstream_ask *ask = ask_new(u, q, probe_done, NULL);

	if (ask == NULL)
		return;
	ask->state = ASK_PROBE;
	ask->steps = u->nservers + UPSTREAM_ROUNDS; /* no other server, no second attempt */
	DL_APPEND(u->probes, ask);
	ask_arm(ask, ask_try(ask, i) ? u->times.wait_max_ms : 0);
}

/* on_lost - try all servers again; any answer will do, to a question that asks no other server */
static void on_lost(evutil_socket_t fd, short what, void *arg)
{
	static const struct query_question any = {.type = DNS_A, .name = "localhost"};
	struct upstream *u = arg;
	const struct timeval tv = {
	    u->times.lost_ms / 1000, (suseconds_t)(u->times.lost_ms % 1000) * 1000};

	(void)fd;
	(void)what;
	for (size_t i = 0; i < u->nservers; i++)
		if (u->used < u->sockets)
			probe(u, i, &any);
	event_add(&u->probe_timer, &tv);
}

/* upstream_new - no servers yet */
struct upstream *upstream_new(unsigned sockets)
{
	struct upstream *u = calloc(1, sizeof(*u));

	if (u == NULL)
		return NULL;
	u->sockets = sockets;
	u->times.patience_ms = UPSTREAM_PATIENCE_MS;
	u->times.wait_max_ms = UPSTREAM_WAIT_MAX_MS;
	u->times.probe_ms = UPSTREAM_PROBE_MS;
	u->times.lost_ms = UPSTREAM_LOST_MS;
	evtimer_assign(&u->probe_timer, loop_base(), on_lost, u);
	return u;
}

/* upstream_free - all questions must have ended or been cancelled */
void upstream_free(struct upstream *u)
{
	if (u == NULL)
		return;
	while (u->probes != NULL)
		ask_free(u->probes);
	event_del(&u->probe_timer);
	free(u);
}

/* upstream_servers - replace the servers */
void upstream_servers(struct upstream *u, const struct sockaddr_storage *addrs, size_t n)
{
	struct upstream_server old[UPSTREAM_SERVERS_MAX];
	size_t nold = u->nservers;

	memcpy(old, u->servers, sizeof(old));
	memset(u->servers, 0, sizeof(u->servers));
	u->nservers = n < UPSTREAM_SERVERS_MAX ? n : UPSTREAM_SERVERS_MAX;
	for (size_t i = 0; i < u->nservers; i++) {
		u->servers[i].addr = addrs[i];
		for (size_t k = 0; k < nold; k++)
			if (server_same(&old[k].addr, &addrs[i]))
				u->servers[i] = old[k];
	}
}

/* probe_due - the servers that are down and haven't been tried for a while */
static void probe_due(const struct upstream_ask *ask)
{
	struct upstream *u = ask->upstream;
	int64_t now = clock_ms();

	for (size_t i = 0; i < u->nservers; i++) {
		struct upstream_server *s = &u->servers[i];

		if (!s->down || ask->tried[i] > 0 || now < s->probe_ms || u->used >= u->sockets)
			continue;
		s->probe_ms = now + u->times.probe_ms;
		probe(u, i, &ask->question);
	}
}

/* upstream_trust - whose AD flag is believed */
void upstream_trust(struct upstream *u, size_t i, bool trusted)
{
	if (i < u->nservers)
		u->servers[i].trusted = trusted;
}

/* upstream_on_back - whom to tell when servers answer again */
void upstream_on_back(struct upstream *u, upstream_back *back, void *arg)
{
	u->back = back;
	u->back_arg = arg;
}

/* upstream_lost - whether nobody can be asked just now */
bool upstream_lost(const struct upstream *u)
{
	return u->lost;
}

/* upstream_times - other times */
void upstream_times(struct upstream *u, const struct upstream_times *times)
{
	u->times = *times;
}

/* upstream_ask - put a question */
struct upstream_ask *upstream_ask(
    struct upstream *u, const struct query_question *q, upstream_done *done, void *arg)
{
	struct upstream_ask *ask = ask_new(u, q, done, arg);

	if (ask == NULL)
		return NULL;
	if (u->used >= u->sockets) {
		ask->state = ASK_WAITING;
		DL_APPEND(u->waiting, ask);
		return ask;
	}
	ask->state = ASK_RUNNING;
	ask_step(ask);
	probe_due(ask);
	return ask;
}

/* upstream_cancel - give a question up */
void upstream_cancel(struct upstream_ask *ask)
{
	if (ask != NULL)
		ask_free(ask);
}

/* upstream_server - what is known of a server */
const struct upstream_server *upstream_server(const struct upstream *u, size_t i)
{
	return i < u->nservers ? &u->servers[i] : NULL;
}
