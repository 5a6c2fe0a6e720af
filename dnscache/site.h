/* SPDX-License-Identifier: ISC */
/*
 * Where a domain's mail goes: from its MX set to an ordered list of hosts with addresses, and the
 * name of its site (DESIGN §3).
 *
 * The site is called by the domain's best MX host: the least preference, among equals the first by
 * name. Only the MX set decides, never the order in which a server says it, nor which addresses
 * could be found just now, so that a site keeps its name while its DNS is half broken. A domain
 * without MX is its own host and its own site (RFC 5321 §5.1); an address literal is called by the
 * address, without brackets.
 *
 * Hosts come with what addresses they have, IPv6 and IPv4, at most DNS_ADDRS_MAX; those without any
 * are left out, and so are names that are numbers. Hosts of one preference stand in order of their
 * names: who connects should not always begin with the first.
 *
 * A host that stands in the host's own list (hosts.h) and has no MX is its own host, also where the
 * DNS doesn't know it. Where MX set and addresses are secure, the hosts' TLSA records are fetched
 * ahead.
 */
#pragma once

#include "dnscache/resolve.h"
#include "lib/dns.h"

#define SITE_JOBS_MAX 10000
#define SITE_TTL_SOME 30 /* seconds that a list with gaps is good for, where a look-up failed */

struct site_job;

/* What is known of where a domain's mail goes. */
struct site_answer {
	enum dns_site_kind kind;
	char domain[DNS_NAME_SIZE]; /* what was asked for, clean; an address without brackets */
	enum dns_verdict verdict;
	enum dns_security security; /* of the MX set; bogus if that or all the addresses are */
	uint32_t ttl_s;
	char site[DNS_NAME_SIZE];      /* "" unless the MX set is known */
	char why[128 + DNS_NAME_SIZE]; /* unless DNS_OK: what was asked and what came of it */
	size_t len;
	uint8_t hosts[DNS_HOSTS_BYTES]; /* the list of lib/dns.h, best first */
};

/* Called once; answer is good until the function returns. */
typedef void site_done(const struct site_answer *answer, void *arg);

/*
 * Finds out where mail for `domain` goes, by MX or by a host's addresses; with ipv6 false only IPv4
 * addresses are looked for. May call `done` before it returns; then it returns NULL, else a job
 * that site_cancel() takes. An answer takes at most two times RESOLVE_DEADLINE_MS.
 *
 * Address literals, bare or in brackets, are answered without the DNS. Brackets around a name say
 * that it is a host: no MX is asked for.
 */
struct site_job *site_find(struct resolver *r, enum dns_site_kind kind, const char *domain,
    size_t len, bool ipv6, site_done *done, void *arg);

/* Gives a job up; `done` won't be called. */
void site_cancel(struct site_job *job);
