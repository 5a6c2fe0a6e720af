/* SPDX-License-Identifier: ISC */
/*
 * What DNS says, for the trial: from dnscache, as deliver has it. Addresses come from the system
 * where no instance runs. Blocks.
 */
#pragma once

#include "lib/conf.h"
#include "lib/dns.h"

#define TRIAL_ADDRS 8

struct trial_addrs {
	unsigned n;
	struct dns_addr v[TRIAL_ADDRS]; /* IPv6 first where it may be used */
	char from[64];                  /* who said so */
	char why[256];                  /* n is 0 */
};

/* A host name, or an address itself. */
void trial_lookup(const struct conf *conf, const char *host, struct trial_addrs *out);

#define TRIAL_MX 8

struct trial_mx {
	unsigned n; /* best first */
	struct {
		uint16_t preference;
		char name[DNS_NAME_SIZE];
	} v[TRIAL_MX];
	char why[256]; /* n is 0 */
};

/* The MX hosts of a domain; of one without MX the domain itself (RFC 5321 §5.1). */
void trial_lookup_mx(const struct conf *conf, const char *domain, struct trial_mx *out);
