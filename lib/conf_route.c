/* SPDX-License-Identifier: ISC */
/*
 * Who may send, and where it goes: pure questions to a configuration, one or a few a recipient.
 */
#include <netinet/in.h>
#include <string.h>

#include "lib/conf_index.h"

#define ADDRESS_MAX                                                                  \
	600 /* octets of a path (256) and more: longer ones match no pattern by name \
	     */

/* conf_sender_matches - one pattern, one address */
bool conf_sender_matches(const char *pattern, const char *sender)
{
	if (strcmp(pattern, "*") == 0)
		return true;
	if (strcmp(pattern, "<>") == 0)
		return sender[0] == '\0';
	if (strncmp(pattern, "*@", 2) != 0)
		return strcasecmp(pattern, sender) == 0;
	const char *at = strrchr(sender, '@');
	if (!at)
		return false;
	size_t n = strlen(at + 1), want = strlen(pattern + 2);
	if (pattern[2] != '.')
		return strcasecmp(pattern + 2, at + 1) == 0;
	return n > want && strcasecmp(at + 1 + n - want, pattern + 2) == 0;
}

/* conf_rcpt_matches - one pattern, one recipient */
bool conf_rcpt_matches(const char *pattern, const char *local, const char *domain)
{
	const char *at = strrchr(pattern, '@');
	size_t n = strlen(domain), want = strlen(pattern);
	if (strcmp(pattern, "*") == 0)
		return true;
	if (at)
		return strcasecmp(at + 1, domain) == 0 && strlen(local) == (size_t)(at - pattern) &&
		       strncasecmp(pattern, local, (size_t)(at - pattern)) == 0;
	if (pattern[0] == '.')
		return n > want && strcasecmp(domain + n - want, pattern) == 0;
	return strcasecmp(pattern, domain) == 0;
}

/* key_at - the route of exactly these two patterns, or NULL */
static const struct conf_route *key_at(
    const struct conf_index *x, const char *pattern, const char *sender)
{
	size_t i = conf_index_route(x, pattern, sender);
	bool found = i < x->nroutes && strcasecmp(x->routes[i].pattern, pattern) == 0 &&
		     strcasecmp(x->routes[i].sender, sender) == 0;
	return found ? x->routes[i].route : NULL;
}

/* by_sender - of a pattern's routes the one with the most specific sender */
static const struct conf_route *by_sender(
    const struct conf_index *x, const char *pattern, const char *sender)
{
	size_t i = conf_index_route(x, pattern, "");
	if (i == x->nroutes || strcasecmp(x->routes[i].pattern, pattern) != 0)
		return NULL;
	const struct conf_route *t = NULL;
	char wild[ADDRESS_MAX];
	const char *at = strrchr(sender, '@');
	if (sender[0] == '\0')
		t = key_at(x, pattern, "<>");
	else if (strcmp(sender, "<>") != 0)
		t = key_at(x, pattern, sender);
	if (!t && at && snprintf(wild, sizeof(wild), "*@%s", at + 1) < (int)sizeof(wild))
		t = key_at(x, pattern, wild);
	for (const char *p = at ? strchr(at + 1, '.') : NULL; !t && p; p = strchr(p + 1, '.'))
		if (snprintf(wild, sizeof(wild), "*@%s", p) < (int)sizeof(wild))
			t = key_at(x, pattern, wild);
	if (!t)
		t = key_at(x, pattern, "*");
	return t ? t : key_at(x, pattern, "");
}

/* conf_route - where a recipient's mail goes */
const struct conf_route *conf_route(
    const struct conf *c, const char *sender, const char *rcpt_local, const char *rcpt_domain)
{
	const struct conf_index *x = c->index;
	const struct conf_route *t = NULL;
	char address[ADDRESS_MAX];
	if (rcpt_domain[0] == '\0')
		return &c->route_local;
	if (snprintf(address, sizeof(address), "%s@%s", rcpt_local, rcpt_domain) <
	    (int)sizeof(address))
		t = by_sender(x, address, sender);
	if (!t)
		t = by_sender(x, rcpt_domain, sender);
	if (!t && conf_index_text(x->local, x->nlocal, rcpt_domain))
		t = &c->route_local;
	for (const char *p = strchr(rcpt_domain, '.'); !t && p; p = strchr(p + 1, '.')) {
		t = by_sender(x, p, sender);
		if (!t && conf_index_text(x->local, x->nlocal, p))
			t = &c->route_local;
	}
	if (!t)
		t = by_sender(x, "*", sender);
	return t ? t : &c->route_local;
}

/* conf_is_local_domain - is it one of local_domains */
bool conf_is_local_domain(const struct conf *c, const char *domain)
{
	return conf_index_domain(c->index->local, c->index->nlocal, domain);
}

/* conf_may_relay_to - is it one of relay_to */
bool conf_may_relay_to(const struct conf *c, const char *domain)
{
	return conf_index_domain(c->index->relay, c->index->nrelay, domain);
}

/* in_net - is an address of the same family in the network */
static bool in_net(const struct conf_net *net, const uint8_t *bytes)
{
	size_t whole = net->prefix / 8, bits = net->prefix % 8;
	if (memcmp(net->bytes, bytes, whole) != 0)
		return false;
	return !bits || (net->bytes[whole] ^ bytes[whole]) >> (8 - bits) == 0;
}

/* conf_in_nets - is an address in one of the networks */
bool conf_in_nets(const struct conf_nets *nets, const struct sockaddr *addr)
{
	uint8_t family, bytes[16] = {0};
	if (addr->sa_family == AF_INET) {
		family = AF_INET;
		memcpy(bytes, &((const struct sockaddr_in *)(const void *)addr)->sin_addr, 4);
	} else if (addr->sa_family == AF_INET6) {
		const struct in6_addr *a =
		    &((const struct sockaddr_in6 *)(const void *)addr)->sin6_addr;
		family = IN6_IS_ADDR_V4MAPPED(a) ? AF_INET : AF_INET6;
		memcpy(
		    bytes, a->s6_addr + (family == AF_INET ? 12 : 0), family == AF_INET ? 4 : 16);
	} else {
		return false;
	}
	for (size_t i = 0; i < nets->n; i++)
		if (nets->v[i].family == family && in_net(&nets->v[i], bytes))
			return true;
	return false;
}

/* conf_may_relay - is a client in relay_from */
bool conf_may_relay(const struct conf *c, const struct sockaddr *addr)
{
	return addr->sa_family == AF_UNIX || conf_in_nets(&c->relay_from, addr);
}

/* conf_source - the source of that title */
const struct conf_source *conf_source(const struct conf *c, const char *title)
{
	for (size_t i = 0; i < c->nsource; i++)
		if (title[0] && strcasecmp(c->source[i].title, title) == 0)
			return &c->source[i];
	return NULL;
}

/* closeness - how much a sender pattern says: an address more than a domain, a long one more */
static size_t closeness(const char *pattern)
{
	return strlen(pattern) + (pattern[0] == '*' ? 0 : ADDRESS_MAX);
}

/* conf_source_of - the closest pattern of all sources */
const char *conf_source_of(const struct conf *c, const char *sender)
{
	const char *best = "";
	size_t most = 0;
	for (size_t i = 0; i < c->nsource; i++) {
		const struct conf_list *list = &c->source[i].sender;
		for (size_t k = 0; k < list->n; k++) {
			if (closeness(list->v[k]) <= most ||
			    !conf_sender_matches(list->v[k], sender))
				continue;
			most = closeness(list->v[k]);
			best = c->source[i].title;
		}
	}
	return best;
}
