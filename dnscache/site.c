/* SPDX-License-Identifier: ISC */
/*
 * A job asks for the MX set, then for both kinds of addresses of all hosts at once, and counts what
 * is still to come. The resolver may answer before it returns, so the count is held up by one while
 * the questions are put: the job ends once, and never under its own loop.
 */
#include "dnscache/site.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* One question about one host's addresses. */
struct address_wait {
	struct resolver_wait wait; /* first */
	struct site_job *job;
	uint8_t host;
	bool ipv6;
};

struct site_job {
	struct resolver_wait mx; /* first: the resolver's word for the job */
	struct resolver *resolver;
	enum dns_site_kind kind; /* what is asked */
	char domain[DNS_NAME_SIZE];
	bool by_mx; /* hosts come from an MX set */
	bool ipv6;
	unsigned pending;
	uint32_t ttl_s;
	enum dns_security security; /* of the MX set, or of what failed */
	bool failed;                /* a look-up of an address failed: the list may have gaps */
	bool bogus;                 /* of those, because of a signature */
	bool nodomain;              /* a host doesn't exist at all */
	const char *why;            /* of the last failure */
	unsigned nhosts;
	struct dns_host *hosts;     /* of the site, best first */
	struct address_wait *waits; /* two for each host: IPv6, IPv4 */
	site_done *done;
	void *arg;
	bool *ended; /* while site_find() runs: tells it that the job is gone */
};

static unsigned jobs;

/* job_free - a job with its hosts */
static void job_free(struct site_job *job)
{
	jobs--;
	if (job->ended != NULL)
		*job->ended = true;
	free(job->hosts);
	free(job->waits);
	free(job);
}

/* ttl_least - a fact's time bounds the whole answer's */
static void ttl_least(struct site_job *job, uint32_t ttl_s)
{
	job->ttl_s = ttl_s < job->ttl_s ? ttl_s : job->ttl_s;
}

/* job_end - tell the asker; the job is gone afterwards */
static void job_end(struct site_job *job, enum dns_verdict verdict, const char *site)
{
	static struct site_answer answer; /* large; good until `done` returns */
	struct wire_out w;
	site_done *done = job->done;
	void *arg = job->arg;

	memset(&answer, 0, offsetof(struct site_answer, hosts));
	answer.kind = job->kind;
	snprintf(answer.domain, sizeof(answer.domain), "%s", job->domain);
	answer.verdict = verdict;
	answer.security = job->security;
	answer.ttl_s = job->ttl_s;
	snprintf(answer.site, sizeof(answer.site), "%s", site);
	if (verdict != DNS_OK)
		snprintf(answer.why, sizeof(answer.why), "%s: %s", job->domain, job->why);
	wire_out_fixed(&w, answer.hosts, sizeof(answer.hosts));
	for (unsigned i = 0; i < job->nhosts && verdict == DNS_OK; i++)
		if (job->hosts[i].naddrs > 0)
			dns_host_put(&w, &job->hosts[i]);
	answer.len = w.len;
	job_free(job);
	done(&answer, arg);
}

/* job_fail - an answer without hosts */
static void job_fail(
    struct site_job *job, enum dns_verdict verdict, uint32_t ttl_s, const char *why)
{
	ttl_least(job, ttl_s);
	job->why = why;
	job_end(job, verdict, "");
}

/* tlsa_fetch - what DANE will ask for, where signatures are (RFC 7672 §2.2) */
static void tlsa_fetch(const struct site_job *job)
{
	char name[DNS_NAME_SIZE + 16];

	for (unsigned i = 0; i < job->nhosts; i++) {
		if (!job->hosts[i].secure || job->hosts[i].naddrs == 0)
			continue;
		snprintf(name, sizeof(name), "_25._tcp.%s", job->hosts[i].name);
		if (strlen(name) <= DNS_NAME_MAX)
			resolver_fetch(job->resolver, DNS_TLSA, name);
	}
}

/* hosts_known - all addresses have come or failed */
static void hosts_known(struct site_job *job)
{
	/* job_end() copies the name before it frees the hosts. */
	const char *site = job->nhosts > 0 ? job->hosts[0].name : "";
	unsigned usable = 0;

	for (unsigned i = 0; i < job->nhosts; i++)
		usable += job->hosts[i].naddrs > 0;
	if (job->security == DNS_SECURE)
		tlsa_fetch(job);
	if (job->failed)
		ttl_least(job, usable > 0 ? SITE_TTL_SOME : RESOLVE_FAILED_S);
	if (usable > 0) {
		job_end(job, DNS_OK, site);
	} else if (job->failed) {
		job->security = job->bogus ? DNS_BOGUS : job->security;
		job_end(job, DNS_TEMPFAIL, site);
	} else if (job->nodomain && !job->by_mx) {
		job->why = "no such host";
		job_end(job, DNS_NODOMAIN, site);
	} else {
		job->why = job->by_mx ? "no MX host has an address" : "no MX and no address";
		job_end(job, DNS_NODATA, site);
	}
}

