/* SPDX-License-Identifier: ISC */
/*
 * A request lives from its message to its answer, in the list of its link, so that a link's end
 * finds what to call off. The resolver often answers before it returns: then the request is over
 * within the handler, and its answer leaves with the turn's other ones in one packet.
 */
#include "dnscache/serve.h"

#include <stdlib.h>
#include <string.h>

#include "dnscache/site.h"
#include "lib/answers.h"
#include "lib/chan.h"
#include "lib/counters.h"
#include "lib/hash.h"
#include "lib/log.h"
#include "lib/loop.h"

struct link {
	struct link *prev, *next;
	struct chan *chan;
	struct request *requests;
	unsigned open;
};

struct request {
	struct resolver_wait wait; /* first; of a LOOKUP */
	struct request *prev, *next;
	struct link *link;
	struct site_job *job; /* of a SITE */
	uint32_t number;
};

static void count(struct loop_task *task);

static struct resolver *resolver;
static bool with_ipv6;
static struct link *links;
static struct loop_task count_task = {.run = count};

/* count - counters from what the resolver and the cache have counted, once a turn */
static void count(struct loop_task *task)
{
	static struct resolver_stats was;
	static uint64_t answers_were, us_were;
	struct resolver_stats now;
	struct cache_stats mail, side;
	uint64_t answers = 0, us = 0;

	(void)task;
	resolver_stats(resolver, &now);
	cache_stats(resolver_cache(resolver, RESOLVE_MAIL), &mail);
	cache_stats(resolver_cache(resolver, RESOLVE_SIDE), &side);
	for (size_t i = 0; upstream_server(resolver_upstream(resolver), i) != NULL; i++) {
		answers += upstream_server(resolver_upstream(resolver), i)->answered;
		us += upstream_server(resolver_upstream(resolver), i)->total_us;
	}
	counter_add(C_dns_cache_hits, now.hits - was.hits);
	counter_add(C_dns_cache_misses, now.asked - now.hits - (was.asked - was.hits));
	counter_add(C_dns_queries, now.upstream - was.upstream);
	counter_add(C_dns_timeouts, now.silent - was.silent);
	counter_add(C_dns_prefetches, now.ahead - was.ahead);
	counter_add(C_dns_stale_answers, now.stale - was.stale);
	counter_add(C_dns_bogus, now.bogus - was.bogus);
	/* Other servers after a reload begin at nothing. */
	counter_add(C_dns_upstream_answers, answers > answers_were ? answers - answers_were : 0);
	counter_add(C_dns_upstream_us, us > us_were ? us - us_were : 0);
	counter_set(C_dns_cache_bytes, mail.bytes + side.bytes);
	was = now;
	answers_were = answers;
	us_were = us;
}

/* request_new - a request of a link; NULL when it has too many, or no memory */
static struct request *request_new(struct link *link, uint32_t number)
{
	struct request *req = link->open < SERVE_REQUESTS_MAX ? calloc(1, sizeof(*req)) : NULL;

	counter_add(C_dns_requests, 1);
	loop_defer(&count_task);
	if (req == NULL)
		return NULL;
	req->link = link;
	req->number = number;
	link->open++;
	DL_APPEND(link->requests, req);
	return req;
}

/* request_free - it was answered or called off */
static void request_free(struct request *req)
{
	loop_defer(&count_task);
	DL_DELETE(req->link->requests, req);
	req->link->open--;
	free(req);
}

/* site_is - the message that an answer is */
static struct msg_dns_site_is site_is(uint32_t number, const struct site_answer *a)
{
	return (struct msg_dns_site_is){.request = number,
	    .verdict = (uint8_t)a->verdict,
	    .security = (uint8_t)a->security,
	    .ttl_s = a->ttl_s,
	    .site = msg_str(a->site),
	    .hosts = msg_bytes(a->hosts, a->len),
	    .text = msg_str(a->why)};
}

/* site_tell - to whoever asks next */
static void site_tell(const struct site_answer *a)
{
	const struct msg_dns_site_is m = site_is(0, a);

	answers_tell(a->kind, a->domain, &m);
}

/* site_say - the answer to SITE; the link's end is noticed by its own handler */
static void site_say(struct link *link, uint32_t number, const struct site_answer *a)
{
	const struct msg_dns_site_is m = site_is(number, a);

	(void)chan_send(link->chan, MSG_dns_site_is, &m);
}

/* site_heard - a site is known, or not */
static void site_heard(const struct site_answer *answer, void *arg)
{
	struct request *req = arg;

	site_tell(answer);
	site_say(req->link, req->number, answer);
	request_free(req);
}

/* on_site - where does mail for a domain go? */
static void on_site(struct chan *chan, union msg_any *msg, void *arg)
{
	static const struct site_answer busy = {
	    .verdict = DNS_TEMPFAIL, .ttl_s = 1, .why = "too many questions at once"};
	const struct msg_dns_site *m = &msg->dns_site;
	struct request *req = request_new(arg, m->request);
	struct site_job *job;

	(void)chan;
	if (req == NULL) {
		site_say(arg, m->request, &busy);
		return;
	}
	/* Answered at once there is neither job nor request any more. */
	job = site_find(resolver, m->kind == DNS_SITE_HOST ? DNS_SITE_HOST : DNS_SITE_MX,
	    m->domain.data, m->domain.len, with_ipv6, site_heard, req);
	if (job != NULL)
		req->job = job;
}

/* soon_heard - it is in the cache now, and nobody waits */
static void soon_heard(const struct site_answer *answer, void *arg)
{
	(void)arg;
	site_tell(answer);
}

