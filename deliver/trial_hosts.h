/* SPDX-License-Identifier: ISC */
/*
 * The hosts that mail of a route goes to, for trial.c: those that it names, or the MX hosts of the
 * recipient's domain. Found while root's sockets can still be asked and connected.
 */
#pragma once

#include "deliver/trial_dns.h"

#define TRIAL_HOSTS 8

struct trial_host {
	const struct conf_target *target;
	char name[DNS_NAME_SIZE + 16]; /* as people read it: "[host]:port", "host port 25" */
	char host[DNS_NAME_SIZE];      /* whom its certificate names */
	uint16_t port;
	bool lmtp;
	int fd; /* a connected Unix socket; -1: `addrs` count */
	struct trial_addrs addrs;
};

struct trial_hosts {
	unsigned n;
	struct trial_host v[TRIAL_HOSTS];
	bool by_mx;                 /* one that takes mail is enough */
	char domain[DNS_NAME_SIZE]; /* the recipient's, where it is by MX; else "" */
	char why[640];              /* n is 0: what stands in the way */
};

/* Finds them; `to` is the recipient, NULL: none was given. Blocks. */
void trial_hosts_find(const struct conf *conf, const struct conf_route *route, const char *to,
    struct trial_hosts *out);
