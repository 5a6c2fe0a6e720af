/* SPDX-License-Identifier: ISC */
/*
 * The facts, in groups: who, the route, the hosts, the site, and then the one line that says what
 * comes of them, with what could be done about it.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "lib/child.h"
#include "lib/conf.h"
#include "lib/dns.h"
#include "lib/job.h"
#include "qmgr/classify.h"
#include "qmgr/explain.h"
#include "qmgr/message.h"
#include "qmgr/now.h"
#include "qmgr/pause.h"
#include "qmgr/route.h"
#include "qmgr/site.h"

#define put(facts, name, ...) explain_put((facts)->out, EXPLAIN_##name, __VA_ARGS__)

/* What the groups find out for those behind them. */
struct facts {
	const struct explain *e;
	const struct conf *conf;
	struct wire_out *out;
	const struct conf_route *route;
	enum conf_target_kind kind;
	char site_name[EXPLAIN_ADDRESS];
	char names[DNS_HOSTS_MAX][DNS_NAME_SIZE]; /* of the hosts, for the site's entry */
	const char *mx[DNS_HOSTS_MAX];
	size_t nmx;
	const struct site *site;   /* NULL: not in use now */
	const struct pause *pause; /* NULL: none */
};

/* put_place - file:line of a section */
static void put_place(struct facts *f, enum explain_fact fact, const char *file, uint32_t line)
{
	if (line)
		explain_put(f->out, fact, "%s:%u", file, line);
	else
		explain_put(f->out, fact, "built in");
}

/* -- who */

/* facts_local - is it for this host, and by which word of the configuration */
static void facts_local(struct facts *f)
{
	const char *domain = f->e->domain;
	bool local = f->kind == CONF_TARGET_LOCAL;
	put(f, local, "%d", local);
	if (!domain[0])
		put(f, why, "an address without a domain is a user of this host");
	else if (f->route == &f->conf->route_local)
		put(f, why, "%s is in local_domains", domain);
	else if (local)
		put(f, why, "route \"%s\" says so", f->route->title);
	else if (conf_is_local_domain(f->conf, domain))
		put(f, why, "%s is in local_domains, but the route comes first", domain);
	else
		put(f, why, "%s is not in local_domains", domain);
}

/* facts_user - what keeper said */
static void facts_user(struct facts *f)
{
	const struct explain *e = f->e;
	if (f->kind != CONF_TARGET_LOCAL || !e->keeper_said)
		return;
	if (e->keeper == KEEPER_MAILBOX) {
		put(f, user, "%s", e->user);
		put(f, mailbox, "%s", f->conf->mailbox);
	}
}

/* facts_members - of an alias; last, for they may be many */
static void facts_members(struct facts *f)
{
	const struct explain *e = f->e;
	struct msg_bytes member;
	size_t pos = 0;
	while (e->keeper_said && e->keeper == KEEPER_ALIAS &&
	       job_next_text(msg_bytes(e->members, e->members_len), &pos, &member) == 1)
		put(f, members, "%.*s", (int)member.len, member.data);
}

/* client_addr - the address that was given; false: it is none */
static bool client_addr(const char *text, struct sockaddr_storage *out)
{
	struct dns_addr addr;
	if (dns_addr_parse(text, strlen(text), &addr) != 0)
		return false;
	dns_addr_sockaddr(&addr, 0, out);
	return true;
}

