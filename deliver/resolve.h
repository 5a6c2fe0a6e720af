/* SPDX-License-Identifier: ISC */
/*
 * Questions to dnscache: where mail for a domain goes, and which addresses a host has. A question
 * is answered exactly once, or cancelled; while there is no link to dnscache it waits, on a new
 * link it is asked again, and after RESOLVE_MAX_MS it is answered with DNS_TEMPFAIL. What dnscache
 * said a moment ago isn't asked but read (lib/answers.h).
 */
#pragma once

#include "lib/chan.h"
#include "lib/dns.h"

#define RESOLVE_MAX_MS 30000

struct resolve;

/* hosts: the list of lib/dns.h, valid during the call; text: why not, for people. */
typedef void resolve_answer(
    void *arg, enum dns_verdict verdict, struct msg_bytes hosts, struct msg_bytes text);

/* Asks. Returns NULL when out of memory; the answer never comes before the return. */
struct resolve *resolve_site(
    enum dns_site_kind kind, struct msg_bytes domain, resolve_answer *answer, void *arg);

/* The answer is no longer wanted; the question is freed. Not to be called after the answer. */
void resolve_cancel(struct resolve *question);

/* dnscache answered. */
void resolve_answered(const struct msg_dns_site_is *msg);

/* The link to dnscache, NULL while there is none. */
void resolve_link(struct chan *dnscache);
