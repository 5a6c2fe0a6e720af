/* SPDX-License-Identifier: ISC */
/*
 * A host's addresses for the trial: from dnscache, as deliver has them, or from the system where no
 * instance runs. Blocks.
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