/* may_send - what smtpd says at RCPT to that client at that listener */
static void may_send(
    struct facts *f, const struct conf_listen *listen, const struct sockaddr *client)
{
	const char *domain = f->e->domain, *title = listen->title;
	bool local = !domain[0] || conf_is_local_domain(f->conf, domain);
	if (listen->auth == CONF_AUTH_REQUIRED)
		put(f, accept, "listener \"%s\": only after a login (auth = required)", title);
	else if (local && f->e->keeper_said && f->e->keeper == KEEPER_UNKNOWN)
		put(f, accept, "listener \"%s\": no, 550 5.1.1: there is no such user", title);
	else if (local)
		put(f, accept, "listener \"%s\": yes, the domain is one of local_domains", title);
	else if (conf_may_relay(f->conf, client))
		put(f, accept, "listener \"%s\": yes, the client is in relay_from", title);
	else if (conf_may_relay_to(f->conf, domain))
		put(f, accept, "listener \"%s\": yes, the domain is in relay_to", title);
	else
		put(f, accept,
		    "listener \"%s\": no, 554 5.7.1: the client is not in relay_from, the domain "
		    "neither in local_domains nor in relay_to%s",
		    title, listen->auth == CONF_AUTH_OFFERED ? "; after a login: yes" : "");
}

/* facts_client - whether smtpd would take it */
static void facts_client(struct facts *f)
{
	struct sockaddr_storage addr;
	if (!f->e->client[0])
		return;
	put(f, client, "%s", f->e->client);
	if (!client_addr(f->e->client, &addr)) {
		put(f, accept, "that is no IP address");
		return;
	}
	for (size_t i = 0; i < f->conf->nlisten; i++)
		may_send(f, &f->conf->listen[i], (const struct sockaddr *)&addr);
	if (pause_covers_intake())
		put(f, accept, "but the intake is paused: 452 4.3.2 to everybody");
}

/* -- the route */

/* class_of - of a message without noted header fields */
static const struct class *class_of(const struct facts *f)
{
	const struct envelope env = {.sender = msg_str(f->e->sender),
	    .client = msg_str(f->e->client),
	    .listener = msg_str(""),
	    .user = msg_str(""),
	    .uid = UINT32_MAX};
	classify_message(&env, NULL, 0);
	return classify_rcpt(f->e->address);
}

/* facts_source - where it leaves from */
static void facts_source(struct facts *f, const struct class *class)
{
	const char *title = route_source(f->route, class, f->e->sender);
	const struct conf_source *source = conf_source(f->conf, title);
	char text[CONF_ADDR_TEXT];
	if (!source)
		return;
	put(f, source, "%s", title);
	for (size_t i = 0; i < source->address.n; i++)
		put(f, source_addresses, "%s", conf_addr_format(&source->address.v[i], text));
	put(f, hello, "%s", source->hello[0] ? source->hello : f->conf->hostname);
}

/* facts_route - title, place, where to, class, login */
static void facts_route(struct facts *f)
{
	const struct class *class = class_of(f);
	put(f, route, "%s", f->route->title);
	if (f->route == &f->conf->route_local)
		put(f, route_at, "local_domains");
	else
		put_place(f, EXPLAIN_route_at, f->route->file, f->route->line);
	for (size_t i = 0; i < f->route->to.n; i++)
		put(f, to, "%s%s", f->route->to.v[i].name,
		    f->route->to.v[i].implicit_tls ? " (TLS from the first byte)" : "");
	put(f, class, "%s", class->name);
	put(f, lifetime, "%" PRIu64, class_lifetime(class) / 1000);
	if (f->route->auth[0])
		put(f, auth, "%s", f->route->auth);
	facts_source(f, class);
}

/* -- the hosts */

/* put_host - one with its addresses, noted for the site's entry */
static void put_host(struct facts *f, const struct dns_host *host)
{
	char text[DNS_ADDRS_MAX * (DNS_LITERAL_SIZE + 2)] = "", one[DNS_LITERAL_SIZE];
	for (unsigned i = 0; i < host->naddrs && i < DNS_ADDRS_MAX; i++) {
		size_t n = strlen(text);
		snprintf(text + n, sizeof(text) - n, "%s%s", i ? ", " : "",
		    dns_addr_text(&host->addrs[i], one));
	}
	if (f->kind == CONF_TARGET_MX)
		put(f, hosts, "%u %s: %s", host->preference, host->name, text);
	else
		put(f, hosts, "%s: %s", host->name, text);
	if (f->kind != CONF_TARGET_MX || f->nmx == DNS_HOSTS_MAX)
		return;
	memcpy(f->names[f->nmx], host->name, sizeof(host->name));
	f->mx[f->nmx] = f->names[f->nmx];
	f->nmx++;
}

