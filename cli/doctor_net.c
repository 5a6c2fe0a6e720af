/* SPDX-License-Identifier: ISC */
/* Ports: ours, and by whom they are held; those of the next hops, and whether they answer. */
#include <arpa/inet.h>
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "cli/doctor.h"
#include "lib/clock.h"

#define HOPS_MAX 16
#define LISTENS  "0A" /* state TCP_LISTEN in /proc/net/tcp */

/* -- ours */

/* to_text - an address as /proc/net/tcp has it: words of 32 bits in the host's order */
static void to_text(const struct conf_addr *a, char out[48])
{
	size_t words = a->family == AF_INET ? 1 : 4, n = 0;
	uint32_t word;
	for (size_t i = 0; i < words; i++) {
		memcpy(&word, a->bytes + 4 * i, 4);
		n += (size_t)snprintf(out + n, 48 - n, "%08X", word);
	}
	snprintf(out + n, 48 - n, ":%04X", a->port);
}

/* listens - the inode of the socket that listens there, 0: none; any: on all addresses counts */
static unsigned long listens(const struct conf_addr *a, bool any)
{
	const char *path = a->family == AF_INET ? "/proc/net/tcp" : "/proc/net/tcp6";
	struct conf_addr all = {.family = a->family, .port = a->port};
	char line[512], want[48], local[80], state[8];
	unsigned long inode, found = 0;
	FILE *f = fopen(path, "re");
	to_text(any ? &all : a, want);
	while (f && !found && fgets(line, sizeof(line), f))
		if (sscanf(line, " %*d: %79s %*s %7s %*s %*s %*s %*s %*s %lu", local, state,
			&inode) == 3 &&
		    !strcmp(state, LISTENS) && !strcmp(local, want))
			found = inode;
	if (f)
		fclose(f);
	return found;
}

/* holds - has a process that socket open */
static bool holds(const char *pid, unsigned long inode)
{
	char path[300], link[64], want[64];
	struct dirent *entry;
	bool found = false;
	snprintf(want, sizeof(want), "socket:[%lu]", inode);
	snprintf(path, sizeof(path), "/proc/%.20s/fd", pid);
	DIR *dir = opendir(path);
	while (dir && !found && (entry = readdir(dir))) {
		snprintf(path, sizeof(path), "/proc/%.20s/fd/%.20s", pid, entry->d_name);
		ssize_t n = readlink(path, link, sizeof(link) - 1);
		link[n > 0 ? n : 0] = '\0';
		found = strcmp(link, want) == 0;
	}
	if (dir)
		closedir(dir);
	return found;
}

/* holder - "exim4 (pid 12)", "" where it can't be seen; for root every process can be */
static void holder(unsigned long inode, char *out, size_t size)
{
	char path[64], name[32] = "";
	struct dirent *entry;
	DIR *dir = opendir("/proc");
	out[0] = '\0';
	while (dir && !out[0] && (entry = readdir(dir))) {
		if (!isdigit((unsigned char)entry->d_name[0]) || !holds(entry->d_name, inode))
			continue;
		snprintf(path, sizeof(path), "/proc/%.20s/comm", entry->d_name);
		FILE *f = fopen(path, "re");
		if (f && fgets(name, sizeof(name), f))
			name[strcspn(name, "\n")] = '\0';
		if (f)
			fclose(f);
		snprintf(out, size, "%s (pid %.20s)", name, entry->d_name);
	}
	if (dir)
		closedir(dir);
}

/* is_ours - a name of the tree */
static bool is_ours(const char *who)
{
	return !strncmp(who, "baton ", 6) || !strncmp(who, "smtpd ", 6);
}

