/* SPDX-License-Identifier: ISC */
/*
 * The kernel says who connects. A tool has one question open at a time; one that goes before its
 * answer calls it off.
 */
#include "dnscache/tools.h"

#include <event2/event.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "dnscache/serve.h"
#include "lib/answers.h"
#include "lib/chan.h"
#include "lib/child.h"
#include "lib/clock.h"
#include "lib/log.h"
#include "lib/loop.h"
#include "lib/rights.h"
#include "lib/status.h"

struct person {
	struct resolver_wait wait; /* first */
	struct chan *chan;
	bool waits;
	uint32_t request;
	int64_t asked_us;
};

static struct event *acceptor;
static struct resolver *resolver;
static unsigned people;

/* explain_say - the answer to EXPLAIN */
static void explain_say(struct person *p, const struct resolver_answer *a)
{
	(void)CHAN_SEND(p->chan, dns_explain_is, .request = p->request,
	    .verdict = (uint8_t)a->verdict, .security = (uint8_t)a->security,
	    .source = (uint8_t)a->source, .ttl_s = a->ttl_s,
	    .took_us = (uint32_t)(clock_us() - p->asked_us), .server = msg_str(a->server),
	    .records = msg_bytes(a->records, a->len), .text = msg_str(a->why));
}

/* explained - an answer came */
static void explained(struct resolver_wait *wait, const struct resolver_answer *answer)
{
	struct person *p = (struct person *)wait;

	p->waits = false;
	explain_say(p, answer);
	serve_count();
}

/* on_explain - a question */
static void on_explain(struct chan *chan, union msg_any *msg, void *arg)
{
	static const struct resolver_answer odd = {.verdict = DNS_NODOMAIN,
	    .source = DNS_FROM_BUILTIN,
	    .ttl_s = CACHE_NEGATIVE_MAX_S,
	    .why = "not a name that the DNS can have",
	    .server = ""};
	static const struct resolver_answer busy = {.verdict = DNS_TEMPFAIL,
	    .ttl_s = 1,
	    .why = "the former question isn't answered yet",
	    .server = ""};
	const struct msg_dns_explain *m = &msg->dns_explain;
	struct person *p = arg;
	char name[DNS_NAME_SIZE];

	(void)chan;
	p->request = m->request;
	p->asked_us = clock_us();
	if (p->waits || dns_type_name(m->type) == NULL ||
	    dns_name_clean(m->name.data, m->name.len, name) != 0) {
		explain_say(p, p->waits ? &busy : &odd);
		return;
	}
	p->wait.done = explained;
	p->wait.use = m->type == DNS_PTR || m->type == DNS_TXT ? RESOLVE_SIDE : RESOLVE_MAIL;
	p->waits = true;
	resolver_ask(resolver, m->type, name, &p->wait);
}

/* put_stats - the resolver's and the caches' counters */
static void put_stats(struct wire_out *w)
{
	struct resolver_stats r;
	struct cache_stats mail, side;

	resolver_stats(resolver, &r);
	cache_stats(resolver_cache(resolver, RESOLVE_MAIL), &mail);
	cache_stats(resolver_cache(resolver, RESOLVE_SIDE), &side);
	const struct {
		const char *name;
		uint64_t value;
	} rows[] = {
	    {"questions", r.asked},
	    {"hits", r.hits},
	    {"misses", r.asked - r.hits},
	    {"joined", r.merged},
	    {"upstream_questions", r.upstream},
	    {"upstream_failures", r.failed},
	    {"upstream_silences", r.silent},
	    {"prefetches", r.ahead},
	    {"stale_answers", r.stale},
	    {"bogus", r.bogus},
	    {"refused", r.refused},
	    {"in_flight", r.inflight},
	    {"cache_entries", mail.entries},
	    {"cache_bytes", mail.bytes},
	    {"cache_evicted", mail.evicted},
	    {"lookup_cache_entries", side.entries},
	    {"lookup_cache_bytes", side.bytes},
	    {"lookup_cache_evicted", side.evicted},
	};
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		status_put_counter(w, rows[i].name, rows[i].value);
}

/* on_stats - counters and resolvers */
static void on_stats(struct chan *chan, union msg_any *msg, void *arg)
{
	uint8_t counters[4096], servers[UPSTREAM_SERVERS_MAX * 128];
	struct wire_out c, s;
	struct dns_server shown;
	const struct upstream_server *server;

	(void)arg;
	wire_out_fixed(&c, counters, sizeof(counters));
	put_stats(&c);
	wire_out_fixed(&s, servers, sizeof(servers));
	for (size_t i = 0; (server = upstream_server(resolver_upstream(resolver), i)) != NULL;
	     i++) {
		server_show(server, &shown);
		dns_server_put(&s, &shown);
	}
	(void)CHAN_SEND(chan, dns_stats_is, .request = msg->dns_stats.request,
	    .counters = msg_bytes(counters, c.len), .servers = msg_bytes(servers, s.len));
}

/* on_flush - forget a name */
static void on_flush(struct chan *chan, union msg_any *msg, void *arg)
{
	const struct msg_dns_flush *m = &msg->dns_flush;
	char name[DNS_NAME_SIZE];
	unsigned n = 0;
	bool good = dns_name_clean(m->name.data, m->name.len, name) == 0;

	(void)arg;
	for (int use = 0; good && use < RESOLVE_USES; use++)
		n += cache_drop(resolver_cache(resolver, (enum resolver_use)use), name);
	answers_drop(); /* the name may be a host of any of them */
	(void)CHAN_SEND(chan, dns_flush_is, .request = m->request, .entries = n,
	    .text = msg_str(good ? "" : "not a name that the DNS can have"));
}

/* on_closed - a tool is gone */
static void on_closed(struct chan *chan, void *arg)
{
	struct person *p = arg;

	if (p->waits)
		resolver_cancel(&p->wait);
	people--;
	chan_free(chan);
	free(p);
}

/* tools_init - whom to ask */
void tools_init(struct resolver *r)
{
	resolver = r;
}

/* tools_link - a new tool */
void tools_link(int fd)
{
	static const struct chan_handlers handlers = {
	    .on[MSG_dns_explain] = on_explain,
	    .on[MSG_dns_stats] = on_stats,
	    .on[MSG_dns_flush] = on_flush,
	    .closed = on_closed,
	};
	struct person *p = people < TOOLS_MAX ? calloc(1, sizeof(*p)) : NULL;

	if (p == NULL) {
		close(fd);
		return;
	}
	p->chan = chan_new(fd, ROLE_DNSCACHE, ROLE_TOOL, 0, &handlers, p);
	if (p->chan == NULL)
		free(p);
	else
		people++;
}

/* on_accept - one tool a turn; what is asked for tells who is written to: nothing for others */
static void on_accept(evutil_socket_t listener, short what, void *arg)
{
	(void)what, (void)arg;
	int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
	if (fd < 0)
		return;
	struct rights_peer peer;
	const struct conf *conf = child_self()->conf;
	int err = rights_peer(fd, conf, &peer);
	if (err || !peer.admin)
		rights_refuse(fd, ROLE_DNSCACHE, conf, err ? NULL : &peer);
	else
		tools_link(fd);
}

/* tools_listen - from now on */
void tools_listen(int fd)
{
	if (acceptor) {
		close(event_get_fd(acceptor));
		event_free(acceptor);
	}
	acceptor = event_new(loop_base(), fd, EV_READ | EV_PERSIST, on_accept, NULL);
	if (!acceptor || event_add(acceptor, NULL) != 0)
		log_fatal("out of memory");
}
