/* SPDX-License-Identifier: ISC */
/*
 * One upstream resolver: its address, its health, what it takes. A part of upstream.c, which keeps
 * the table of them and decides whom to ask.
 *
 * A server that was silent SERVER_STRIKES times in a row, or can't be reached, is down until it
 * answers. One that refuses EDNS is asked without for SERVER_PLAIN_MS; so is one that answers
 * without EDNS after silence to a question with it, if none with EDNS was answered since it was up:
 * some firewalls drop what they don't know.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

#include "lib/dns.h"

#define SERVER_STRIKES  3      /* silences in a row that make a server down */
#define SERVER_PLAIN_MS 600000 /* a server that choked on EDNS is asked without for so long */

struct upstream_server {
	struct sockaddr_storage addr;
	bool trusted; /* its AD flag is believed */
	bool down;
	bool edns; /* it has answered a question with EDNS since it was last down */
	unsigned strikes;
	int64_t probe_ms;    /* when it is tried again while it is down */
	int64_t plain_ms;    /* asked without EDNS until then */
	uint32_t latency_us; /* smoothed; 0: none seen yet */
	uint64_t sent, answered, silent, refused;
	uint64_t total_us; /* that the answers took */
};

/* How a question was put. */
struct server_try {
	int64_t sent_us;
	bool tcp, edns;
	bool again; /* an earlier attempt of the same question there was silent */
};

/* Whether two socket addresses are one. */
bool server_same(const struct sockaddr_storage *a, const struct sockaddr_storage *b);

/* A server for people, "[::1]:53"; static. */
const char *server_text(const struct upstream_server *s);

/* Whether to ask with EDNS; `again`: an earlier attempt of the same question was silent. */
bool server_edns(const struct upstream_server *s, bool again);

/* The server answered something. */
void server_heard(struct upstream_server *s, const struct server_try *t);

/* It said that it doesn't know EDNS. */
void server_choked(struct upstream_server *s);

/* No answer within the time, or (dead) it can't be reached. True when it is newly down. */
bool server_silent(struct upstream_server *s, bool dead);

/* As `batonctl dns --stats` shows it. */
void server_show(const struct upstream_server *s, struct dns_server *out);
