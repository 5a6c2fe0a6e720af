/* SPDX-License-Identifier: ISC */
/*
 * The askers: a channel to each qmgr, smtpd and deliver, and what each of them still waits for.
 * What an smtpd looks up is kept apart (RESOLVE_SIDE). qmgr is told when resolvers answer again
 * after all were silent.
 *
 * Each SITE and LOOKUP is answered once, within two times RESOLVE_DEADLINE_MS; SOON never is. An
 * asker that goes takes its questions with it; what they brought stays in the cache. One with more
 * than SERVE_REQUESTS_MAX open is answered DNS_TEMPFAIL until some are done.
 *
 * What is found out of a site, asked for or announced, is also put where qmgr and deliver can read
 * it without a question (lib/answers.h).
 */
#pragma once

#include "dnscache/resolve.h"
#include "lib/role.h"

#define SERVE_REQUESTS_MAX 10000

/* Answers from this resolver from now on; ipv6 says whether sites have IPv6 addresses. */
void serve_init(struct resolver *r, bool ipv6);

/* A new asker at the other end of fd, which is taken over. */
void serve_link(int fd, enum role role, unsigned instance);

/* Something may have been counted: brings the counters up to date at the end of the turn. */
void serve_count(void);
