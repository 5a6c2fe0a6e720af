/* SPDX-License-Identifier: ISC */
/*
 * From what DNS said of a domain to the addresses that are tried, in order (RFC 5321 §5.1): hosts
 * by preference, equal ones in random order so that each takes its share, of a host IPv6 and IPv4
 * by turns, IPv6 first (RFC 8305 §4). Pure.
 */
#pragma once

#include <stdbool.h>

#include "lib/dns.h"
#include "lib/msg.h"

#define HOSTS_TRY_MAX 16 /* addresses tried for one OPEN */

enum host_state {
	HOST_LEFT,   /* may be tried */
	HOST_TRYING, /* a connect() is under way */
	HOST_TRIED
};

struct host_addr {
	struct dns_addr addr;
	uint16_t preference;
	uint8_t host; /* index of its name */
	enum host_state state;
};

struct hosts {
	unsigned nhosts, naddrs;
	char names[DNS_HOSTS_MAX][DNS_NAME_SIZE];
	struct host_addr addrs[HOSTS_TRY_MAX];
};

/*
 * Reads dnscache's list. ipv6: whether AAAA count. `random` gives a number below its argument.
 * Returns 0; -EBADMSG for a broken list; -ENOENT when no address is left.
 */
int hosts_read(
    struct msg_bytes list, bool ipv6, unsigned (*random)(unsigned below), struct hosts *out);

/* Whether the list has an address of that family, 4 or 6. */
bool hosts_have(const struct hosts *hosts, unsigned family);

/* A host that is an address itself, with or without brackets: 0, or -EINVAL when it is a name. */
int hosts_literal(struct msg_bytes host, struct hosts *out);
