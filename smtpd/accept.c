/* SPDX-License-Identifier: ISC */
/*
 * Listeners' events are level-triggered and shared with the other workers, so a wake-up may find
 * nothing. While the worker is full the events are off; a client that leaves turns them on again.
 * What the clients of one address hold is counted in a hash, here in each worker: the limit of
 * the whole system is at most that of a worker times their number.
 */
#include "smtpd/accept.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "lib/conn.h"
#include "lib/counters.h"
#include "lib/hash.h"
#include "lib/log.h"
#include "lib/loop.h"
#include "smtpd/client.h"
#include "smtpd/policy.h"

struct listener {
	struct listener *next;
	int fd;
	enum listen_kind kind;
	unsigned index;
	struct event *event;
};

/* What one address outside relay_from holds. */
struct source {
	UT_hash_handle hh;
	unsigned n;
	char address[64];
};

static const struct conf *conf;
static struct listener *listeners;
static struct source *sources;
static unsigned max_clients;
static bool resting; /* the listeners' events are off */
static struct event *rest_timer;

/* accept_init - the worker's share of the clients, never more than its descriptors */
void accept_init(const struct conf *c)
{
	struct rlimit limit;
	unsigned workers = c->workers;

	conf = c;
	max_clients = 1024;
	if (getrlimit(RLIMIT_NOFILE, &limit) == 0)
		max_clients = limit.rlim_cur < UINT32_MAX ? (unsigned)limit.rlim_cur : UINT32_MAX;
	max_clients =
	    max_clients > 2 * ACCEPT_FD_MARGIN ? max_clients - ACCEPT_FD_MARGIN : ACCEPT_FD_MARGIN;
	if (workers == 0) { /* as master counts them: one a CPU, at least two */
		long cpus = sysconf(_SC_NPROCESSORS_ONLN);
		workers = cpus > 2 ? (unsigned)cpus : 2;
	}
	if (c->limits.clients && (c->limits.clients + workers - 1) / workers < max_clients)
		max_clients = (c->limits.clients + workers - 1) / workers;
}

/* full - connections that are still being closed count too: they hold descriptors */
static bool full(void)
{
	return conn_open_sockets() >= max_clients;
}

static void on_rested(evutil_socket_t fd, short what, void *arg);

/* rest - take no new clients for a while */
static void rest(void)
{
	static const struct timeval pause = {
	    .tv_sec = ACCEPT_PAUSE_MS / 1000, .tv_usec = ACCEPT_PAUSE_MS % 1000 * 1000};
	if (resting)
		return;
	resting = true;
	for (struct listener *l = listeners; l; l = l->next)
		event_del(l->event);
	if (!rest_timer)
		rest_timer = event_new(loop_base(), -1, 0, on_rested, NULL);
	if (!rest_timer || event_add(rest_timer, &pause) < 0)
		log_fatal("out of memory");
}

/* go_on - take them again */
static void go_on(void)
{
	resting = false;
	for (struct listener *l = listeners; l; l = l->next)
		if (event_add(l->event, NULL) < 0)
			log_fatal("no event for a listener");
}

/* on_rested - try again; who is still full finds out at the next client */
static void on_rested(evutil_socket_t fd, short what, void *arg)
{
	(void)fd, (void)what, (void)arg;
	if (resting)
		go_on();
}

/* source_leave - one client less; NULL for those that aren't counted */
static void source_leave(struct source *source)
{
	if (!source || --source->n)
		return;
	HASH_DEL(sources, source);
	free(source);
}

/* on_gone - a client left */
static void on_gone(void *arg)
{
	static const struct timeval next_turn;
	source_leave(arg);
	/* Its socket is closed at the end of this turn, unless it lingers. */
	if (resting && event_add(rest_timer, &next_turn) < 0)
		log_fatal("out of memory");
}

/* source_enter - count a client; 0, -EUSERS over the limit, -ENOMEM. *out may stay NULL */
static int source_enter(const struct peer *peer, struct source **out)
{
	struct source *source;

	*out = NULL;
	if (peer->relay || peer->kind != PEER_NET || !conf->limits.per_client)
		return 0;
	HASH_FIND_STR(sources, peer->address, source);
	if (!source) {
		source = calloc(1, sizeof(*source));
		if (!source)
			return -ENOMEM;
		memcpy(source->address, peer->address, sizeof(source->address));
		HASH_ADD_STR(sources, address, source);
		if (!hash_added(source)) {
			free(source);
			return -ENOMEM;
		}
	} else if (source->n >= conf->limits.per_client) {
		return -EUSERS;
	}
	source->n++;
	*out = source;
	return 0;
}

