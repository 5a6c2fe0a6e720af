/* SPDX-License-Identifier: ISC */
/*
 * A sealed memfd and not bytes in the packet: a configuration may be larger than a packet, and
 * the child maps nothing that could change under it.
 */
#include "master/config.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "lib/log.h"
#include "master/tree.h"

/* `servers` is the first option of its section (lib/conf.def) */
enum { RESOLVERS_MAX = 8, DNS_PORT = 53, RESOLVER_SERVERS_GIVEN = 1 };

static struct conf *now;
static uint32_t generation;

/* config_now - the one in force */
const struct conf *config_now(void)
{
	return now;
}

/* config_generation - its number */
uint32_t config_generation(void)
{
	return generation;
}

/* config_use - put one in force */
void config_use(struct conf *conf)
{
	/* Tickets of before a reload hold after it. */
	if (now)
		memcpy(conf->secret, now->secret, sizeof(conf->secret));
	if (conf != now)
		conf_free(now);
	now = conf;
	generation++;
}

/* parse_server - the address behind "nameserver", or false */
static bool parse_server(char *line, struct conf_addr *addr)
{
	static const char word[] = "nameserver";
	char *p = line, *end;
	if (strncmp(p, word, sizeof(word) - 1) != 0 || !isspace((unsigned char)p[sizeof(word) - 1]))
		return false;
	p += sizeof(word) - 1;
	p += strspn(p, " \t");
	end =
	    p + strcspn(p, " \t\r\n%"); /* a zone (fe80::1%eth0) can't be carried: left out below */
	bool zone = *end == '%';
	*end = '\0';
	*addr = (struct conf_addr){.port = DNS_PORT};
	if (inet_pton(AF_INET, p, addr->bytes) == 1)
		addr->family = AF_INET;
	else if (!zone && inet_pton(AF_INET6, p, addr->bytes) == 1)
		addr->family = AF_INET6;
	return addr->family != 0;
}

/* read_servers - at most RESOLVERS_MAX of a file; the number */
static size_t read_servers(const char *path, struct conf_addr *servers)
{
	char line[512];
	size_t n = 0;
	FILE *f = fopen(path, "re");
	while (f && n < RESOLVERS_MAX && fgets(line, sizeof(line), f))
		n += parse_server(line, &servers[n]);
	if (f)
		fclose(f);
	if (n == 0)
		servers[n++] = (struct conf_addr){AF_INET, {127, 0, 0, 1}, DNS_PORT};
	return n;
}

/* same_servers - whether the list is that one already */
static bool same_servers(const struct conf_addrs *have, const struct conf_addr *servers, size_t n)
{
	if (have->n != n)
		return false;
	for (size_t i = 0; i < n; i++)
		if (have->v[i].family != servers[i].family || have->v[i].port != servers[i].port ||
		    memcmp(have->v[i].bytes, servers[i].bytes, sizeof(servers[i].bytes)) != 0)
			return false;
	return true;
}

/* config_add_resolvers - the host's, where the file names none */
bool config_add_resolvers(struct conf *conf, const char *path)
{
	struct conf_addr servers[RESOLVERS_MAX];
	struct conf_addrs *have = &conf->resolver.servers;
	if (conf->resolver.given & RESOLVER_SERVERS_GIVEN)
		return false;
	size_t n = read_servers(path, servers);
	if (same_servers(have, servers, n))
		return false;
	struct conf_addr *v = malloc(n * sizeof(*v));
	if (!v)
		return false;
	memcpy(v, servers, n * sizeof(*v));
	free(have->v);
	*have = (struct conf_addrs){n, v};
	return true;
}

/* config_refresh_resolvers - what resolv.conf says now */
bool config_refresh_resolvers(const char *path)
{
	if (!now || !config_add_resolvers(now, path))
		return false;
	generation++;
	return true;
}

/* seal - bytes in a memfd that nobody can change; the descriptor or -E... */
static int seal(const unsigned char *buf, size_t len)
{
	int fd = memfd_create("baton-config", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (fd < 0)
		return -errno;
	for (size_t done = 0; done < len;) {
		ssize_t n = pwrite(fd, buf + done, len - done, (off_t)done);
		if (n <= 0) {
			close(fd);
			return n < 0 ? -errno : -ENOSPC;
		}
		done += (size_t)n;
	}
	if (fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) != 0) {
		int e = -errno;
		close(fd);
		return e;
	}
	return fd;
}

/* config_send - CONFIG to a child */
int config_send(struct place *place)
{
	unsigned char *buf = NULL;
	size_t len = 0;
	int e = conf_encode(now, place->service->role, &buf, &len);
	if (e)
		return e;
	int fd = seal(buf, len);
	explicit_bzero(buf, len); /* there may be keys in it */
	free(buf);
	if (fd < 0)
		return fd;
	e = CHAN_SEND(place->chan, config, .generation = generation, .sealed = fd);
	close(fd);
	return e;
}