/* check_port - one address of one listener */
static void check_port(struct doctor *d, const struct conf_listen *l, const struct conf_addr *a)
{
	char text[CONF_ADDR_TEXT], who[80] = "", fix[200];
	unsigned long inode = listens(a, false);
	if (!inode)
		inode = listens(a, true);
	conf_addr_format(a, text);
	if (inode)
		holder(inode, who, sizeof(who));
	snprintf(fix, sizeof(fix),
	    "stop %s and see that it isn't started again (`systemctl "
	    "disable --now`), then start baton",
	    who[0] ? who : "it");
	if (inode && who[0] && !is_ours(who))
		finding(
		    d, LEVEL_FAIL, fix, "%s (listener \"%s\") is held by %s", text, l->title, who);
	else if (inode && !d->running)
		finding(d, LEVEL_FAIL, fix, "%s (listener \"%s\") is held by another program", text,
		    l->title);
	else if (inode)
		finding(d, LEVEL_OK, "", "%s (listener \"%s\") is open", text, l->title);
	else if (d->running)
		finding(d, LEVEL_FAIL, "`batonctl reload` if it is new in the configuration",
		    "nobody listens at %s (listener \"%s\")", text, l->title);
	else
		finding(d, LEVEL_OK, "", "%s (listener \"%s\") is free", text, l->title);
}

/* check_ports - all listeners */
void check_ports(struct doctor *d)
{
	for (size_t i = 0; i < d->conf->nlisten; i++)
		for (size_t k = 0; k < d->conf->listen[i].address.n; k++)
			check_port(d, &d->conf->listen[i], &d->conf->listen[i].address.v[k]);
}

/* -- next hops */

/* One connection that is tried. */
struct hop {
	char name[320];
	const char *route; /* title; NULL: --connect */
	struct dns_addr addr;
	uint16_t port;
	bool silent; /* TLS from the first byte: no greeting comes */
	int fd, error;
	bool over;
	char greeting[200];
};

/* resolve - an address, or dnscache's word; false: said why not */
static bool resolve(struct doctor *d, struct hop *hop, const char *host)
{
	struct doctor_answer a = {0};
	if (dns_addr_parse(host, strlen(host), &hop->addr) == 0)
		return true;
	doctor_dns(d, host, DNS_A, &a);
	if (!a.n && d->conf->deliver.ipv6)
		doctor_dns(d, host, DNS_AAAA, &a);
	hop->addr = a.addr;
	if (a.n)
		return true;
	if (d->running)
		finding(d, LEVEL_FAIL, "is the name right? `batonctl dns NAME A` shows more",
		    "%s: no address of %s is known%s", hop->name, host,
		    d->dns_dead ? ": no resolver answers" : "");
	else
		finding(d, LEVEL_WARNING, "start baton, or `batonctl test-relay` tries it without",
		    "%s: not tried: baton is not running, and it asks the DNS", hop->name);
	return false;
}

