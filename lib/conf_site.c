/* SPDX-License-Identifier: ISC */
/*
 * The limits of a site are put together field by field from up to four blocks: the user's that
 * matches, the shipped one that matches, the user's "*", the shipped "*"; the rest is built in.
 */
#include <string.h>

#include "lib/conf_index.h"
#include "lib/conf_parse.h"

#define LOCAL_CONNECTIONS  10     /* processes for local deliveries */
#define FIXED_HOP_PROBE_MS 120000 /* a smarthost that is down is tried every two minutes */

/* find - the block of exactly that pattern; titles count only if the site is asked by name */
static const struct conf_site *find(
    const struct conf_index *x, const char *pattern, bool shipped, bool titles)
{
	size_t low = 0, high = x->nsites;
	while (low < high) {
		size_t mid = low + (high - low) / 2;
		const struct conf_site_key *k = &x->sites[mid];
		int r = strcasecmp(k->pattern, pattern);
		if (!r)
			r = k->site->shipped - shipped;
		if (r < 0)
			low = mid + 1;
		else
			high = mid;
	}
	const struct conf_site_key *k = &x->sites[low];
	if (low == x->nsites || strcasecmp(k->pattern, pattern) != 0 || k->site->shipped != shipped)
		return NULL;
	return k->by_title && !titles ? NULL : k->site;
}

/* by_suffix - the block whose pattern is the longest suffix of a host name; *len how long */
static const struct conf_site *by_suffix(
    const struct conf_index *x, const char *host, bool shipped, size_t *len)
{
	for (const char *p = host; p && *p; p = strchr(p + 1, '.')) {
		/* at a dot both ".example.org" and "example.org" are suffixes */
		const struct conf_site *s = find(x, p, shipped, false);
		if (!s && *p == '.')
			s = find(x, p + 1, shipped, false);
		if (s) {
			*len = strlen(p);
			return s;
		}
	}
	return NULL;
}

/* by_hosts - the longest of all MX hosts; a fixed hop's host is in its name */
static const struct conf_site *by_hosts(
    const struct conf_index *x, const char *site, const char *const *mx, size_t nmx, bool shipped)
{
	const struct conf_site *best = NULL, *s;
	size_t best_len = 0, len;
	char host[CONF_NAME_SIZE], why[CONF_REASON_MAX];
	uint16_t port;
	if (site[0] == '[' && strlen(site) < sizeof(host) &&
	    conf_hostport_parse(site, host, &port, why) == 0)
		best = by_suffix(x, host, shipped, &best_len);
	for (size_t i = 0; i < nmx; i++) {
		s = by_suffix(x, mx[i], shipped, &len);
		if (s && (!best || len > best_len)) {
			best = s;
			best_len = len;
		}
	}
	return best;
}

/* by_domain - the domain's own, or the longest ".parent" of it */
static const struct conf_site *by_domain(
    const struct conf_index *x, const char *domain, bool shipped)
{
	const struct conf_site *s = domain[0] ? find(x, domain, shipped, false) : NULL;
	for (const char *p = strchr(domain, '.'); !s && p; p = strchr(p + 1, '.'))
		s = find(x, p, shipped, false);
	return s;
}

/* match - name before MX suffix before domain, but for "*"; *by says which, where it isn't NULL */
static const struct conf_site *match(const struct conf_index *x, const char *site,
    const char *const *mx, size_t nmx, const char *domain, bool shipped, enum conf_site_by *by)
{
	enum conf_site_by which = CONF_SITE_BY_NAME;
	const struct conf_site *s = site[0] ? find(x, site, shipped, true) : NULL;
	if (!s) {
		which = CONF_SITE_BY_HOST;
		s = by_hosts(x, site, mx, nmx, shipped);
	}
	if (!s) {
		which = CONF_SITE_BY_DOMAIN;
		s = by_domain(x, domain, shipped);
	}
	if (by)
		*by = which;
	return s;
}

/* inherit - copies what `from` gives and nobody before gave */
static void inherit(struct conf_site *out, const struct conf_site *from, uint64_t skip)
{
	uint64_t bit = 1;
	for (const struct conf_opt *o = NULL; (o = conf_opt_next(CONF_KIND_SITE, o)); bit <<= 1) {
		if (!(from->given & bit) || (out->given & bit) || (skip & bit))
			continue;
		memcpy((char *)out + o->offset, (const char *)from + o->offset,
		    conf_value_is_list(o) ? sizeof(struct conf_any_list)
					  : conf_item_size(o->store));
		out->given |= bit;
	}
}

/* conf_site - the limits of a site */
void conf_site(const struct conf *c, const char *site, const char *const *mx, size_t nmx,
    const char *domain, struct conf_site *out)
{
	const struct conf_index *x = c->index;
	uint64_t connections = conf_opt_bit(conf_opt_find(CONF_KIND_SITE, "connections"));
	uint64_t probe = conf_opt_bit(conf_opt_find(CONF_KIND_SITE, "probe_max"));
	bool local = strcmp(site, "local") == 0;
	*out = x->site_default;
	if (local)
		out->connections = LOCAL_CONNECTIONS;
	for (int shipped = 0; shipped < 2; shipped++) {
		const struct conf_site *s = match(x, site, mx, nmx, domain, shipped, NULL);
		if (!s)
			continue;
		if (out->title == x->site_default.title) {
			out->title = s->title;
			out->file = s->file;
			out->line = s->line;
			out->shipped = s->shipped;
			out->domain = s->domain;
		}
		inherit(out, s, 0);
	}
	for (int shipped = 0; shipped < 2; shipped++) {
		const struct conf_site *s = find(x, "*", shipped, false);
		if (s)
			inherit(out, s, local ? connections : 0);
	}
	if (!(out->given & probe) && site[0] == '[')
		out->probe_max = FIXED_HOP_PROBE_MS;
	if (out->tls == CONF_TLS_UNSET)
		out->tls = CONF_TLS_OPPORTUNISTIC;
}

/* conf_site_entry - the block itself */
const struct conf_site *conf_site_entry(const struct conf *c, const char *site,
    const char *const *mx, size_t nmx, const char *domain, enum conf_site_by *by)
{
	const struct conf_site *s = NULL;
	for (int shipped = 0; !s && shipped < 2; shipped++)
		s = match(c->index, site, mx, nmx, domain, shipped, by);
	if (s)
		return s;
	*by = CONF_SITE_BY_ANY;
	for (int shipped = 0; !s && shipped < 2; shipped++)
		s = find(c->index, "*", shipped, false);
	return s;
}

/* conf_site_name - what the blocks call a site with that MX host */
const char *conf_site_name(const struct conf *c, const char *mx)
{
	size_t mine_len = 0, shipped_len = 0;
	const struct conf_site *mine = by_suffix(c->index, mx, false, &mine_len);
	const struct conf_site *shipped = by_suffix(c->index, mx, true, &shipped_len);
	if (mine && (!shipped || mine_len >= shipped_len))
		return mine->title;
	return shipped ? shipped->title : NULL;
}
