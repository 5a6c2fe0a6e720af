/* SPDX-License-Identifier: ISC */
/*
 * dnscache: the resolver cache of all other processes (DESIGN §5). It has no file but sockets; the
 * servers to ask come with the configuration, where master puts those of resolv.conf if the user
 * named none. What it does is in serve.c (askers), site.c, resolve.c, cache.c, upstream.c,
 * exchange.c, query.c and packet.c, from the outside in.
 */
#include "dnscache/serve.h"
#include "dnscache/tools.h"
#include "lib/child.h"
#include "lib/log.h"
#include "lib/loop.h"
#include "lib/priv.h"

#define SOCKETS_MAX 4000 /* under way to the upstreams, where the descriptor limit allows it */

static struct resolver *resolver;
static unsigned sockets;

/* prepare - the descriptors that the questions in flight may use */
static int prepare(const struct conf *conf)
{
	unsigned long limit = priv_raise_fd_limit();

	(void)conf;
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
	cache_resize(resolver_cache(resolver), conf->resolver.cache);
	serve_init(resolver, conf->deliver.ipv6);
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

int main(int argc, char **argv)
{
	static const struct chan_handlers master = {
	    .on[MSG_link] = on_link, .on[MSG_listen] = on_listen};
	static const struct child child = {
	    .role = ROLE_DNSCACHE,
	    .sandbox = SANDBOX_DNSCACHE,
	    .chroots = true,
	    .master = &master,
	    .prepare = prepare,
	    .reconfigured = reconfigured,
	};
	const struct child_self *self = child_start(&child, argc, argv);

	resolver = resolver_new(self->conf->resolver.cache, sockets);
	if (resolver == NULL)
		log_fatal("out of memory");
	configure(self->conf);
	return loop_run();
}