/* facts_dns - what dnscache said */
static void facts_dns(struct facts *f)
{
	for (unsigned i = 0; i < f->e->ndns; i++) {
		const struct explain_dns *dns = &f->e->dns[i];
		struct dns_host host;
		struct wire_in in;
		if (dns->verdict != DNS_OK)
			put(f, dns, "%s%s%s", dns_verdict_name(dns->verdict),
			    dns->text[0] ? ": " : "", dns->text);
		wire_in_init(&in, dns->hosts, dns->hosts_len);
		while (dns->verdict == DNS_OK && dns_host_next(&in, &host))
			put_host(f, &host);
	}
}

/* -- the site */

/* name_site - as its destination would be bound (pool.c) */
static void name_site(struct facts *f)
{
	const struct explain *e = f->e;
	const char *given;
	size_t n;
	switch (f->kind) {
	case CONF_TARGET_LOCAL:
		snprintf(f->site_name, sizeof(f->site_name), SITE_LOCAL);
		break;
	case CONF_TARGET_MX:
		given = f->nmx ? conf_site_name(f->conf, f->mx[0]) : NULL;
		if (e->domain[0] == '[')
			given = e->domain;
		else if (!e->ndns || e->dns[0].verdict != DNS_OK)
			return;
		snprintf(f->site_name, sizeof(f->site_name), "%s", given ? given : e->dns[0].site);
		break;
	case CONF_TARGET_RELAY:
	case CONF_TARGET_LMTP:
	case CONF_TARGET_LMTP_UNIX:
		n = route_hop_name(f->route, e->domain, f->site_name, sizeof(f->site_name));
		f->site_name[n] = '\0';
		for (size_t i = 0; i < f->route->to.n && f->nmx < DNS_HOSTS_MAX; i++)
			f->mx[f->nmx++] = f->route->to.v[i].kind == CONF_TARGET_LMTP_UNIX
					      ? f->route->to.v[i].path
					      : f->route->to.v[i].host;
		break;
	default:
		break;
	}
}

/* put_entry - the site block that holds, and by what it was found */
static void put_entry(struct facts *f, const char *domain)
{
	static const char *const words[] = {[CONF_SITE_BY_NAME] = "the site's name",
	    [CONF_SITE_BY_HOST] = "a suffix of a host's name",
	    [CONF_SITE_BY_DOMAIN] = "the recipient's domain",
	    [CONF_SITE_BY_ANY] = "nothing closer: \"*\""};
	enum conf_site_by by;
	const struct conf_site *entry =
	    conf_site_entry(f->conf, f->site_name, f->mx, f->nmx, domain, &by);
	if (!entry) {
		put(f, site_entry, "none: what is built in");
		return;
	}
	put(f, site_entry, "%s", entry->title);
	put_place(f, EXPLAIN_site_entry_at, entry->file, entry->line);
	put(f, site_entry_by, "%s", words[by]);
}

/* put_tls - what is asked for, and who says so */
static void put_tls(struct facts *f, const struct conf_site *limits)
{
	static const char *const words[] = {[CONF_TLS_NONE] = "none",
	    [CONF_TLS_OPPORTUNISTIC] = "opportunistic: used where it is offered",
	    [CONF_TLS_REQUIRED] = "required: no mail without, any certificate will do",
	    [CONF_TLS_VERIFY] = "verify: no mail without a certificate that is good for the name"};
	uint8_t tls = site_tls(f->route, (uint8_t)limits->tls);
	put(f, tls, "%s", tls < sizeof(words) / sizeof(words[0]) && words[tls] ? words[tls] : "?");
	if (f->route->tls)
		put(f, tls_by, "route \"%s\"", f->route->title);
	else
		put(f, tls_by, "site entry \"%s\", or the default", limits->title);
}

