/* SPDX-License-Identifier: ISC */
/*
 * A list of sockets, each with a mark: kept, new or (at a reload) not in the new configuration. A
 * reload opens first and closes afterwards, so that a mistake costs nothing.
 */
#include "master/listen.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>
#include <utlist.h>

#include "lib/log.h"

enum mark { MARK_OLD, MARK_KEPT, MARK_NEW };

struct listener {
	struct listener *next;
	enum mark mark;
	int fd;
	enum listen_kind kind;
	enum role role;          /* who is given it; ROLE_MASTER: our own */
	unsigned index, newer;   /* in conf's listen list: now, and after listen_commit() */
	struct conf_addr addr;   /* LISTEN_SMTP, LISTEN_METRICS */
	struct sockaddr_un path; /* the others */
};

static struct listener *listeners;

static const struct unix_socket {
	const char *name;
	int type;
	mode_t mode;
	enum listen_kind kind;
	enum role role;
} unix_sockets[] = {
    {"submit", SOCK_STREAM, 0666, LISTEN_SUBMIT, ROLE_SMTPD},
    {"queue", SOCK_SEQPACKET, 0666, LISTEN_TOOL, ROLE_QMGR},
    {"dns", SOCK_SEQPACKET, 0666, LISTEN_TOOL, ROLE_DNSCACHE},
    {"control", SOCK_SEQPACKET, 0666, LISTEN_TOOL, ROLE_MASTER},
};

/* same_address - whether two addresses are one */
static bool same_address(const struct conf_addr *a, const struct conf_addr *b)
{
	return a->family == b->family && a->port == b->port &&
	       memcmp(a->bytes, b->bytes, sizeof(a->bytes)) == 0;
}

/* is_unix - whether it is one of the sockets in `runtime` */
static bool is_unix(const struct listener *l)
{
	return l->kind == LISTEN_SUBMIT || l->kind == LISTEN_TOOL;
}

/* find_address - an open socket of that kind and address that no block has claimed */
static struct listener *find_address(const struct conf_addr *addr, enum listen_kind kind)
{
	struct listener *l;
	LL_FOREACH (listeners, l) {
		if (l->kind == kind && l->mark == MARK_OLD && same_address(&l->addr, addr))
			return l;
	}
	return NULL;
}

/* find_path - an open Unix socket of that path */
static struct listener *find_path(const char *path)
{
	struct listener *l;
	LL_FOREACH (listeners, l) {
		if (is_unix(l) && strcmp(l->path.sun_path, path) == 0)
			return l;
	}
	return NULL;
}

/* add - a socket that was just opened */
static struct listener *add(int fd, enum listen_kind kind, enum role role)
{
	struct listener *l = calloc(1, sizeof(*l));
	if (!l)
		log_fatal("out of memory");
	l->fd = fd;
	l->kind = kind;
	l->role = role;
	l->mark = MARK_NEW;
	LL_APPEND(listeners, l);
	return l;
}

/* drop - close one */
static void drop(struct listener *l)
{
	LL_DELETE(listeners, l);
	close(l->fd);
	if (is_unix(l))
		unlink(l->path.sun_path);
	free(l);
}

/* open_address - a listening TCP socket, or -E... */
static int open_address(const struct conf_addr *addr)
{
	struct sockaddr_storage ss;
	socklen_t len = conf_addr_sockaddr(addr, &ss);
	const int on = 1;
	int fd = socket(addr->family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -errno;
	/* [::] must not take 0.0.0.0 along: that one is a block of its own, or isn't wanted */
	if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) != 0 ||
	    (addr->family == AF_INET6 &&
		setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on)) != 0) ||
	    bind(fd, (struct sockaddr *)&ss, len) != 0 || listen(fd, LISTEN_BACKLOG) != 0) {
		int e = -errno;
		close(fd);
		return e;
	}
	return fd;
}

