/* SPDX-License-Identifier: ISC */
/*
 * What would happen now to mail for an address, for a tool (tool_explain): the route, class and
 * source by the functions that mail goes through, keeper's and dnscache's word asked as for mail,
 * the site's limits and state as they are. Nothing is changed by it: no destination or site is
 * made. explain.c asks; explain_facts.c puts together what is known.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/chan.h"
#include "lib/explain.h"
#include "lib/msg.h"

#define EXPLAIN_MS       5000 /* for all answers of keeper and dnscache; then without them */
#define EXPLAIN_HOSTS    8    /* of a fixed route that are asked for */
#define EXPLAIN_ADDRESS  320
#define EXPLAIN_REQUESTS 0x80000000u /* our numbers at keeper and dnscache; others have less */

/* dnscache's word on the domain, or on one host of a route. */
struct explain_dns {
	uint8_t verdict; /* enum dns_verdict */
	char site[256], text[256];
	unsigned char *hosts; /* lib/dns.h's list */
	size_t hosts_len;
};

/* One question of a tool. */
struct explain {
	struct explain *next, *prev;
	struct chan *chan;
	void (*ended)(void *arg);
	void *arg;
	struct event *timer;
	uint32_t request; /* that is under way */
	char address[EXPLAIN_ADDRESS], sender[EXPLAIN_ADDRESS], client[64];
	char local[EXPLAIN_ADDRESS], domain[EXPLAIN_ADDRESS];
	bool late; /* somebody didn't answer in time */
	bool keeper_said;
	uint8_t keeper; /* enum keeper_verdict */
	char user[256];
	unsigned char *members; /* lib/job.h's list of texts */
	size_t members_len;
	unsigned ndns;
	struct explain_dns dns[EXPLAIN_HOSTS];
};

/*
 * Answers the tool on chan with tool_explained, or tool_changed for a question that is none, then
 * calls ended(arg). Returns what explain_forget() takes while it is under way, or NULL when it was
 * answered at once (ended() isn't called then).
 */
struct explain *explain_start(
    struct chan *chan, const struct msg_tool_explain *m, void (*ended)(void *arg), void *arg);

/* The tool is gone. */
void explain_forget(struct explain *e);

/* Answers that came: true if they are for one of these. */
bool explain_heard_keeper(const struct msg_keeper_expand_is *m);
bool explain_heard_dns(const struct msg_dns_site_is *m);

/* All that is known. */
void explain_facts(const struct explain *e, struct wire_out *out);
