/* SPDX-License-Identifier: ISC */
/*
 * Making, finding and freeing of sites and pools. Pools of a site are few, one for each of the ways
 * that the configuration has to it: they are a list.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/child.h"
#include "lib/dns.h"
#include "lib/log.h"
#include "lib/loop.h"
#include "qmgr/alarm.h"
#include "qmgr/dest.h"
#include "qmgr/dispatch.h"
#include "qmgr/keep.h"
#include "qmgr/message.h"
#include "qmgr/now.h"
#include "qmgr/pause.h"
#include "qmgr/schedule.h"
#include "qmgr/site.h"

#define MX_MAX 20

static struct site *sites;
static char none[] = ""; /* no credential, no source: 50,000 pools need no copy each */

/* site_first - for walks */
struct site *site_first(void)
{
	return sites;
}

/* site_count - known ones */
unsigned site_count(void)
{
	return HASH_COUNT(sites);
}

/* site_find - by name */
struct site *site_find(const char *name)
{
	struct site *site;
	HASH_FIND_STR(sites, name, site);
	return site;
}

/* site_hosts - the MX hosts it was made with, and the domain as the result */
static const char *site_hosts(const struct site *site, const char *mx[MX_MAX])
{
	const char *domain = site->name + strlen(site->name) + 1;
	const char *at = domain;
	for (unsigned i = 0; i < site->nmx; i++)
		mx[i] = at += strlen(at) + 1;
	return domain;
}

/* copy - a string of one's own */
static char *copy(const char *text)
{
	char *s = strdup(text);
	if (!s)
		log_fatal("out of memory");
	return s;
}

/* set_limits - of the configuration in force */
static void set_limits(struct site *site)
{
	const char *mx[MX_MAX];
	struct conf_site conf;
	struct site_limits *limits = &site->limits;
	const char *domain = site_hosts(site, mx);
	conf_site(child_self()->conf, site->name, mx, site->nmx, domain, &conf);
	*limits = (struct site_limits){.connections = conf.connections,
	    .messages_per_connection = conf.messages_per_connection,
	    .recipients_per_message = conf.recipients_per_message,
	    .rate = conf.rate,
	    .idle = (uint32_t)conf.idle,
	    .connect_timeout = (uint32_t)conf.connect_timeout,
	    .reply_timeout = (uint32_t)conf.reply_timeout,
	    .probe_max = conf.probe_max,
	    .pipelining = (uint8_t)conf.pipelining,
	    .tls = (uint8_t)conf.tls};
	if (!strcmp(site->name, SITE_LOCAL) && !strcmp(conf.title, "*"))
		limits->connections = SITE_LOCAL_CONNECTIONS;
	if (!strcmp(site->name, SITE_NOTICE))
		limits->connections = SITE_NOTICE_CONNECTIONS;
	if (!limits->connections)
		limits->connections = 1;
	if (!limits->recipients_per_message)
		limits->recipients_per_message = 1;
	if (site->fewer && site->fewer < limits->recipients_per_message)
		limits->recipients_per_message = site->fewer;
}

/* put - a string and its NUL where there is room for them; what comes behind it */
static char *put(char *at, const char *text)
{
	size_t n = strlen(text) + 1;
	memcpy(at, text, n);
	return at + n;
}

/* site_get - the one of that name, made if needed */
static struct site *site_get(
    const char *name, const char *const *mx, size_t nmx, const char *domain)
{
	struct site *site = site_find(name);
	if (site)
		return site;
	size_t len = strlen(name) + 1 + strlen(domain) + 1;
	nmx = nmx < MX_MAX ? nmx : MX_MAX;
	for (size_t i = 0; i < nmx; i++)
		len += strlen(mx[i]) + 1;
	site = calloc(1, sizeof(*site) + len);
	if (!site)
		log_fatal("out of memory for a site");
	char *at = put(put(site->name, name), domain);
	for (; site->nmx < nmx; site->nmx++)
		at = put(at, mx[site->nmx]);
	throttle_init(&site->throttle);
	keep_restore(site, name);
	set_limits(site);
	site->paused = pause_covers_site(site);
	HASH_ADD_STR(sites, name, site);
	if (!hash_added(site))
		log_fatal("out of memory for a site");
	return site;
}

