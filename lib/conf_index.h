/* SPDX-License-Identifier: ISC */
/*
 * The sorted patterns behind the look-ups of lib/conf.h; made by conf_index_build(), for
 * lib/conf_index.c, lib/conf_route.c and lib/conf_site.c. All strings are the conf's.
 */
#pragma once

#include "lib/conf_raw.h"

#define CONF_INDEX_MAX (1 << 20) /* pairs of a domain and a sender pattern */

/* A route's domain and sender patterns, one of each; sorted by both. sender "": none given. */
struct conf_route_key {
	const char *pattern;
	const char *sender;
	const struct conf_route *route;
};

/* What a site block is for; sorted by pattern, then shipped, then by_title. */
struct conf_site_key {
	const char *pattern;
	const struct conf_site *site;
	bool by_title; /* a title that isn't among its own domains: only names the site */
};

/* A hosted domain; sorted by it. */
struct conf_virtual_key {
	const char *domain;
	const struct conf_virtual *virtual;
};

struct conf_index {
	struct conf_route_key *routes;
	size_t nroutes;
	struct conf_site_key *sites;
	size_t nsites;
	struct conf_virtual_key *virtuals;
	size_t nvirtuals;
	const char **local; /* local_domains with those of `virtual`; relay_to; sorted */
	size_t nlocal;
	const char **relay;
	size_t nrelay;
	struct conf_site site_default;
};

/* The index of the first route key that isn't before (pattern, sender). */
size_t conf_index_route(const struct conf_index *x, const char *pattern, const char *sender);

/* Is a domain in a sorted list, itself or by a ".parent"? */
bool conf_index_domain(const char *const *v, size_t n, const char *domain);
bool conf_index_text(const char *const *v, size_t n, const char *text);