/* turn_away - say why, without waiting, and close */
static void turn_away(int fd, const struct peer *peer)
{
	static const char words[] = "421 4.7.0 Too many connections from your address\r\n";
	counter_add(C_smtp_sessions_refused, 1);
	log_event(LOG_INFO, 0, "refuse", LOG_STR("client", peer->address),
	    LOG_STR("stage", "connect"), LOG_U64("code", 421), LOG_STR("status", "4.7.0"),
	    LOG_STR("reason", "Too many connections from your address"));
	if (send(fd, words, sizeof(words) - 1, MSG_DONTWAIT | MSG_NOSIGNAL) < 0)
		log_debug("client %s didn't hear why it was refused", peer->address);
	close(fd);
}

/* make_peer - who it is; -E... when even the kernel can't say */
static int make_peer(
    const struct listener *l, int fd, const struct sockaddr *addr, struct peer *peer)
{
	struct ucred cred;
	socklen_t len = sizeof(cred);

	if (l->kind == LISTEN_SMTP) {
		policy_peer_net(conf, &conf->listen[l->index], addr, peer);
		return 0;
	}
	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &len) < 0)
		return -errno;
	policy_peer_local(cred.uid, peer);
	return 0;
}

/* take - one client */
static void take(const struct listener *l, int fd, const struct sockaddr *addr)
{
	struct source *source;
	struct peer peer;
	int error = make_peer(l, fd, addr, &peer);

	if (error) {
		log_warnc(error, "a local client's user");
		close(fd);
		return;
	}
	error = source_enter(&peer, &source);
	if (error) {
		turn_away(fd, &peer);
		return;
	}
	if (client_new(fd, &peer, conf, on_gone, source) < 0) {
		source_leave(source);
		log_warnc(ENOMEM, "new clients wait");
		rest();
	}
}

/* on_acceptable - a few, the others are for the other workers or the next wake-up */
static void on_acceptable(evutil_socket_t fd, short what, void *arg)
{
	const struct listener *l = arg;

	(void)what;
	for (unsigned i = 0; i < ACCEPT_TURN; i++) {
		struct sockaddr_storage addr;
		socklen_t len = sizeof(addr);
		if (full()) {
			rest();
			return;
		}
		int client =
		    accept4(fd, (struct sockaddr *)&addr, &len, SOCK_NONBLOCK | SOCK_CLOEXEC);
		if (client >= 0) {
			take(l, client, (struct sockaddr *)&addr);
			continue;
		}
		if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
			log_warn("new clients wait");
			rest();
		}
		return; /* EAGAIN: another worker was faster; the rest concerns that client only */
	}
}

/* accept_add - accepted sockets inherit TCP_NODELAY from their listener */
void accept_add(int fd, enum listen_kind kind, unsigned listener)
{
	struct listener *l;
	int one = 1;

	if ((kind != LISTEN_SMTP && kind != LISTEN_SUBMIT) ||
	    (kind == LISTEN_SMTP && listener >= conf->nlisten)) {
		log_warnx("master sent a listening socket of kind %d that is of no use here", kind);
		close(fd);
		return;
	}
	if (kind == LISTEN_SMTP && setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one)) < 0)
		log_warn("TCP_NODELAY");
	l = calloc(1, sizeof(*l));
	if (l)
		l->event = event_new(loop_base(), fd, EV_READ | EV_PERSIST, on_acceptable, l);
	if (!l || !l->event || (!resting && event_add(l->event, NULL) < 0))
		log_fatal("no event for a listener");
	l->fd = fd;
	l->kind = kind;
	l->index = listener;
	l->next = listeners;
	listeners = l;
}

/* accept_notice - a deliver worker is known by its link */
void accept_notice(int fd)
{
	struct peer peer;
	policy_peer_notice(&peer);
	if (client_new(fd, &peer, conf, NULL, NULL) < 0)
		log_warnx("no memory for a link from deliver");
}

/* accept_stop - the worker ends */
void accept_stop(void)
{
	while (listeners) {
		struct listener *l = listeners;
		listeners = l->next;
		event_free(l->event);
		close(l->fd);
		free(l);
	}
}
