/* SPDX-License-Identifier: ISC */
/*
 * dnscache: the resolver cache of all other processes (DESIGN §5). It has sockets, and two files
 * that master opens for it: the host's own names (hosts.c) and what it knew when it last ended
 * (saved.c). The servers to ask come with the configuration, where master puts those of resolv.conf
 * if the user named none. What it does is in serve.c (askers) and tools.c, site.c, resolve.c,
 * cache.c, upstream.c with server.c, exchange.c with stream.c, query.c and packet.c, from the
 * outside in.
 */
#include "dnscache/hosts.h"
#include "dnscache/saved.h"
#include "dnscache/serve.h"
#include "dnscache/tools.h"
#include "lib/answers.h"
#include "lib/child.h"
#include "lib/log.h"
#include "lib/loop.h"
#include "lib/priv.h"

#define SOCKETS_MAX 4000 /* under way to the upstreams, where the descriptor limit allows it */

static struct resolver *resolver;
static unsigned sockets;

/* prepare - what answers are told through, and the descriptors that questions in flight may use */
static int prepare(const struct conf *conf)
{
	unsigned long limit = priv_raise_fd_limit();
	int r = answers_serve(CHILD_SHARED);

	(void)conf;
	if (r)
		log_warnc(r, "answers can't be shared");
	/* Each question begins with one socket; a few have two, askers have one each. */
	sockets = limit > 2 * SOCKETS_MAX ? SOCKETS_MAX : (unsigned)limit / 2;
	return 0;
}

/* configure - servers, size, address families */
static void configure(const struct conf *conf)
{
	struct sockaddr_storage addrs[UPSTREAM_SERVERS_MAX];
	size_t n = conf->resolver.servers.n;

	if (n > UPSTREAM_SERVERS_MAX) {
		log_warnx(
		    "%zu resolvers are more than are used: the first %d", n, UPSTREAM_SERVERS_MAX);
		n = UPSTREAM_SERVERS_MAX;
	}
	if (n == 0)
		log_error("no resolver: name one in resolver.servers or in /etc/resolv.conf");
	for (size_t i = 0; i < n; i++)
		conf_addr_sockaddr(&conf->resolver.servers.v[i], &addrs[i]);
	upstream_servers(resolver_upstream(resolver), addrs, n);
	for (size_t i = 0; i < n; i++)
		upstream_trust(resolver_upstream(resolver), i,
		    conf_in_nets(&conf->resolver.trusted, (const struct sockaddr *)&addrs[i]));
	cache_resize(resolver_cache(resolver, RESOLVE_MAIL), conf->resolver.cache);
	cache_resize(resolver_cache(resolver, RESOLVE_SIDE), conf->resolver.lookup_cache);
	answers_drop(); /* addresses of another family may be wanted from now on */
	serve_init(resolver, conf->deliver.ipv6);
	tools_init(resolver);
}

/* reconfigured - a reload; what is known stays */
static void reconfigured(const struct conf *conf, const struct conf *old)
{
	(void)old;
	configure(conf);
}

/* on_link - a new asker */
static void on_link(struct chan *chan, union msg_any *msg, void *arg)
{
	struct msg_link *m = &msg->link;

	(void)chan;
	(void)arg;
	serve_link(m->socket, (enum role)m->role, m->instance);
	m->socket = -1;
}

/* on_listen - the tools' socket */
static void on_listen(struct chan *chan, union msg_any *msg, void *arg)
{
	struct msg_listen *m = &msg->listen;

	(void)chan;
	(void)arg;
	if (m->kind != LISTEN_TOOL)
		return;
	tools_listen(m->socket);
	m->socket = -1;
}

/* on_file - the host's own names, or what the last process knew */
static void on_file(struct chan *chan, union msg_any *msg, void *arg)
{
	struct msg_file *m = &msg->file;
	struct hosts *hosts;

	(void)chan;
	(void)arg;
	if (m->kind == FILE_SAVED) {
		saved_start(m->file, resolver_cache(resolver, RESOLVE_MAIL), SAVED_EVERY_MS);
		m->file = -1;
	} else if (m->kind == FILE_HOSTS) {
		hosts = hosts_read(m->file);
		if (hosts == NULL)
			log_warn("cannot read the hosts file");
		else
			log_debug("%zu names in the hosts file", hosts_names(hosts));
		resolver_hosts(resolver, hosts);
		answers_drop();
	}
}

int main(int argc, char **argv)
{
	static const struct chan_handlers master = {
	    .on[MSG_link] = on_link, .on[MSG_listen] = on_listen, .on[MSG_file] = on_file};
	static const struct child child = {
	    .role = ROLE_DNSCACHE,
	    .sandbox = SANDBOX_DNSCACHE,
	    .chroots = true,
	    .master = &master,
	    .prepare = prepare,
	    .reconfigured = reconfigured,
	};
	const struct child_self *self = child_start(&child, argc, argv);
	int code;

	resolver =
	    resolver_new(self->conf->resolver.cache, self->conf->resolver.lookup_cache, sockets);
	if (resolver == NULL)
		log_fatal("out of memory");
	configure(self->conf);
	code = loop_run();
	saved_finish();
	return code;
}
