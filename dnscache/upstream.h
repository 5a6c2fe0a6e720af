/* SPDX-License-Identifier: ISC */
/*
 * The upstream resolvers: which one is asked, when the next one is, and when none will answer.
 *
 * A question goes to the first server that is up, in the order of the configuration; silence for
 * UPSTREAM_PATIENCE_MS, a refusal, or an answer that makes no sense brings in the next one, while
 * late answers of the earlier ones still count. A truncated answer is fetched over TCP from
 * the same server, a server that chokes on EDNS is asked again without and remembered. A server
 * that was silent UPSTREAM_STRIKES times in a row is down: it is asked after the others, and tried
 * beside them every UPSTREAM_PROBE_MS, until it answers.
 *
 * At most `sockets` exchanges are under way at a time; questions beyond wait for one to end, in
 * order. All of it lives on the process' loop; nothing calls back from within upstream_ask().
 */
#pragma once

#include <stdint.h>
#include <sys/socket.h>

#include "dnscache/query.h"

#define UPSTREAM_SERVERS_MAX 8
#define UPSTREAM_PATIENCE_MS 800    /* before the next server is asked too */
#define UPSTREAM_WAIT_MAX_MS 3000   /* it doubles to this once all were asked */
#define UPSTREAM_ROUNDS      3      /* attempts beyond one for each server */
#define UPSTREAM_STRIKES     3      /* silences in a row that make a server down */
#define UPSTREAM_PROBE_MS    2000   /* between trials of a server that is down */
#define UPSTREAM_PLAIN_MS    600000 /* a server that choked on EDNS is asked without for so long */

struct upstream;
struct upstream_ask;

/*
 * Called once for each question. answer is good until the function returns: QUERY_ANSWER,
 * QUERY_ALIAS or QUERY_FAILED (a server answered, none could say); NULL when all were silent.
 */
typedef void upstream_done(const struct query_answer *answer, void *arg);

/* What is known of a server, for counters and `batonctl dns --stats`. */
struct upstream_server {
	struct sockaddr_storage addr;
	bool down;
	unsigned strikes;
	int64_t probe_ms;    /* when it is tried again while it is down */
	int64_t plain_ms;    /* asked without EDNS until then */
	uint32_t latency_us; /* smoothed; 0: none seen yet */
	uint64_t sent, answered, silent, refused;
};

/* How long servers may be silent; for tests that can't wait as long. */
struct upstream_times {
	unsigned patience_ms, wait_max_ms, probe_ms;
};

/* Without servers every question ends with silence. Returns NULL without memory. */
struct upstream *upstream_new(unsigned sockets);
void upstream_free(struct upstream *u);

/*
 * Replaces the servers (the first UPSTREAM_SERVERS_MAX are taken); one that stays keeps what is
 * known of it. Questions under way at a server that goes are not disturbed.
 */
void upstream_servers(struct upstream *u, const struct sockaddr_storage *addrs, size_t n);

void upstream_times(struct upstream *u, const struct upstream_times *times);

/* Asks. Returns NULL without memory. The handle is good until `done` was called. */
struct upstream_ask *upstream_ask(
    struct upstream *u, const struct query_question *q, upstream_done *done, void *arg);

/* Gives a question up; its `done` won't be called. NULL is allowed. */
void upstream_cancel(struct upstream_ask *ask);

/* The i-th server, NULL behind the last. */
const struct upstream_server *upstream_server(const struct upstream *u, size_t i);