/* put_limits - what the configuration allows */
static void put_limits(struct facts *f, const struct conf_site *limits)
{
	const struct conf_rate *rate = &limits->rate;
	put(f, connections_max, "%u", f->site ? f->site->limits.connections : limits->connections);
	if (f->kind == CONF_TARGET_LOCAL)
		return;
	if (rate->count)
		put(f, rate, "%u in %u s", rate->count, rate->period / 1000);
	else
		put(f, rate, "no limit");
	put(f, messages_per_connection, "%u", limits->messages_per_connection);
	put(f, recipients_per_message, "%u", limits->recipients_per_message);
	put_tls(f, limits);
}

/* put_learned - what the site taught us */
static void put_learned(struct facts *f)
{
	const struct site *s = f->site;
	if (s->fewer)
		put(f, learned, "takes at most %u recipients a message", s->fewer);
	if (s->one_domain)
		put(f, learned, "wants one domain a message");
	if (s->ipv4_until > now_ms())
		put(f, learned, "refuses mail over IPv6");
	if (s->plain_until > now_ms())
		put(f, learned, "TLS fails with a host of it: plaintext, unless TLS is required");
	if (s->throttle.ceiling)
		put(f, learned, "stands %u connections, not more", s->throttle.ceiling);
	if (s->steps_ms)
		put(f, learned, "can't take commands ahead: it is served step by step");
}

/* put_state - how it is just now */
static void put_state(struct facts *f)
{
	static const char *const words[] = {
	    [SITE_UP] = "up", [SITE_DOWN] = "down", [SITE_PROBING] = "down, being probed now"};
	const struct site *s = f->site;
	if (!s) {
		put(f, state, "not in use now");
		return;
	}
	put(f, state, "%s", words[s->state]);
	put(f, connections_limit, "%u", site_limit(s));
	put(f, connections, "%u", s->nconns);
	if (s->trouble) {
		put(f, trouble, "%s", s->trouble->text);
		put(f, trouble_at, "%" PRIu64, s->trouble->at_ms);
	}
	if (s->state != SITE_UP) {
		put(f, since, "%" PRIu64, s->down_since);
		put(f, probe, "%" PRIu64, s->probe_at);
	}
	put_learned(f);
}

/* facts_site - name, entry, limits, state */
static void facts_site(struct facts *f)
{
	const char *domain = f->kind == CONF_TARGET_MX ? f->e->domain : "";
	char trouble[EXPLAIN_ADDRESS + 20], pause[QUERY_PAUSE_NAME_MAX + 80];
	struct conf_site limits;
	name_site(f);
	f->site = f->site_name[0] ? site_find(f->site_name) : NULL;
	if (!f->site_name[0] && f->kind == CONF_TARGET_MX) {
		snprintf(trouble, sizeof(trouble), "%s (no site)", f->e->domain);
		f->site = site_find(trouble);
	}
	if (f->site_name[0]) {
		put(f, site, "%s", f->site_name);
		put_entry(f, domain);
		conf_site(f->conf, f->site_name, f->mx, f->nmx, domain, &limits);
		put_limits(f, &limits);
		put_state(f);
	}
	f->pause = pause_of(f->site, f->e->domain, strlen(f->e->domain));
	if (f->pause) {
		pause_words(f->pause, pause, sizeof(pause));
		put(f, paused, "%s", pause);
	}
}

/* -- what comes of it */