/* site_tls - what the route says before the site */
uint8_t site_tls(const struct conf_route *route, uint8_t limits_tls)
{
	uint8_t tls = route && route->tls ? (uint8_t)route->tls : limits_tls;
	/* That a secret goes in plaintext is for its route to say, not for a site. */
	if (route && route->auth[0] && !route->tls && tls == CONF_TLS_NONE)
		tls = CONF_TLS_OPPORTUNISTIC;
	return tls;
}

/* pool_get - the site's pool for that way of delivery, made if needed */
static struct pool *pool_get(
    struct site *site, enum transport transport, bool by_mx, const struct dest *dest)
{
	const struct conf_route *route = dest ? dest->route : NULL;
	const char *auth = route ? route->auth : "";
	const char *source = dest && dest->source ? dest->source : "";
	uint8_t tls = site_tls(route, site->limits.tls);
	struct pool *pool;
	DL_FOREACH (site->pools, pool)
		if (pool->transport == transport && pool->by_mx == by_mx && pool->tls == tls &&
		    !strcmp(pool->credential, auth) && !strcmp(pool->source, source))
			return pool;
	pool = calloc(1, sizeof(*pool));
	if (!pool)
		log_fatal("out of memory for a pool");
	pool->site = site;
	pool->transport = (uint8_t)transport;
	pool->by_mx = by_mx;
	pool->tls = tls;
	pool->credential = *auth ? copy(auth) : none;
	pool->source = *source ? copy(source) : none;
	DL_APPEND(site->pools, pool);
	return pool;
}

/* add_target - one more host of the list */
static void add_target(struct pool *pool, const char *host, uint16_t port, bool implicit_tls)
{
	if (pool->ntargets == POOL_TARGETS_MAX)
		return;
	if (!pool->targets) { /* not part of the pool: most of many are MX pools, which have none */
		pool->targets = calloc(POOL_TARGETS_MAX, sizeof(*pool->targets));
		if (!pool->targets)
			log_fatal("out of memory for a pool");
	}
	struct target *t = &pool->targets[pool->ntargets++];
	t->host = copy(host);
	t->port = port;
	t->implicit_tls = implicit_tls;
}

/* target_host - the host of a fixed hop, or the path of its socket */
static const char *target_host(const struct conf_target *target)
{
	return target->kind == CONF_TARGET_LMTP_UNIX ? target->path : target->host;
}

/* local_lmtp - mailboxes that are reached by LMTP */
static void local_lmtp(struct dest *dest, const struct conf_target *target)
{
	const char *mx = target_host(target);
	struct site *site = site_get(SITE_LOCAL, &mx, 1, "");
	struct pool *pool = pool_get(site, TRANSPORT_LMTP, false, NULL);
	if (!pool->ntargets)
		add_target(pool, mx, target->port, false);
	site->fixed = true;
	dest->bound_until = DEST_NEVER;
	dest_join(dest, pool);
}

/* own_site - local delivery and notices: no hosts, no DNS */
static void own_site(struct dest *dest, const char *name, enum transport transport)
{
	struct site *site = site_get(name, NULL, 0, "");
	site->fixed = site->ours = true;
	dest->bound_until = DEST_NEVER;
	dest_join(dest, pool_get(site, transport, false, NULL));
}

/* literal - a domain that is an address: [192.0.2.1] (RFC 5321 §4.1.3) */
static void bind_literal(struct dest *dest)
{
	struct dns_addr addr;
	char text[DNS_LITERAL_SIZE];
	size_t len = strcspn(dest->name, " ");
	if (dns_addr_parse(dest->name, len, &addr)) {
		site_bind_trouble(dest, "not an address");
		return;
	}
	dns_addr_text(&addr, text);
	const char *mx = text;
	struct site *site = site_get(dest->name, &mx, 1, "");
	struct pool *pool = pool_get(site, TRANSPORT_SMTP, false, dest);
	if (!pool->ntargets)
		add_target(pool, text, (uint16_t)child_self()->conf->deliver.port, false);
	dest->bound_until = DEST_NEVER;
	dest_join(dest, pool);
}

/* first_host - which of the route's hosts the destination begins with (route.balance) */
static size_t first_host(const struct dest *dest, const struct conf_targets *to)
{
	size_t len = strcspn(dest->name, ", ");
	for (size_t i = 0; i < to->n; i++)
		if (strlen(to->v[i].name) == len && !strncmp(to->v[i].name, dest->name, len))
			return i;
	return 0;
}