/* on_soon - domains that will be asked for next, as long as there is room for them */
static void on_soon(struct chan *chan, union msg_any *msg, void *arg)
{
	struct resolver_stats stats;
	const char *name;
	struct wire_in w;
	size_t len;

	(void)chan;
	(void)arg;
	wire_in_init(&w, msg->dns_soon.domains.data, msg->dns_soon.domains.len);
	while (dns_soon_next(&w, &name, &len)) {
		resolver_stats(resolver, &stats);
		if (stats.inflight > RESOLVE_QUESTIONS_MAX / 2)
			return;
		site_find(resolver, DNS_SITE_MX, name, len, with_ipv6, soon_heard, NULL);
	}
}

/* lookup_say - the answer to LOOKUP */
static void lookup_say(struct link *link, uint32_t number, const struct resolver_answer *a)
{
	(void)CHAN_SEND(link->chan, dns_lookup_is, .request = number,
	    .verdict = (uint8_t)a->verdict, .security = (uint8_t)a->security, .ttl_s = a->ttl_s,
	    .records = msg_bytes(a->records, a->len), .text = msg_str(a->why ? a->why : ""));
}

/* lookup_heard - a question is answered */
static void lookup_heard(struct resolver_wait *wait, const struct resolver_answer *answer)
{
	struct request *req = (struct request *)wait;

	lookup_say(req->link, req->number, answer);
	request_free(req);
}

/* lookup_literal - "192.0.2.1" asked for as a host: that is its address */
static bool lookup_literal(struct link *link, const struct msg_dns_lookup *m)
{
	struct resolver_answer answer = {.verdict = DNS_NODATA, .ttl_s = CACHE_NEGATIVE_MAX_S};
	uint8_t buf[32];
	struct dns_addr addr;
	struct wire_out w;

	if ((m->type != DNS_A && m->type != DNS_AAAA) ||
	    dns_addr_parse(m->name.data, m->name.len, &addr) != 0)
		return false;
	wire_out_fixed(&w, buf, sizeof(buf));
	if (addr.family == (m->type == DNS_A ? 4 : 6)) {
		dns_record_put(&w, addr.bytes, m->type == DNS_A ? 4 : 16);
		answer = (struct resolver_answer){
		    .verdict = DNS_OK, .ttl_s = CACHE_TTL_MAX_S, .len = w.len, .records = buf};
	}
	counter_add(C_dns_requests, 1);
	lookup_say(link, m->request, &answer);
	return true;
}

/* on_lookup - one question */
static void on_lookup(struct chan *chan, union msg_any *msg, void *arg)
{
	static const struct resolver_answer busy = {
	    .verdict = DNS_TEMPFAIL, .ttl_s = 1, .why = "too many questions at once"};
	static const struct resolver_answer odd = {.verdict = DNS_NODOMAIN,
	    .ttl_s = CACHE_NEGATIVE_MAX_S,
	    .why = "not a name that the DNS can have"};
	const struct msg_dns_lookup *m = &msg->dns_lookup;
	char name[DNS_NAME_SIZE];
	struct request *req;

	if (lookup_literal(arg, m))
		return;
	req = request_new(arg, m->request);
	if (req == NULL) {
		lookup_say(arg, m->request, &busy);
		return;
	}
	if (dns_type_name(m->type) == NULL ||
	    dns_name_clean(m->name.data, m->name.len, name) != 0) {
		request_free(req);
		lookup_say(arg, m->request, &odd);
		return;
	}
	req->wait.done = lookup_heard;
	/* What clients make an smtpd ask mustn't throw out what mail needs. */
	req->wait.use = chan_peer(chan) == ROLE_SMTPD ? RESOLVE_SIDE : RESOLVE_MAIL;
	resolver_ask(resolver, m->type, name, &req->wait);
}

/* on_closed - the asker is gone, with all it asked */
static void on_closed(struct chan *chan, void *arg)
{
	struct link *link = arg;

	while (link->requests != NULL) {
		struct request *req = link->requests;

		site_cancel(req->job);
		resolver_cancel(&req->wait);
		request_free(req);
	}
	DL_DELETE(links, link);
	chan_free(chan);
	free(link);
}

/* on_back - the resolvers' return, to those that keep what failed */
static void on_back(void *arg)
{
	struct link *link;

	(void)arg;
	DL_FOREACH (links, link)
		if (chan_peer(link->chan) == ROLE_QMGR)
			(void)CHAN_SEND(link->chan, dns_back, );
}

/* serve_init - whom to ask */
void serve_init(struct resolver *r, bool ipv6)
{
	resolver = r;
	with_ipv6 = ipv6;
	resolver_on_back(r, on_back, NULL);
}

/* serve_link - a new asker */
void serve_link(int fd, enum role role, unsigned instance)
{
	static const struct chan_handlers handlers = {
	    .on[MSG_dns_site] = on_site,
	    .on[MSG_dns_soon] = on_soon,
	    .on[MSG_dns_lookup] = on_lookup,
	    .closed = on_closed,
	};
	struct link *link = calloc(1, sizeof(*link));

	if (link == NULL)
		log_fatal("out of memory for a link");
	link->chan = chan_new(fd, ROLE_DNSCACHE, role, instance, &handlers, link);
	if (link->chan == NULL)
		log_fatal("out of memory for a link");
	DL_APPEND(links, link);
}

/* serve_count - the counters, at the end of the turn */
void serve_count(void)
{
	loop_defer(&count_task);
}
