/* SPDX-License-Identifier: ISC */
/*
 * There are no interfaces to list in the sandbox. What is asked instead is the kernel's route: to
 * an address of this host it goes out from that very address. No packet is sent.
 */
#include "deliver/self.h"

#include <netinet/in.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

/* route_from - the address from which the kernel would go there; false: not at all */
static bool route_from(const struct dns_addr *to, uint16_t port, struct sockaddr_storage *from)
{
	struct sockaddr_storage addr;
	socklen_t len = dns_addr_sockaddr(to, port, &addr), size = sizeof(*from);
	int fd = socket(addr.ss_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return false;
	bool found = connect(fd, (struct sockaddr *)&addr, len) == 0 &&
		     getsockname(fd, (struct sockaddr *)from, &size) == 0;
	close(fd);
	return found;
}

/* is_here - whether an address is this host's */
static bool is_here(const struct dns_addr *addr, uint16_t port)
{
	struct sockaddr_storage from;
	if (addr->family == 4 && addr->bytes[0] == 127)
		return true;
	if (!route_from(addr, port, &from))
		return false;
	if (addr->family == 4)
		return !memcmp(&((struct sockaddr_in *)&from)->sin_addr, addr->bytes, 4);
	return !memcmp(&((struct sockaddr_in6 *)&from)->sin6_addr, addr->bytes, 16);
}

/* takes - whether a listener takes what comes to that address and port */
static bool takes(const struct conf_addr *on, const struct dns_addr *addr, uint16_t port)
{
	static const uint8_t any[16];
	size_t n = addr->family == 4 ? 4 : 16;
	if (on->port != port || (on->family == AF_INET) != (addr->family == 4))
		return false;
	return !memcmp(on->bytes, any, n) || !memcmp(on->bytes, addr->bytes, n);
}

/* is_ours - whether we listen there */
static bool is_ours(const struct conf *conf, const struct dns_addr *addr, uint16_t port)
{
	for (size_t i = 0; i < conf->nlisten; i++)
		for (size_t k = 0; k < conf->listen[i].address.n; k++)
			if (takes(&conf->listen[i].address.v[k], addr, port))
				return is_here(addr, port);
	return false;
}

unsigned self_cut(struct hosts *hosts, const struct conf *conf, uint16_t port)
{
	unsigned kept = 0, cut = UINT16_MAX + 1u;
	for (unsigned i = 0; i < hosts->naddrs; i++) {
		const struct host_addr *a = &hosts->addrs[i];
		if (a->preference < cut && (!strcasecmp(hosts->names[a->host], conf->hostname) ||
					       is_ours(conf, &a->addr, port)))
			cut = a->preference;
	}
	for (unsigned i = 0; i < hosts->naddrs; i++)
		if (hosts->addrs[i].preference < cut)
			hosts->addrs[kept++] = hosts->addrs[i];
	hosts->naddrs = kept;
	return kept;
}