/* bind_route - the hosts that the route names */
static void bind_route(struct dest *dest)
{
	const struct conf_route *route = dest->route;
	const struct conf_target *first = &route->to.v[0];
	const char *mx[POOL_TARGETS_MAX];
	char name[KEYS_DEST_MAX + 1];
	size_t nmx = 0, len = strcspn(dest->name, " ");
	if (!target_host(first)) { /* such mail waits for no connection */
		site_bind_trouble(dest, "the route names no host");
		return;
	}
	const struct conf_targets *to = &route->to;
	size_t at = first_host(dest, to);
	for (size_t i = 0; i < to->n && nmx < POOL_TARGETS_MAX; i++)
		mx[nmx++] = target_host(&to->v[(at + i) % to->n]);
	snprintf(name, sizeof(name), "%.*s", (int)len, dest->name);
	struct site *site = site_get(name, mx, nmx, "");
	struct pool *pool = pool_get(
	    site, first->kind == CONF_TARGET_RELAY ? TRANSPORT_SMTP : TRANSPORT_LMTP, false, dest);
	for (size_t i = 0; !pool->nconns && pool->ntargets < nmx && i < nmx; i++) {
		const struct conf_target *t = &to->v[(at + i) % to->n];
		add_target(pool, mx[i], t->port, t->implicit_tls);
	}
	site->fixed = true;
	dest->bound_until = DEST_NEVER;
	dest_join(dest, pool);
}

/* site_bind_fixed - whatever needs no DNS */
void site_bind_fixed(struct dest *dest)
{
	const struct conf *conf = child_self()->conf;
	if (!strcmp(dest->name, DEST_LOCAL) && conf->mailbox_kind == CONF_MAILBOX_LMTP)
		local_lmtp(dest, &conf->mailbox_target);
	else if (!strcmp(dest->name, DEST_LOCAL) || !strcmp(dest->name, DEST_ENTRY))
		own_site(dest, SITE_LOCAL, TRANSPORT_LOCAL);
	else if (!strcmp(dest->name, DEST_NOTICE))
		own_site(dest, SITE_NOTICE, TRANSPORT_NOTICE);
	else if (!dest->route)
		return; /* its first recipient brings one */
	else if (dest->route->to.v[0].kind == CONF_TARGET_MX)
		bind_literal(dest);
	else
		bind_route(dest);
}

/* site_left - remember its name if there is something to take along */
void site_left(struct dest *dest)
{
	const struct site *site = dest->pool->site;
	if (!dest->domain_len || !keep_worth(site))
		return;
	free(dest->was);
	dest->was = copy(site->name);
}

/* shares_host - whether one of these hosts is the site's too */
static bool shares_host(const struct site *site, const char *const *mx, size_t n)
{
	const char *known[MX_MAX];
	site_hosts(site, known);
	for (size_t i = 0; i < site->nmx; i++)
		for (size_t k = 0; k < n; k++)
			if (!strcasecmp(known[i], mx[k]))
				return true;
	return false;
}

/* take_over - the state of the site that this one follows */
static bool take_over(struct site *site, const char *name, const char *const *mx, size_t n)
{
	const struct site *from = site_find(name);
	if (from == site || (from && (!keep_worth(from) || !shares_host(from, mx, n))))
		return false;
	if (!from)
		return keep_restore(site, name);
	keep_copy(site, from);
	return true;
}

/* site_mx - the site of these hosts; of a new one also what is known of it by other names */
static struct site *site_mx(
    struct dest *dest, const char *name, const char *const *mx, size_t n, const char *domain)
{
	bool fresh = !site_find(name);
	struct site *site = site_get(name, mx, n, domain);
	bool known = !fresh || keep_worth(site);
	if (!known && dest->was && site_find(dest->was))
		known = take_over(site, dest->was, mx, n);
	for (size_t i = 0; !known && i < n; i++)
		known = take_over(site, mx[i], mx, n);
	if (fresh && known) {
		set_limits(site);
		keep_changed(site);
	}
	free(dest->was);
	dest->was = NULL;
	return site;
}

