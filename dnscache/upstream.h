/* SPDX-License-Identifier: ISC */
/*
 * The upstream resolvers: which one is asked, when the next one is, and when none will answer.
 *
 * A question goes to the first server that is up, in the order of the configuration; silence for
 * UPSTREAM_PATIENCE_MS, a refusal, or an answer that makes no sense brings in the next one, while
 * late answers of the earlier ones still count. A truncated answer is fetched over TCP from
 * the same server, a server that chokes on EDNS is asked again without and remembered. A server
 * that is down (server.h) is asked after the others, and tried beside them every UPSTREAM_PROBE_MS,
 * until it answers. When all are down they are tried every UPSTREAM_LOST_MS, whether anybody asks
 * or not, so that their return is noticed at once.
 *
 * DNSSEC is validated by the servers. Where all answered SERVFAIL, one is asked once more with
 * checking disabled (CD): if it can say then, the answer is bogus, which RFC 8914's code says
 * without that.
 *
 * At most `sockets` exchanges are under way at a time; questions beyond wait for one to end, in
 * order. All of it lives on the process' loop; nothing calls back from within upstream_ask().
 */
#pragma once

#include <stdint.h>
#include <sys/socket.h>

#include "dnscache/query.h"
#include "dnscache/server.h"

#define UPSTREAM_SERVERS_MAX 8
#define UPSTREAM_PATIENCE_MS 800  /* before the next server is asked too */
#define UPSTREAM_WAIT_MAX_MS 3000 /* it doubles to this once all were asked */
#define UPSTREAM_ROUNDS      3    /* attempts beyond one for each server */
#define UPSTREAM_PROBE_MS    2000 /* between trials of a server that is down */
#define UPSTREAM_LOST_MS     1000 /* between trials when all servers are down */

struct upstream;
struct upstream_ask;

/*
 * Called once for each question. answer is good until the function returns: QUERY_ANSWER,
 * QUERY_ALIAS or QUERY_FAILED (a server answered, none could say); NULL when all were silent. from
 * is the server it came from, NULL when that isn't known any more.
 */
typedef void upstream_done(
    const struct query_answer *answer, const struct upstream_server *from, void *arg);

/* Called when a server answers after all were silent. */
typedef void upstream_back(void *arg);

/* How long servers may be silent; for tests that can't wait as long. */
struct upstream_times {
	unsigned patience_ms, wait_max_ms, probe_ms, lost_ms;
};

/* Without servers every question ends with silence. Returns NULL without memory. */
struct upstream *upstream_new(unsigned sockets);
void upstream_free(struct upstream *u);

/*
 * Replaces the servers (the first UPSTREAM_SERVERS_MAX are taken); one that stays keeps what is
 * known of it. Questions under way at a server that goes are not disturbed.
 */
void upstream_servers(struct upstream *u, const struct sockaddr_storage *addrs, size_t n);

/* Whether the i-th server's AD flag is believed; none is at first. */
void upstream_trust(struct upstream *u, size_t i, bool trusted);

/* Whom to call when a server answers after all were silent. */
void upstream_on_back(struct upstream *u, upstream_back *back, void *arg);

/* Whether all servers are down and a question has failed for it; it ends within UPSTREAM_LOST_MS.
 */
bool upstream_lost(const struct upstream *u);

void upstream_times(struct upstream *u, const struct upstream_times *times);

/* Asks. Returns NULL without memory. The handle is good until `done` was called. */
struct upstream_ask *upstream_ask(
    struct upstream *u, const struct query_question *q, upstream_done *done, void *arg);

/* Gives a question up; its `done` won't be called. NULL is allowed. */
void upstream_cancel(struct upstream_ask *ask);

/* The i-th server, NULL behind the last. */
const struct upstream_server *upstream_server(const struct upstream *u, size_t i);
