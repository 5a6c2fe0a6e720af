/* SPDX-License-Identifier: ISC */
/*
 * Built once a load, searched once a recipient. A look-up asks for the few texts that could match
 * (the address, the domain, each parent, "*"), each by a binary search, so that ten thousand routes
 * cost what ten do.
 */
#include "lib/conf_index.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "lib/conf_value.h"

/* cmp_text - texts of a sorted list */
static int cmp_text(const void *a, const void *b)
{
	return strcasecmp(*(const char *const *)a, *(const char *const *)b);
}

/* cmp_route - by pattern, by sender; then as in the file, so that a clash is found in order */
static int cmp_route(const void *a, const void *b)
{
	const struct conf_route_key *x = a, *y = b;
	int r = strcasecmp(x->pattern, y->pattern);
	if (!r)
		r = strcasecmp(x->sender, y->sender);
	return r ? r : (x->route > y->route) - (x->route < y->route);
}

/* cmp_site - by pattern, by whose it is, real patterns before titles */
static int cmp_site(const void *a, const void *b)
{
	const struct conf_site_key *x = a, *y = b;
	int r = strcasecmp(x->pattern, y->pattern);
	if (!r)
		r = x->site->shipped - y->site->shipped;
	if (!r)
		r = x->by_title - y->by_title;
	return r ? r : (x->site > y->site) - (x->site < y->site);
}

/* sorted - a sorted copy of a list's pointers */
static int sorted(const struct conf_list *from, const char ***to, size_t *n)
{
	*n = from->n;
	*to = calloc(from->n + 1, sizeof(**to));
	if (!*to)
		return -ENOMEM;
	for (size_t i = 0; i < from->n; i++)
		(*to)[i] = from->v[i];
	qsort(*to, from->n, sizeof(**to), cmp_text);
	return 0;
}

/* cmp_virtual - by domain, then as in the file */
static int cmp_virtual(const void *a, const void *b)
{
	const struct conf_virtual_key *x = a, *y = b;
	int r = strcasecmp(x->domain, y->domain);
	return r ? r : (x->virtual > y->virtual) - (x->virtual < y->virtual);
}

/* build_local - domains whose mail is delivered here, and the hosted ones among them */
static int build_local(struct conf_index *x, const struct conf *c)
{
	size_t n = 0;
	for (size_t i = 0; i < c->nvirtual; i++)
		n += c->virtual[i].domain.n;
	x->virtuals = calloc(n + 1, sizeof(*x->virtuals));
	x->local = calloc(n + c->local_domains.n + 1, sizeof(*x->local));
	if (!x->virtuals || !x->local)
		return -ENOMEM;
	for (size_t i = 0; i < c->local_domains.n; i++)
		x->local[x->nlocal++] = c->local_domains.v[i];
	for (size_t i = 0; i < c->nvirtual; i++) {
		const struct conf_virtual *v = &c->virtual[i];
		for (size_t d = 0; d < v->domain.n; d++) {
			x->local[x->nlocal++] = v->domain.v[d];
			x->virtuals[x->nvirtuals++] = (struct conf_virtual_key){v->domain.v[d], v};
		}
	}
	qsort(x->local, x->nlocal, sizeof(*x->local), cmp_text);
	qsort(x->virtuals, x->nvirtuals, sizeof(*x->virtuals), cmp_virtual);
	return 0;
}

/* conf_virtual - the block of a hosted domain */
const struct conf_virtual *conf_virtual(const struct conf *c, const char *domain)
{
	const struct conf_index *x = c->index;
	size_t low = 0, high = x->nvirtuals;
	while (low < high) {
		size_t mid = low + (high - low) / 2;
		if (strcasecmp(x->virtuals[mid].domain, domain) < 0)
			low = mid + 1;
		else
			high = mid;
	}
	bool found = low < x->nvirtuals && strcasecmp(x->virtuals[low].domain, domain) == 0;
	return found ? x->virtuals[low].virtual : NULL;
}