/* site_bind_mx - the site that DNS has named, or that the configuration makes of its best host */
void site_bind_mx(struct dest *dest, struct msg_bytes site_name, struct msg_bytes hosts)
{
	struct dns_host host;
	char names[MX_MAX][DNS_NAME_SIZE], name[300], domain[300];
	const char *mx[MX_MAX];
	struct wire_in in;
	size_t n = 0;
	wire_in_init(&in, hosts.data, hosts.len);
	while (n < MX_MAX && dns_host_next(&in, &host)) {
		memcpy(names[n], host.name, sizeof(host.name));
		mx[n] = names[n];
		n++;
	}
	const char *given = n ? conf_site_name(child_self()->conf, mx[0]) : NULL;
	if (given)
		snprintf(name, sizeof(name), "%s", given);
	else
		snprintf(name, sizeof(name), "%.*s",
		    (int)(site_name.len > 255 ? 255 : site_name.len), site_name.data);
	snprintf(domain, sizeof(domain), "%.*s", (int)dest->domain_len, dest->name);
	struct site *site = site_mx(dest, name, mx, n, domain);
	dest_join(dest, pool_get(site, TRANSPORT_SMTP, true, dest));
}

/* site_bind_trouble - a site of its own, down: nobody knows where its mail goes */
void site_bind_trouble(struct dest *dest, const char *text)
{
	char name[KEYS_DEST_MAX + 20];
	snprintf(name, sizeof(name), "%s (no site)", dest->name);
	struct site *site = site_get(name, NULL, 0, "");
	struct pool *pool = pool_get(site, TRANSPORT_SMTP, false, NULL);
	dest->bound_until = DEST_NEVER;
	dest_join(dest, pool);
	site_failed(pool, OPEN_DNS, 0, msg_str("4.4.3"), msg_str(""), msg_str(text));
}

/* free_pool - out of its site */
static void free_pool(struct pool *pool)
{
	crowd_forget(pool);
	dispatch_forget(pool);
	DL_DELETE(pool->site->pools, pool);
	if (pool->site->probe_pool == pool)
		pool->site->probe_pool = NULL;
	for (unsigned i = 0; i < pool->ntargets; i++)
		free(pool->targets[i].host);
	turns_free(pool);
	free(pool->targets);
	if (pool->credential != none)
		free(pool->credential);
	if (pool->source != none)
		free(pool->source);
	free(pool);
}

/* free_site - nothing points to it any more; what it has learned is kept */
static void free_site(struct site *site)
{
	keep_leave(site);
	alarm_off(&site->timer);
	if (site->rate_timer)
		event_free(site->rate_timer);
	HASH_DELETE(hh, sites, site);
	free(site->trouble);
	free(site);
}

/* idle - it is up and has nothing to do, and to find it again takes no more than asking DNS */
static bool idle(const struct site *site)
{
	if (site->state != SITE_UP || site->nconns || site->paused || site->limits.rate.count ||
	    site->full_until > now_ms())
		return false;
	for (const struct pool *pool = site->pools; pool; pool = pool->next) {
		const struct dest *dest;
		if (!pool->by_mx || pool->nready || pool->kicked)
			return false;
		DL_FOREACH2(pool->dests, dest, pool_next)
		{
			if (dest->nactive)
				return false;
		}
	}
	return true;
}

/* site_forget - one too many */
bool site_forget(struct site *site)
{
	struct dest *dest, *dtmp;
	struct pool *pool, *ptmp;
	if (HASH_COUNT(sites) <= SITES_IDLE || !idle(site))
		return false;
	DL_FOREACH_SAFE (site->pools, pool, ptmp) {
		DL_FOREACH_SAFE2(pool->dests, dest, dtmp, pool_next)
		dest_unbind(dest);
		free_pool(pool);
	}
	free_site(site);
	return true;
}

/* site_sweep - free what nothing uses; a site that is down is remembered until its probe */
void site_sweep(void)
{
	struct pool *pool, *ptmp;
	struct site *site, *tmp;
	HASH_ITER (hh, sites, site, tmp) {
		bool down = site->state != SITE_UP && site->probe_at > now_ms();
		if (site_forget(site))
			continue;
		DL_FOREACH_SAFE (site->pools, pool, ptmp)
			if (!pool->dests && !pool->nconns && !pool->kicked && !down)
				free_pool(pool);
		if (!site->pools && !site->nconns)
			free_site(site);
	}
}

/* site_reconfigure - limits by the new configuration; pools that no route leads to just run dry */
void site_reconfigure(void)
{
	struct site *site, *tmp;
	HASH_ITER (hh, sites, site, tmp) {
		struct conf_rate was = site->limits.rate;
		set_limits(site);
		site->plain_until = 0; /* as the workers forget it */
		if (memcmp(&was, &site->limits.rate, sizeof(was)))
			site->rate = (struct rate){0};
	}
}
