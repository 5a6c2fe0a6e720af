/* SPDX-License-Identifier: ISC */
/*
 * The name of a destination says all that must be the same for mail to share it: the domain or the
 * next hop, and the route's title where the route asks for a credential, a source address or TLS.
 */
#include "qmgr/route.h"

#include <stdio.h>
#include <string.h>
#include <xxhash.h>

#include "lib/addr.h"
#include "lib/child.h"
#include "lib/conf.h"
#include "lib/str.h"
#include "qmgr/class.h"
#include "qmgr/dest.h"
#include "qmgr/message.h"
#include "qmgr/pause.h"
#include "qmgr/report.h"
#include "qmgr/schedule.h"
#include "qmgr/settle.h"

#define PART_MAX  320 /* a path has at most 256 octets */
#define TITLE_MAX 80  /* bytes of a route's title in a destination's name */

/* route_split - local part and domain */
void route_split(const char *address, char *local, char *domain, size_t size)
{
	addr_split(address, local, domain, size);
}

/* put - text behind what is there; the new length, at most size - 1 */
static size_t put(char *out, size_t size, size_t n, const char *text)
{
	size_t len = strlen(text);
	if (len > size - 1 - n)
		len = size - 1 - n;
	memcpy(out + n, text, len);
	return n + len;
}

/*
 * first_host - of a list: the first one, or the domain's own. That is the one whose hash with the
 * domain is highest: one host less moves only the domains that were its.
 */
static size_t first_host(const struct conf_route *route, const char *domain)
{
	size_t best = 0;
	uint64_t highest = 0;
	for (size_t i = 0; route->balance == CONF_BALANCE_DOMAIN && i < route->to.n; i++) {
		const char *name = route->to.v[i].name;
		uint64_t hash = XXH64(domain, strlen(domain), XXH64(name, strlen(name), 0));
		if (hash >= highest) {
			highest = hash;
			best = i;
		}
	}
	return best;
}

/* route_hop_name - the destination of a route with fixed hosts: their names in order */
size_t route_hop_name(const struct conf_route *route, const char *domain, char *out, size_t size)
{
	size_t n = 0, first = first_host(route, domain);
	for (size_t i = 0; i < route->to.n; i++) {
		n = put(out, size, n, i ? "," : "");
		n = put(out, size, n, route->to.v[(first + i) % route->to.n].name);
	}
	return n;
}

/* connects - whether what the route leads to is a host of a network */
static bool connects(const struct conf_route *route)
{
	enum conf_target_kind kind = route->to.v[0].kind;
	return kind == CONF_TARGET_MX || kind == CONF_TARGET_RELAY || kind == CONF_TARGET_LMTP;
}

/* route_source - what the route says, the class, the sender */
const char *route_source(
    const struct conf_route *route, const struct class *class, const char *sender)
{
	if (!connects(route))
		return "";
	if (route->source[0])
		return route->source;
	if (class->source[0])
		return class->source;
	return conf_source_of(child_self()->conf, sender);
}

/* put_title - behind a mark, cut */
static size_t put_title(char name[KEYS_DEST_MAX + 1], size_t n, const char *mark, const char *title)
{
	n = put(name, KEYS_DEST_MAX + 1, n, mark);
	size_t room = n + TITLE_MAX + 1 < KEYS_DEST_MAX + 1 ? n + TITLE_MAX + 1 : KEYS_DEST_MAX + 1;
	return put(name, room, n, title);
}

/* dest_of_route - the destination's name and entry */
static struct dest *dest_of_route(
    const struct conf_route *route, const char *source, const char *domain)
{
	char name[KEYS_DEST_MAX + 1];
	size_t n;
	switch (route->to.v[0].kind) {
	case CONF_TARGET_LOCAL:
		return dest_get(DEST_LOCAL, sizeof(DEST_LOCAL) - 1);
	case CONF_TARGET_MX:
		n = put(name, sizeof(name), 0, domain);
		break;
	case CONF_TARGET_DISCARD:
	case CONF_TARGET_ERROR:
		n = put(name, sizeof(name), 0, DEST_DISCARD);
		break;
	default:
		n = route_hop_name(route, domain, name, sizeof(name) - 2 * TITLE_MAX - 4);
	}
	bool own = route->auth[0] || route->source[0] || route->tls;
	if (own)
		n = put_title(name, n, " ", route->title);
	if (source[0] && !route->source[0])
		n = put_title(name, n, " >", source);
	return dest_get(name, n);
}

/* paused_dest - where mail for a paused domain rests that shares its destination with others */
static struct dest *paused_dest(const char *domain)
{
	char name[sizeof(PAUSE_DEST) + PART_MAX];
	int n = snprintf(name, sizeof(name), PAUSE_DEST "%s", domain);
	return dest_get(name, (size_t)n);
}

/* find_route - of an address by sender */
static const struct conf_route *find_route(const struct rcpt *rcpt, char *domain)
{
	char local[PART_MAX];
	const struct conf *conf = child_self()->conf;
	route_split(rcpt->address, local, domain, PART_MAX);
	return conf_route(conf, rcpt_sender(rcpt), local, domain);
}

/* assign - the destination; the route it came by, NULL where none was asked */
static const struct conf_route *assign(struct rcpt *rcpt)
{
	char domain[PART_MAX];
	if (stage_owed(rcpt->stage)) {
		dest_assign(rcpt, dest_get(DEST_NOTICE, sizeof(DEST_NOTICE) - 1));
		return NULL;
	}
	if (rcpt->flags & RCPTF_ENTRY) {
		dest_assign(rcpt, dest_get(DEST_ENTRY, sizeof(DEST_ENTRY) - 1));
		return NULL;
	}
	const struct conf_route *route = find_route(rcpt, domain);
	const char *source = route_source(route, rcpt->class, rcpt->msg->sender);
	struct dest *dest = dest_of_route(route, source, domain);
	if (!dest->domain_len && pause_covers_domain(domain, strlen(domain)))
		dest = paused_dest(domain);
	else {
		dest->route = route;
		dest->source = source;
	}
	dest_assign(rcpt, dest);
	return route;
}

/* route_assign - only the destination */
void route_assign(struct rcpt *rcpt)
{
	assign(rcpt);
}

/* route_rcpt - the destination, then its place */
void route_rcpt(struct rcpt *rcpt)
{
	const struct conf_route *route = assign(rcpt);
	if (stage_owed(rcpt->stage) && !report_ready(rcpt))
		return;
	if (route && route->to.v[0].kind == CONF_TARGET_ERROR && rcpt->stage == STAGE_MAIL) {
		settle_failed(rcpt, 554, "5.7.1", "", route->to.v[0].text);
		return;
	}
	if (route && route->to.v[0].kind == CONF_TARGET_DISCARD && rcpt->stage == STAGE_MAIL) {
		settle_discarded(rcpt);
		return;
	}
	schedule_place(rcpt);
}
