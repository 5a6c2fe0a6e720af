/* SPDX-License-Identifier: ISC */
/*
 * One question on its way to the upstreams: the part of upstream.c that asks. Nobody else includes
 * this; upstream.h is what others see, and has the times.
 *
 * A question owns a list of attempts, each one exchange with one server. It ends by calling `done`
 * once, from the loop, and is gone then.
 */
#pragma once

#include <event2/event.h>
#include <event2/event_struct.h>

#include "dnscache/upstream.h"

enum ask_state {
	ASK_WAITING, /* for an exchange to end */
	ASK_RUNNING,
	ASK_PROBE, /* for nobody: it only shows whether a server that was down answers */
};

struct attempt {
	struct attempt *prev, *next;
	struct upstream_ask *ask;
	struct exchange *exchange;
	struct sockaddr_storage server;
	struct server_try how;
};

struct upstream_ask {
	struct upstream_ask *prev, *next; /* in the upstream's list of waiting ones or probes */
	struct upstream *upstream;
	enum ask_state state;
	struct query_question question;
	struct attempt *attempts;
	struct event timer;
	unsigned steps;                      /* attempts made by the clock or after a failure */
	uint8_t tried[UPSTREAM_SERVERS_MAX]; /* attempts at each server */
	bool refused[UPSTREAM_SERVERS_MAX];  /* it answered and couldn't say */
	bool checking;        /* the last attempt: would it say without validation? */
	uint8_t failed_rcode; /* of `checking`: what it said with */
	upstream_done *done;
	void *arg;
};

struct upstream {
	struct upstream_server servers[UPSTREAM_SERVERS_MAX];
	size_t nservers;
	struct upstream_times times;
	unsigned sockets, used;
	struct upstream_ask *waiting, *probes;
	bool lost;                /* all servers are down, and a question has failed for it */
	struct event probe_timer; /* while that is so */
	upstream_back *back;
	void *back_arg;
};

/* A question that nothing was done about yet; NULL without memory. */
struct upstream_ask *ask_new(
    struct upstream *u, const struct query_question *q, upstream_done *done, void *arg);

/* Asks the next server, or waits for what is under way; the clock ends it, never this call. */
void ask_step(struct upstream_ask *ask);

/* An attempt at the i-th server; false when it failed at once. */
bool ask_try(struct upstream_ask *ask, size_t i);

/* Sets its clock. */
void ask_arm(struct upstream_ask *ask, unsigned ms);

/* Ends it with its attempts, without calling `done`, and lets a waiting one have its place. */
void ask_free(struct upstream_ask *ask);

/* From a question: the i-th server (-1: a reload took it away) answered something. */
void upstream_heard(struct upstream *u, int i, const struct server_try *t);

/* It didn't, or (dead) can't be reached. */
void upstream_silent(struct upstream *u, int i, bool dead);

/* Nobody answered a question in time: from now on all are tried, if all are down. */
void upstream_gone(struct upstream *u);
