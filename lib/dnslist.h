/* SPDX-License-Identifier: ISC */
/*
 * Lists in the DNS of clients that are good or bad (RFC 5782), as an entry of policy.dnsbl or
 * policy.dnswl names them: "zone", "zone=pattern", either with "*score" behind it. The pattern is
 * an IPv4 address whose parts may be ranges, "127.0.0.[2;4..7]": which answers count.
 * Pure functions.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "lib/dns.h"

#define DNSLIST_SCORE_MAX 1000000
#define DNSLIST_RANGES    8 /* in one part of a pattern */

struct dnslist {
	char zone[DNS_NAME_SIZE];
	uint32_t score; /* 1 where none is given */
	bool filtered;  /* a pattern was given */
	struct {
		uint8_t n;
		struct {
			uint8_t low, high;
		} range[DNSLIST_RANGES];
	} part[4];
};

/* Reads an entry. Returns 0, or -EINVAL with out undefined. */
int dnslist_parse(const char *text, struct dnslist *out);

/*
 * Does that answer say that the client is on the list? Without a pattern every address of 127/8
 * does but those of 127.255.255/24, by which a list says that it doesn't serve us (blocked,
 * mistyped), and 127.0.0.1.
 */
bool dnslist_counts(const struct dnslist *list, const struct dns_addr *answer);

/* The name to be asked for about a client. Returns 0, or -EINVAL if it would be too long. */
int dnslist_name(
    const struct dnslist *list, const struct dns_addr *client, char out[DNS_NAME_SIZE]);