/* start - the connection begins */
static void start(struct hop *hop)
{
	struct sockaddr_storage to;
	socklen_t len = dns_addr_sockaddr(&hop->addr, hop->port, &to);
	hop->fd = socket(to.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (hop->fd < 0 ||
	    (connect(hop->fd, (struct sockaddr *)&to, len) && errno != EINPROGRESS)) {
		hop->error = errno;
		hop->over = true;
	}
}

/* go_on - what poll() saw: connected, a greeting, an end */
static void go_on(struct hop *hop, short events)
{
	socklen_t len = sizeof(hop->error);
	if (getsockopt(hop->fd, SOL_SOCKET, SO_ERROR, &hop->error, &len) || hop->error) {
		hop->over = true;
		return;
	}
	if (hop->silent && events & POLLOUT) {
		hop->over = true;
		return;
	}
	ssize_t n = read(hop->fd, hop->greeting, sizeof(hop->greeting) - 1);
	if (n < 0 && errno == EAGAIN)
		return;
	hop->over = true;
	hop->error = n < 0 ? errno : n == 0 ? ECONNRESET : 0;
	hop->greeting[n > 0 ? n : 0] = '\0';
	hop->greeting[strcspn(hop->greeting, "\r\n")] = '\0';
}

/* wait_all - all at a time, until each has said something or the time is over */
static void wait_all(struct hop *hops, unsigned n)
{
	struct pollfd fds[HOPS_MAX];
	int64_t end = clock_ms() + DOCTOR_HOP_MS, left;
	unsigned open = n;
	while (open && (left = end - clock_ms()) > 0) {
		for (unsigned i = 0; i < n; i++)
			fds[i] = (struct pollfd){.fd = hops[i].over ? -1 : hops[i].fd,
			    .events = hops[i].silent ? POLLOUT : POLLIN};
		if (poll(fds, n, (int)left) < 0 && errno != EINTR)
			break;
		open = 0;
		for (unsigned i = 0; i < n; i++) {
			if (!hops[i].over && fds[i].revents)
				go_on(&hops[i], fds[i].revents);
			open += !hops[i].over;
		}
	}
}

/* say_hop - what came of it */
static void say_hop(struct doctor *d, const struct hop *hop)
{
	char fix[400];
	if (hop->route)
		snprintf(fix, sizeof(fix),
		    "is host and port right, does a firewall stop it? `batonctl test-relay '%s'` "
		    "tries it step by step",
		    hop->route);
	else
		snprintf(fix, sizeof(fix),
		    "many providers block port 25 to the outside: ask yours, "
		    "or send through its smarthost");
	if (!hop->over)
		finding(d, LEVEL_FAIL, fix, "%s: no answer within %d s", hop->name,
		    DOCTOR_HOP_MS / 1000);
	else if (hop->error)
		finding(d, LEVEL_FAIL, fix, "%s: %s", hop->name, strerror(hop->error));
	else if (hop->silent)
		finding(d, LEVEL_OK, "", "%s: can be reached", hop->name);
	else
		finding(d, hop->greeting[0] == '2' ? LEVEL_OK : LEVEL_WARNING,
		    hop->greeting[0] == '2' ? "" : fix, "%s: answers %s", hop->name, hop->greeting);
}

/* add_target - one host of a route */
static unsigned add_target(
    struct doctor *d, struct hop *hop, const struct conf_route *route, const struct conf_target *t)
{
	if (t->kind != CONF_TARGET_RELAY && t->kind != CONF_TARGET_LMTP)
		return 0;
	*hop = (struct hop){
	    .route = route->title, .port = t->port, .silent = t->implicit_tls, .fd = -1};
	snprintf(hop->name, sizeof(hop->name), "%.300s", t->name);
	return resolve(d, hop, t->host);
}

/* add_named - what --connect says */
static unsigned add_named(struct doctor *d, struct hop *hop)
{
	char host[256];
	const char *colon = strrchr(d->connect, ':');
	size_t len = colon ? (size_t)(colon - d->connect) : strlen(d->connect);
	*hop = (struct hop){.port = colon ? (uint16_t)atoi(colon + 1) : 25, .fd = -1};
	snprintf(host, sizeof(host), "%.*s", (int)len, d->connect);
	snprintf(hop->name, sizeof(hop->name), "%.200s port %u", host, hop->port);
	return resolve(d, hop, host);
}

/* check_outgoing - fixed hosts of routes; who takes mail of others is only tried when named */
void check_outgoing(struct doctor *d)
{
	struct hop hops[HOPS_MAX];
	unsigned n = 0;
	bool mx = false;
	for (size_t i = 0; i < d->conf->nroute; i++) {
		const struct conf_route *route = &d->conf->route[i];
		mx |= route->to.v[0].kind == CONF_TARGET_MX;
		for (size_t k = 0; k < route->to.n && n < HOPS_MAX - 1; k++)
			n += add_target(d, &hops[n], route, &route->to.v[k]);
	}
	if (d->connect)
		n += add_named(d, &hops[n]);
	for (unsigned i = 0; i < n; i++)
		start(&hops[i]);
	wait_all(hops, n);
	for (unsigned i = 0; i < n; i++) {
		say_hop(d, &hops[i]);
		if (hops[i].fd >= 0)
			close(hops[i].fd);
	}
	if (mx && !d->connect)
		finding(d, LEVEL_OK, "",
		    "mail by MX: port 25 is not tried unasked; `batonctl doctor --connect HOST` "
		    "does");
}