/* open_path - a listening Unix socket of that mode, or -E... */
static int open_path(const struct sockaddr_un *at, int type, mode_t mode)
{
	int fd = socket(AF_UNIX, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -errno;
	if (unlink(at->sun_path) != 0 && errno != ENOENT) {
		int e = -errno;
		close(fd);
		return e;
	}
	mode_t old = umask(0777 & ~mode);
	int e = bind(fd, (const struct sockaddr *)at, sizeof(*at)) == 0 ? 0 : -errno;
	umask(old);
	if (!e && listen(fd, LISTEN_BACKLOG) != 0)
		e = -errno;
	if (e) {
		close(fd);
		return e;
	}
	return fd;
}

/* want_address - keep or open one address of a block */
static int want_address(const struct conf_addr *addr, enum listen_kind kind, unsigned index,
    char *reason, size_t size)
{
	char text[CONF_ADDR_TEXT];
	struct listener *l = find_address(addr, kind);
	if (l) {
		l->mark = MARK_KEPT;
		l->newer = index;
		return 0;
	}
	int fd = open_address(addr);
	if (fd == -EADDRNOTAVAIL && addr->family == AF_INET6)
		fd = -EAFNOSUPPORT;
	if (fd < 0) {
		snprintf(reason, size, "cannot listen on %s: %s", conf_addr_format(addr, text),
		    strerror(-fd));
		return fd;
	}
	l = add(fd, kind, ROLE_SMTPD);
	l->addr = *addr;
	l->newer = index;
	return 0;
}

/* want_path - keep or open one Unix socket */
static int want_path(
    const struct conf *conf, const struct unix_socket *row, char *reason, size_t size)
{
	struct sockaddr_un at = {.sun_family = AF_UNIX};
	int n = snprintf(at.sun_path, sizeof(at.sun_path), "%s/%s", conf->runtime, row->name);
	int fd = n < 0 || (size_t)n >= sizeof(at.sun_path) ? -ENAMETOOLONG : 0;
	struct listener *l = fd ? NULL : find_path(at.sun_path);
	if (l) {
		l->mark = MARK_KEPT;
		return 0;
	}
	if (!fd)
		fd = open_path(&at, row->type, row->mode);
	if (fd < 0) {
		snprintf(reason, size, "cannot listen on %s/%s: %s", conf->runtime, row->name,
		    strerror(-fd));
		return fd;
	}
	l = add(fd, row->kind, row->role);
	l->path = at;
	return 0;
}

/* is_optional - [::1] of the built-in listeners, on a host without IPv6 */
static bool is_optional(const struct conf_listen *block, const struct conf_addr *addr, int e)
{
	return block->line == 0 && addr->family == AF_INET6 && e == -EAFNOSUPPORT;
}

/* open_all - what the configuration names */
static int open_all(const struct conf *conf, char *reason, size_t size)
{
	for (size_t i = 0; i < conf->nlisten; i++) {
		const struct conf_listen *block = &conf->listen[i];
		for (size_t k = 0; k < block->address.n; k++) {
			const struct conf_addr *addr = &block->address.v[k];
			int e = want_address(addr, LISTEN_SMTP, (unsigned)i, reason, size);
			if (e && !is_optional(block, addr, e))
				return e;
		}
	}
	for (size_t i = 0; i < conf->metrics.address.n; i++) {
		int e = want_address(&conf->metrics.address.v[i], LISTEN_METRICS, 0, reason, size);
		if (e)
			return e;
	}
	for (size_t i = 0; i < sizeof(unix_sockets) / sizeof(unix_sockets[0]); i++) {
		int e = want_path(conf, &unix_sockets[i], reason, size);
		if (e)
			return e;
	}
	return 0;
}

/* listen_open - prepare the sockets of a configuration */
int listen_open(const struct conf *conf, char *reason, size_t size)
{
	struct listener *l;
	LL_FOREACH (listeners, l)
		l->mark = MARK_OLD;
	int e = open_all(conf, reason, size);
	if (e)
		listen_abandon();
	return e;
}

/* listen_commit - the new configuration is in force */
void listen_commit(void)
{
	struct listener *l, *next;
	LL_FOREACH_SAFE (listeners, l, next) {
		if (l->mark == MARK_OLD)
			drop(l);
		else
			l->index = l->newer;
	}
}

/* listen_abandon - the old one stays */
void listen_abandon(void)
{
	struct listener *l, *next;
	LL_FOREACH_SAFE (listeners, l, next) {
		if (l->mark == MARK_NEW)
			drop(l);
	}
}

/* serves_metrics - whether it is the one that does: the first of its role's places */
static bool serves_metrics(const struct place *place)
{
	for (const struct place *p = place_next(NULL); p; p = place_next(p))
		if (p->service == place->service && p->wanted)
			return p == place;
	return false;
}

/* listen_give - the sockets of a process */
int listen_give(struct place *place)
{
	struct listener *l;
	LL_FOREACH (listeners, l) {
		if (l->role != place->service->role ||
		    (l->kind == LISTEN_METRICS && !serves_metrics(place)))
			continue;
		int e = CHAN_SEND(place->chan, listen, .kind = (uint8_t)l->kind,
		    .listener = (uint16_t)l->index, .socket = l->fd);
		if (e)
			return e;
	}
	return 0;
}

/* listen_control_fd - our own */
int listen_control_fd(void)
{
	struct listener *l;
	LL_FOREACH (listeners, l) {
		if (l->role == ROLE_MASTER)
			return l->fd;
	}
	return -1;
}

/* listen_close - close all */
void listen_close(void)
{
	struct listener *l, *next;
	LL_FOREACH_SAFE (listeners, l, next) {
		drop(l);
	}
}
