/* SPDX-License-Identifier: ISC */
/* One question at a time goes out for each tool; each answer leads to the next or to the end. */
#include "qmgr/explain.h"

#include <event2/event.h>
#include <stdlib.h>
#include <string.h>

#include "lib/child.h"
#include "lib/conf.h"
#include "lib/dns.h"
#include "lib/hash.h"
#include "lib/log.h"
#include "lib/loop.h"
#include "lib/str.h"
#include "qmgr/asked.h"
#include "qmgr/route.h"

#define MEMBERS_MAX 50000 /* bytes kept of an alias' members: what an answer has room for */

static struct explain *all;
static uint32_t last_request;

/* find - who asked */
static struct explain *find(uint32_t request)
{
	struct explain *e;
	DL_FOREACH (all, e)
		if (e->request == request && request)
			return e;
	return NULL;
}

/* explain_forget - nobody wants to know any more */
void explain_forget(struct explain *e)
{
	DL_DELETE(all, e);
	event_free(e->timer);
	free(e->members);
	for (unsigned i = 0; i < e->ndns; i++)
		free(e->dns[i].hosts);
	free(e);
}

/* finish - say what is known */
static void finish(struct explain *e)
{
	static unsigned char buf[EXPLAIN_MAX];
	void (*ended)(void *) = e->ended;
	void *arg = e->arg;
	struct wire_out out;
	wire_out_fixed(&out, buf, sizeof(buf));
	explain_facts(e, &out);
	CHAN_SEND(e->chan, tool_explained, .facts = msg_bytes(buf, out.len));
	explain_forget(e);
	ended(arg);
}

/* on_timer - somebody doesn't answer, or nothing is to be asked */
static void on_timer(evutil_socket_t fd, short what, void *arg)
{
	struct explain *e = arg;
	(void)fd, (void)what;
	e->late = e->request != 0;
	finish(e);
}

/* next_number - of a request; none of expand.c and lookup.c is that high */
static uint32_t next_number(void)
{
	last_request = (last_request + 1) & ~EXPLAIN_REQUESTS;
	return last_request | EXPLAIN_REQUESTS;
}

/* ask_keeper - what stands behind the local part; false: there is nobody to ask */
static bool ask_keeper(struct explain *e)
{
	struct chan *keeper = asked_keeper();
	if (!keeper)
		return false;
	e->request = next_number();
	CHAN_SEND(keeper, keeper_expand, .request = e->request, .local = msg_str(e->local),
	    .domain = msg_str(e->domain));
	return true;
}

/* ask_dns - where a domain or host is */
static bool ask_dns(struct explain *e, enum dns_site_kind kind, const char *name)
{
	struct chan *dnscache = asked_dnscache();
	if (!dnscache)
		return false;
	e->request = next_number();
	CHAN_SEND(dnscache, dns_site, .request = e->request, .kind = (uint8_t)kind,
	    .domain = msg_str(name));
	return true;
}

/* ask - whoever is to be asked next; false: nobody */
static bool ask(struct explain *e)
{
	const struct conf_route *route =
	    conf_route(child_self()->conf, e->sender, e->local, e->domain);
	const struct conf_targets *to = &route->to;
	switch (to->v[0].kind) {
	case CONF_TARGET_LOCAL:
		return !e->keeper_said && ask_keeper(e);
	case CONF_TARGET_MX:
		return !e->ndns && e->domain[0] != '[' && ask_dns(e, DNS_SITE_MX, e->domain);
	case CONF_TARGET_RELAY:
	case CONF_TARGET_LMTP:
		return e->ndns < to->n && e->ndns < EXPLAIN_HOSTS && to->v[e->ndns].host &&
		       ask_dns(e, DNS_SITE_HOST, to->v[e->ndns].host);
	default:
		return false;
	}
}

/* go_on - the next question, or the answer */
static void go_on(struct explain *e)
{
	e->request = 0;
	if (!ask(e))
		finish(e);
}

/* explain_heard_keeper - keeper_expand_is; a long list comes in parts */
bool explain_heard_keeper(const struct msg_keeper_expand_is *m)
{
	struct explain *e = find(m->request);
	if (!e)
		return m->request & EXPLAIN_REQUESTS;
	unsigned char *more = realloc(e->members, e->members_len + m->members.len + 1);
	if (!more)
		log_fatal("out of memory for the members of an alias");
	e->members = more;
	if (m->members.len && e->members_len + m->members.len <= MEMBERS_MAX) {
		memcpy(more + e->members_len, m->members.data, m->members.len);
		e->members_len += m->members.len;
	}
	e->keeper = m->verdict;
	if (str_copy_n(e->user, sizeof(e->user), m->user.data, m->user.len) != 0)
		e->user[0] = '\0';
	if (m->verdict == KEEPER_ALIAS && !m->last)
		return true;
	e->keeper_said = true;
	go_on(e);
	return true;
}

/* explain_heard_dns - dns_site_is */
bool explain_heard_dns(const struct msg_dns_site_is *m)
{
	struct explain *e = find(m->request);
	if (!e)
		return m->request & EXPLAIN_REQUESTS;
	struct explain_dns *dns = &e->dns[e->ndns];
	dns->verdict = m->verdict;
	if (str_copy_n(dns->site, sizeof(dns->site), m->site.data, m->site.len) != 0)
		dns->site[0] = '\0';
	size_t n = m->text.len < sizeof(dns->text) ? m->text.len : sizeof(dns->text) - 1;
	memcpy(dns->text, n ? m->text.data : "", n);
	dns->hosts = malloc(m->hosts.len + 1);
	if (!dns->hosts)
		log_fatal("out of memory for the hosts of a domain");
	memcpy(dns->hosts, m->hosts.len ? m->hosts.data : "", m->hosts.len);
	dns->hosts_len = m->hosts.len;
	e->ndns++;
	go_on(e);
	return true;
}

/* take_words - the texts of the question; false: they are none */
static bool take_words(struct explain *e, const struct msg_tool_explain *m)
{
	if (!m->address.len ||
	    str_copy_n(e->address, sizeof(e->address), m->address.data, m->address.len) != 0 ||
	    str_copy_n(e->sender, sizeof(e->sender), m->sender.data, m->sender.len) != 0 ||
	    str_copy_n(e->client, sizeof(e->client), m->client.data, m->client.len) != 0)
		return false;
	route_split(e->address, e->local, e->domain, sizeof(e->local));
	return e->local[0];
}

/* explain_start - the answer comes later, if only by a turn */
struct explain *explain_start(
    struct chan *chan, const struct msg_tool_explain *m, void (*ended)(void *arg), void *arg)
{
	struct explain *e = calloc(1, sizeof(*e));
	if (!e || !(e->timer = evtimer_new(loop_base(), on_timer, e)))
		log_fatal("out of memory for a tool's question");
	*e = (struct explain){.chan = chan, .ended = ended, .arg = arg, .timer = e->timer};
	DL_APPEND(all, e);
	if (!take_words(e, m)) {
		CHAN_SEND(chan, tool_changed, .error = msg_str("that is no address"));
		explain_forget(e);
		return NULL;
	}
	bool asked = ask(e);
	event_add(e->timer, &(struct timeval){.tv_sec = asked ? EXPLAIN_MS / 1000 : 0});
	return e;
}
