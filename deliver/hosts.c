/* SPDX-License-Identifier: ISC */
/*
 * dnscache sends the hosts best first; only runs of one preference are shuffled (Fisher-Yates).
 */
#include "deliver/hosts.h"

#include <errno.h>
#include <string.h>

#include "lib/wire.h"

/* shuffle - order[from..to) at random */
static void shuffle(uint8_t *order, unsigned from, unsigned to, unsigned (*random)(unsigned))
{
	for (unsigned i = to; i > from + 1; i--) {
		unsigned j = from + random(i - from);
		uint8_t keep = order[i - 1];
		order[i - 1] = order[j];
		order[j] = keep;
	}
}

/* nth - the n-th address of one family of a host; NULL: it has not so many */
static const struct dns_addr *nth(const struct dns_host *host, unsigned family, unsigned n)
{
	for (unsigned i = 0; i < host->naddrs; i++)
		if (host->addrs[i].family == family && n-- == 0)
			return &host->addrs[i];
	return NULL;
}

/* add - the addresses of one host, the families by turns */
static void add(struct hosts *out, const struct dns_host *host, unsigned index, bool ipv6)
{
	const struct dns_addr *addr[2];
	for (unsigned n = 0; n < DNS_ADDRS_MAX; n++) {
		addr[0] = ipv6 ? nth(host, 6, n) : NULL;
		addr[1] = nth(host, 4, n);
		for (unsigned k = 0; k < 2; k++)
			if (addr[k] && out->naddrs < HOSTS_TRY_MAX)
				out->addrs[out->naddrs++] = (struct host_addr){.addr = *addr[k],
				    .preference = host->preference,
				    .host = (uint8_t)index};
	}
}

/* read_list - all hosts of the list; how many, or -EBADMSG */
static int read_list(struct msg_bytes list, struct dns_host *hosts)
{
	struct wire_in in;
	unsigned n = 0;
	struct dns_host host;
	wire_in_init(&in, list.data, list.len);
	while (dns_host_next(&in, &host))
		if (n < DNS_HOSTS_MAX)
			hosts[n++] = host;
	return wire_in_end(&in) < 0 ? -EBADMSG : (int)n;
}

int hosts_read(struct msg_bytes list, bool ipv6, unsigned (*random)(unsigned), struct hosts *out)
{
	static struct dns_host hosts[DNS_HOSTS_MAX];
	uint8_t order[DNS_HOSTS_MAX];
	int n = read_list(list, hosts);
	if (n < 0)
		return n;
	out->nhosts = out->naddrs = 0;
	for (unsigned i = 0; i < (unsigned)n; i++)
		order[i] = (uint8_t)i;
	for (unsigned from = 0, to; from < (unsigned)n; from = to) {
		for (to = from + 1; to < (unsigned)n; to++)
			if (hosts[to].preference != hosts[from].preference)
				break;
		shuffle(order, from, to, random);
	}
	for (unsigned i = 0; i < (unsigned)n; i++) {
		const struct dns_host *host = &hosts[order[i]];
		memcpy(out->names[i], host->name, sizeof(host->name));
		add(out, host, i, ipv6);
	}
	out->nhosts = (unsigned)n;
	return out->naddrs ? 0 : -ENOENT;
}

bool hosts_have(const struct hosts *hosts, unsigned family)
{
	for (unsigned i = 0; i < hosts->naddrs; i++)
		if (hosts->addrs[i].addr.family == family)
			return true;
	return false;
}

int hosts_literal(struct msg_bytes host, struct hosts *out)
{
	struct dns_addr addr;
	if (dns_addr_parse(host.data, host.len, &addr) < 0)
		return -EINVAL;
	out->nhosts = out->naddrs = 1;
	out->addrs[0] = (struct host_addr){.addr = addr};
	dns_addr_text(&addr, out->names[0]);
	return 0;
}
