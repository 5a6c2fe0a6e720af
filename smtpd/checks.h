/* SPDX-License-Identifier: ISC */
/*
 * What strangers must pass (section `policy`, baton.conf(5)): a table of checks, one row each, that
 * says when it is judged, which fact of the DNS it needs, and what the verdict is. Pure functions
 * of the configuration, what the client said and what was found out; smtpd/stranger.h finds out.
 *
 * A stranger is a client of the network that has no leave to relay (peer_is_stranger()).
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "lib/conf.h"
#include "lib/tally.h"
#include "smtpd/policy.h"

#define CHECKS_TEXT 350 /* bytes for a verdict's text */

enum check_stage { CHECK_CONNECT, CHECK_MAIL, CHECK_RCPT };

/* what only the DNS can say */
enum fact_kind {
	FACT_LISTS,  /* on which lists the client is */
	FACT_NAME,   /* its address has a name */
	FACT_BACK,   /* which has that address */
	FACT_HELO,   /* the name in EHLO is in the DNS */
	FACT_SENDER, /* the sender's domain takes mail */
	FACTS
};
#define FACT_BIT(kind) (1u << (kind))

enum fact { FACT_UNKNOWN, FACT_YES, FACT_NO, FACT_NULLMX, FACT_TEMPFAIL };

/* What is known of a stranger. */
struct facts {
	uint32_t open;             /* sessions, this one included */
	uint32_t rate[TALLY_WHATS]; /* in the period, this one included */
	enum fact dns[FACTS];
	int64_t score;    /* of the lists so far */
	const char *list; /* the entry that says the most against it; NULL: none */
};

/* What it said. */
struct said {
	const char *address; /* the client's, as text */
	const char *helo;
	const char *sender_domain; /* NULL: null sender, or one of ours without a domain */
};

/* Facts that have to be known at a stage, as bits. */
unsigned checks_need(const struct conf *conf, enum check_stage stage);

/*
 * The first objection of that stage, or code 0. said may be NULL at CHECK_CONNECT. The text is a
 * literal or stands in `text`. *name: the row's, for the log.
 */
struct verdict checks_judge(const struct conf *conf, enum check_stage stage,
    const struct said *said, const struct facts *facts, char text[CHECKS_TEXT], const char **name);

/* How long its greeting is held back, in ms; 0 for friends and where it would make no sense. */
unsigned checks_greet_delay(const struct conf *conf, const struct peer *peer);