/* addrs_take - a host's addresses; IPv6 goes before IPv4, half the room is IPv4's */
static void addrs_take(struct dns_host *host, uint16_t type, const struct resolver_answer *answer)
{
	unsigned room = DNS_ADDRS_MAX / 2;
	struct dns_addr found[DNS_ADDRS_MAX / 2];
	struct dns_record rec;
	struct wire_in w;
	unsigned n = 0;

	wire_in_init(&w, answer->records, answer->len);
	while (n < room && dns_record_next(&w, type, &rec))
		found[n++] = rec.addr;
	if (type == DNS_AAAA)
		memmove(host->addrs + n, host->addrs, host->naddrs * sizeof(found[0]));
	memcpy(host->addrs + (type == DNS_AAAA ? 0 : host->naddrs), found, n * sizeof(found[0]));
	host->naddrs = (uint8_t)(host->naddrs + n);
}

/* address_heard - one of the questions for addresses is answered */
static void address_heard(struct resolver_wait *wait, const struct resolver_answer *answer)
{
	struct address_wait *aw = (struct address_wait *)wait;
	struct site_job *job = aw->job;
	struct dns_host *host = &job->hosts[aw->host];

	host->secure &= answer->security == DNS_SECURE;
	if (answer->verdict == DNS_OK) {
		addrs_take(host, aw->ipv6 ? DNS_AAAA : DNS_A, answer);
		ttl_least(job, answer->ttl_s);
	} else if (answer->verdict == DNS_TEMPFAIL) {
		job->failed = true;
		job->bogus |= answer->security == DNS_BOGUS;
		job->why = answer->why;
	} else {
		job->nodomain |= answer->verdict == DNS_NODOMAIN;
		ttl_least(job, answer->ttl_s);
	}
	if (--job->pending == 0)
		hosts_known(job);
}

/* address_ask - ask for one kind of addresses of one host */
static void address_ask(struct site_job *job, unsigned host, bool ipv6)
{
	struct address_wait *aw = &job->waits[2 * host + (ipv6 ? 0 : 1)];

	aw->wait.done = address_heard;
	aw->job = job;
	aw->host = (uint8_t)host;
	aw->ipv6 = ipv6;
	job->pending++;
	resolver_ask(job->resolver, ipv6 ? DNS_AAAA : DNS_A, job->hosts[host].name, &aw->wait);
}

/* hosts_ask - ask for the addresses of all hosts; the job may be gone afterwards */
static void hosts_ask(struct site_job *job)
{
	job->waits = calloc(2 * (size_t)job->nhosts + 1, sizeof(*job->waits));
	if (job->waits == NULL) {
		job_fail(job, DNS_TEMPFAIL, RESOLVE_SILENT_S, "out of memory");
		return;
	}
	job->pending = 1;
	for (unsigned i = 0; i < job->nhosts; i++)
		job->hosts[i].secure = true; /* until an answer isn't */
	for (unsigned i = 0; i < job->nhosts; i++) {
		if (job->ipv6)
			address_ask(job, i, true);
		address_ask(job, i, false);
	}
	if (--job->pending == 0)
		hosts_known(job);
}

/* hosts_one - the domain is its own host */
static int hosts_one(struct site_job *job)
{
	job->hosts = calloc(1, sizeof(*job->hosts));
	if (job->hosts == NULL)
		return -ENOMEM;
	job->nhosts = 1;
	memcpy(job->hosts[0].name, job->domain, sizeof(job->domain));
	return 0;
}

/* hosts_mx - the hosts of an MX set, which the resolver keeps sorted, best first */
static int hosts_mx(struct site_job *job, const struct resolver_answer *answer)
{
	struct dns_record rec;
	struct dns_addr literal;
	struct wire_in w;

	size_t n = 0;

	job->by_mx = true;
	wire_in_init(&w, answer->records, answer->len);
	while (n < DNS_HOSTS_MAX && dns_record_next(&w, DNS_MX, &rec))
		n++;
	job->hosts = calloc(n + 1, sizeof(*job->hosts));
	if (job->hosts == NULL)
		return -ENOMEM;
	wire_in_init(&w, answer->records, answer->len);
	while (job->nhosts < n && dns_record_next(&w, DNS_MX, &rec)) {
		struct dns_host *host = &job->hosts[job->nhosts];

		/* "MX 10 192.0.2.1": the look-up of such a name finds nothing, or a lie. */
		if (dns_addr_parse(rec.data, rec.len, &literal) == 0 ||
		    dns_name_clean(rec.data, rec.len, host->name) != 0)
			continue;
		host->preference = rec.preference;
		job->nhosts++;
	}
	return 0;
}