/* result_local - of keeper's word */
static void result_local(struct facts *f)
{
	const struct explain *e = f->e;
	if (!e->keeper_said || e->keeper == KEEPER_TEMPFAIL) {
		put(f, result, "waits: keeper can't say who that is%s",
		    e->late ? " (no answer within 5 s)" : "");
		put(f, next, "`batonctl status` shows whether keeper runs; the log says more");
	} else if (e->keeper == KEEPER_UNKNOWN) {
		put(f, result, "bounces: no such user here (550 5.1.1)");
		put(f, next, "add the user to the host, or a line \"%s: ...\" to the aliases",
		    e->local);
	} else if (e->keeper == KEEPER_ALIAS) {
		put(f, result, "goes on to those that the alias stands for");
		put(f, next, "`batonctl explain MEMBER` for each of them");
	} else {
		put(f, result, "is delivered to the mailbox of %s", e->user);
	}
}

/* result_down - its site can't be reached, or refuses us */
static void result_down(struct facts *f)
{
	const struct site *s = f->site;
	const struct explain *e = f->e;
	put(f, result, "waits: site %s is down%s%s", s->name, s->trouble ? ": " : "",
	    s->trouble ? s->trouble->text : "");
	if (!strchr(e->local, '\'')) /* it is copied into a shell */
		put(f, next,
		    "`batonctl test-relay --to '%s@%s'` tries it step by step and gives advice",
		    e->local, e->domain);
	put(f, next, "when that is mended: `batonctl flush --domain '%s'` tries at once",
	    e->domain);
}

/* result_dns - nobody takes mail for the domain, or nobody could say who; false: neither */
static bool result_dns(struct facts *f)
{
	static const char *const words[DNS_VERDICTS] = {
	    [DNS_NODOMAIN] = "bounces: the domain does not exist (556 5.1.2)",
	    [DNS_NODATA] = "bounces: no host takes mail for the domain (556 5.1.2)",
	    [DNS_NULLMX] = "bounces: the domain takes no mail, null MX (556 5.1.10)"};
	const struct explain *e = f->e;
	const struct explain_dns *dns = e->ndns ? &e->dns[0] : NULL;
	if (f->kind != CONF_TARGET_MX || e->domain[0] == '[' || (dns && dns->verdict == DNS_OK))
		return false;
	if (dns && dns->verdict < DNS_VERDICTS && words[dns->verdict]) {
		put(f, result, "%s", words[dns->verdict]);
		put(f, next, "is %s spelled right? `batonctl dns %s MX` shows more", e->domain,
		    e->domain);
	} else {
		put(f, result, "waits: DNS can't say who takes mail for %s: %s", e->domain,
		    dns && dns->text[0] ? dns->text : "no answer");
		put(f, next,
		    "`batonctl doctor` checks the resolvers, "
		    "`batonctl dns --stats` shows how they answer");
	}
	return true;
}

/* facts_result - the one line */
static void facts_result(struct facts *f)
{
	if (f->kind == CONF_TARGET_ERROR) {
		put(f, result, "bounces: %s", f->route->to.v[0].text);
	} else if (f->kind == CONF_TARGET_DISCARD) {
		put(f, result, "is taken and thrown away: the route says discard");
	} else if (f->pause) {
		put(f, result, "waits: it is paused");
		put(f, next, "`batonctl pause` lists pauses, `batonctl resume` ends them");
	} else if (f->kind == CONF_TARGET_LOCAL && (!f->site || f->site->state == SITE_UP)) {
		result_local(f);
	} else if (!result_dns(f)) {
		if (f->site && f->site->state != SITE_UP)
			result_down(f);
		else
			put(f, result, "goes to %s at once, as turns and limits allow",
			    f->site_name);
	}
}

/* explain_facts - all groups */
void explain_facts(const struct explain *e, struct wire_out *out)
{
	struct facts f = {.e = e, .conf = child_self()->conf, .out = out};
	f.route = conf_route(f.conf, e->sender, e->local, e->domain);
	f.kind = f.route->to.v[0].kind;
	put(&f, address, "%s", e->address);
	put(&f, sender, "%s", e->sender[0] ? e->sender : "<>");
	facts_local(&f);
	facts_user(&f);
	facts_client(&f);
	facts_route(&f);
	facts_dns(&f);
	facts_site(&f);
	facts_result(&f);
	facts_members(&f);
}