/* build_routes - each pair of patterns */
static int build_routes(struct conf_index *x, const struct conf *c)
{
	size_t n = 0;
	for (size_t i = 0; i < c->nroute; i++) {
		const struct conf_route *t = &c->route[i];
		n += t->domain.n * (t->sender.n ? t->sender.n : 1);
		if (n > CONF_INDEX_MAX)
			return -E2BIG;
	}
	x->routes = calloc(n + 1, sizeof(*x->routes));
	if (!x->routes)
		return -ENOMEM;
	for (size_t i = 0; i < c->nroute; i++) {
		const struct conf_route *t = &c->route[i];
		for (size_t d = 0; d < t->domain.n; d++)
			for (size_t s = 0; s < (t->sender.n ? t->sender.n : 1); s++)
				x->routes[x->nroutes++] =
				    (struct conf_route_key){.pattern = t->domain.v[d],
					.sender = t->sender.n ? t->sender.v[s] : "",
					.route = t};
	}
	qsort(x->routes, x->nroutes, sizeof(*x->routes), cmp_route);
	return 0;
}

/* build_sites - each pattern, and the titles that aren't among them */
static int build_sites(struct conf_index *x, const struct conf *c)
{
	size_t n = 0;
	for (size_t i = 0; i < c->nsite; i++)
		n += c->site[i].domain.n + 1;
	x->sites = calloc(n + 1, sizeof(*x->sites));
	if (!x->sites)
		return -ENOMEM;
	for (size_t i = 0; i < c->nsite; i++) {
		const struct conf_site *s = &c->site[i];
		bool titled = false;
		for (size_t d = 0; d < s->domain.n; d++) {
			titled = titled || strcasecmp(s->domain.v[d], s->title) == 0;
			x->sites[x->nsites++] =
			    (struct conf_site_key){.pattern = s->domain.v[d], .site = s};
		}
		if (!titled)
			x->sites[x->nsites++] = (struct conf_site_key){
			    .pattern = s->title, .site = s, .by_title = true};
	}
	qsort(x->sites, x->nsites, sizeof(*x->sites), cmp_site);
	return 0;
}

/* conf_index_build - makes c->index */
int conf_index_build(struct conf *c)
{
	conf_index_free(c);
	struct conf_index *x = c->index = calloc(1, sizeof(*x));
	if (!x)
		return -ENOMEM;
	struct conf_section *def = (struct conf_section *)&x->site_default;
	int r = conf_section_defaults(CONF_KIND_SITE, def);
	if (!r)
		r = conf_set_text(&def->title, "*");
	if (!r)
		r = conf_set_text(&def->file, "");
	if (!r)
		r = build_local(x, c);
	if (!r)
		r = sorted(&c->relay_to, &x->relay, &x->nrelay);
	if (!r)
		r = build_routes(x, c);
	if (!r)
		r = build_sites(x, c);
	return r;
}

/* conf_index_free - frees c->index */
void conf_index_free(struct conf *c)
{
	struct conf_index *x = c->index;
	c->index = NULL;
	if (!x)
		return;
	conf_section_clear(CONF_KIND_SITE, (struct conf_section *)&x->site_default);
	free(x->routes);
	free(x->sites);
	free(x->local);
	free(x->virtuals);
	free(x->relay);
	free(x);
}

/* conf_index_clash - two keys that are the same */
bool conf_index_clash(const struct conf *c, const struct conf_route **a,
    const struct conf_route **b, const char **pattern)
{
	const struct conf_index *x = c->index;
	for (size_t i = 1; i < x->nroutes; i++) {
		const struct conf_route_key *k = &x->routes[i];
		if (strcasecmp(k[-1].pattern, k->pattern) == 0 &&
		    strcasecmp(k[-1].sender, k->sender) == 0) {
			*a = k[-1].route;
			*b = k->route;
			*pattern = k->pattern;
			return true;
		}
	}
	return false;
}

/* conf_index_route - lower bound */
size_t conf_index_route(const struct conf_index *x, const char *pattern, const char *sender)
{
	size_t low = 0, high = x->nroutes;
	while (low < high) {
		size_t mid = low + (high - low) / 2;
		int r = strcasecmp(x->routes[mid].pattern, pattern);
		if (!r)
			r = strcasecmp(x->routes[mid].sender, sender);
		if (r < 0)
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

/* conf_index_text - is a text in a sorted list */
bool conf_index_text(const char *const *v, size_t n, const char *text)
{
	return n && bsearch(&text, v, n, sizeof(*v), cmp_text);
}

/* conf_index_domain - is a domain, or a parent with a dot, in a sorted list */
bool conf_index_domain(const char *const *v, size_t n, const char *domain)
{
	if (!n || conf_index_text(v, n, domain))
		return n;
	for (const char *p = strchr(domain + !!*domain, '.'); p; p = strchr(p + 1, '.'))
		if (conf_index_text(v, n, p))
			return true;
	return false;
}