/* mx_heard - the MX set is known, or there is none */
static void mx_heard(struct resolver_wait *wait, const struct resolver_answer *answer)
{
	struct site_job *job = (struct site_job *)wait;
	enum dns_verdict verdict = answer->verdict;
	int ret = 0;

	/* A host that only our own list knows is no domain that doesn't exist. */
	if (verdict == DNS_NODOMAIN && resolver_in_hosts(job->resolver, job->domain))
		verdict = DNS_NODATA;
	job->security = answer->security;
	switch (verdict) {
	case DNS_OK:
		ret = hosts_mx(job, answer);
		break;
	case DNS_NODATA:
		ret = hosts_one(job);
		break;
	case DNS_NULLMX:
		job_fail(job, DNS_NULLMX, answer->ttl_s, "the domain takes no mail (null MX)");
		return;
	case DNS_NODOMAIN:
		job_fail(job, DNS_NODOMAIN, answer->ttl_s, "no such domain");
		return;
	default:
		job_fail(job, DNS_TEMPFAIL, answer->ttl_s, answer->why);
		return;
	}
	ttl_least(job, answer->ttl_s);
	if (ret != 0)
		job_fail(job, DNS_TEMPFAIL, RESOLVE_SILENT_S, "out of memory");
	else
		hosts_ask(job);
}

/* literal - an address needs no question */
static void literal(struct site_job *job, const struct dns_addr *addr)
{
	dns_addr_text(addr, job->domain);
	if (hosts_one(job) != 0) {
		job_fail(job, DNS_TEMPFAIL, RESOLVE_SILENT_S, "out of memory");
		return;
	}
	job->hosts[0].naddrs = 1;
	job->hosts[0].addrs[0] = *addr;
	hosts_known(job);
}

/* job_start - the first step of a job; it may be its last */
static void job_start(struct site_job *job, enum dns_site_kind kind, const char *domain, size_t len)
{
	struct dns_addr addr;

	job->kind = kind;
	if (dns_addr_parse(domain, len, &addr) == 0) {
		literal(job, &addr);
		return;
	}
	if (len > 2 && domain[0] == '[' && domain[len - 1] == ']') {
		job->kind = DNS_SITE_HOST;
		domain++;
		len -= 2;
	}
	if (dns_name_clean(domain, len, job->domain) != 0) {
		snprintf(job->domain, sizeof(job->domain), "destination");
		job_fail(
		    job, DNS_NODOMAIN, CACHE_NEGATIVE_MAX_S, "not a name that the DNS can have");
	} else if (job->kind == DNS_SITE_MX) {
		job->mx.done = mx_heard;
		resolver_ask(job->resolver, DNS_MX, job->domain, &job->mx);
	} else if (hosts_one(job) != 0) {
		job_fail(job, DNS_TEMPFAIL, RESOLVE_SILENT_S, "out of memory");
	} else {
		hosts_ask(job);
	}
}

/* site_find - where a domain's mail goes */
struct site_job *site_find(struct resolver *r, enum dns_site_kind kind, const char *domain,
    size_t len, bool ipv6, site_done *done, void *arg)
{
	static const struct site_answer busy = {.verdict = DNS_TEMPFAIL,
	    .ttl_s = RESOLVE_SILENT_S,
	    .why = "too many questions at once"};
	struct site_job *job = jobs < SITE_JOBS_MAX ? calloc(1, sizeof(*job)) : NULL;
	bool ended = false;

	if (job == NULL) {
		done(&busy, arg);
		return NULL;
	}
	jobs++;
	job->resolver = r;
	job->ipv6 = ipv6;
	job->ttl_s = CACHE_TTL_MAX_S;
	job->done = done;
	job->arg = arg;
	job->why = "";
	job->ended = &ended;
	job_start(job, kind, domain, len);
	if (ended)
		return NULL;
	job->ended = NULL;
	return job;
}

/* site_cancel - give a job up */
void site_cancel(struct site_job *job)
{
	if (job == NULL)
		return;
	resolver_cancel(&job->mx);
	for (unsigned i = 0; job->waits != NULL && i < 2 * job->nhosts; i++)
		resolver_cancel(&job->waits[i].wait);
	job_free(job);
}
