/* SPDX-License-Identifier: ISC */
/*
 * Listeners' events are level-triggered and shared with the other workers, so a wake-up may find
 * nothing. While the worker is full the events are off; a client that leaves turns them on again.
 * What clients hold is counted for all workers together (lib/tally.h). A worker that finds the
 * whole full looks again after ACCEPT_PAUSE_MS, since nobody tells it of the others' clients.
 * Who comes can be seen only when it is accepted: a stranger that would take a reserved slot is
 * turned away, instead of waiting in the queue that it shares with those they are reserved for.
 */
#include "smtpd/accept.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "lib/conn.h"
#include "lib/counters.h"
#include "lib/log.h"
#include "lib/loop.h"
#include "lib/tally.h"
#include "smtpd/checks.h"
#include "smtpd/client.h"
#include "smtpd/policy.h"

struct listener {
	struct listener *next;
	int fd;
	enum listen_kind kind;
	unsigned index;
	struct event *event;
};

static const struct conf *conf;
static struct listener *listeners;
static unsigned max_sockets; /* what our descriptors allow */
static unsigned taken;       /* clients that are here, deliver's links aside */
static bool resting;         /* the listeners' events are off */
static struct event *rest_timer;

/* accept_init - never more clients than descriptors */
void accept_init(const struct conf *c)
{
	struct rlimit limit;

	conf = c;
	max_sockets = 1024;
	if (getrlimit(RLIMIT_NOFILE, &limit) == 0)
		max_sockets = limit.rlim_cur < UINT32_MAX ? (unsigned)limit.rlim_cur : UINT32_MAX;
	max_sockets =
	    max_sockets > 2 * ACCEPT_FD_MARGIN ? max_sockets - ACCEPT_FD_MARGIN : ACCEPT_FD_MARGIN;
}

/* percent - of a limit; 0: there is none */
static unsigned percent(unsigned n, unsigned limit)
{
	return limit ? (unsigned)((uint64_t)n * 100 / limit) : 0;
}

/* judge_patience - how long may who says nothing keep a slot, with that many held in all? */
static void judge_patience(unsigned all)
{
	unsigned sockets = percent(conn_open_sockets(), max_sockets);
	unsigned clients = percent(all, conf->limits.clients);
	unsigned used = sockets > clients ? sockets : clients;
	client_patience(used >= ACCEPT_LAST  ? CLIENT_LAST_MS
			: used >= ACCEPT_LOW ? CLIENT_LOW_MS
					     : CLIENT_TIMEOUT_MS);
}

/*
 * full - is there no room for one more? Connections that are still being closed hold descriptors
 * too. Counted in before the sum is read, so that two workers never take the last place both.
 */
static bool full(void)
{
	if (conn_open_sockets() >= max_sockets)
		return true;
	return conf->limits.clients && tally_sessions(taken + 1) > conf->limits.clients;
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

/* on_gone - a client left */
static void on_gone(void *arg)
{
	static const struct timeval next_turn;
	tally_leave(arg);
	judge_patience(tally_sessions(--taken));
	/* Its socket is closed at the end of this turn, unless it lingers. */
	if (resting && event_add(rest_timer, &next_turn) < 0)
		log_fatal("out of memory");
}

/* crowded - would one more stranger take a slot that is reserved for others? */
static bool crowded(void)
{
	unsigned reserved = conf->limits.reserved, clients = conf->limits.clients;
	if (conn_open_sockets() >= max_sockets - (uint64_t)max_sockets * reserved / 100)
		return true;
	return clients && tally_sessions(taken + 1) > clients - (uint64_t)clients * reserved / 100;
}

/* enter - count a stranger's session; the verdict says whether it may stay */
static struct verdict enter(struct peer *peer)
{
	struct facts facts = {0};
	const struct conf_policy *p = &conf->policy;
	struct dns_addr addr;
	const char *check;

	if (!peer_is_stranger(peer) ||
	    dns_addr_parse(peer->address, strlen(peer->address), &addr) < 0)
		return (struct verdict){0};
	if (crowded())
		return (struct verdict){
		    ACT_CLOSE, 421, "4.3.2", "Too many clients, try again later"};
	peer->tally = tally_enter(&addr);
	facts.open = tally_open(peer->tally);
	if (p->error_rate.count)
		facts.rate[TALLY_ERRORS] =
		    tally_rate(peer->tally, TALLY_ERRORS, p->error_rate.period, 0);
	if (p->connection_rate.count)
		facts.rate[TALLY_CONNECTIONS] =
		    tally_rate(peer->tally, TALLY_CONNECTIONS, p->connection_rate.period, 1);
	return checks_judge(conf, CHECK_CONNECT, NULL, &facts, NULL, &check);
}

/* turn_away - say why, without waiting, and close */
static void turn_away(int fd, const struct peer *peer, const struct verdict *v)
{
	char words[128];
	int n = snprintf(words, sizeof(words), "%u %s %s\r\n", v->code, v->status, v->text);

	counter_add(C_smtp_sessions_refused, 1);
	log_event(LOG_INFO, 0, "refuse", LOG_STR("client", peer->address),
	    LOG_STR("stage", "connect"), LOG_U64("code", v->code), LOG_STR("status", v->status),
	    LOG_STR("reason", v->text));
	if (send(fd, words, (size_t)n, MSG_DONTWAIT | MSG_NOSIGNAL) < 0)
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
	struct peer peer;
	int error = make_peer(l, fd, addr, &peer);

	if (error) {
		log_warnc(error, "a local client's user");
		close(fd);
		return;
	}
	struct verdict v = enter(&peer);
	if (v.code) {
		turn_away(fd, &peer, &v);
		tally_leave(peer.tally);
		return;
	}
	taken++;
	if (client_new(fd, &peer, conf, on_gone, peer.tally) < 0) {
		taken--;
		tally_leave(peer.tally);
		log_warnc(ENOMEM, "new clients wait");
		rest();
	}
}

/* take_some - a few, the others are for the other workers or the next wake-up */
static void take_some(const struct listener *l)
{
	for (unsigned i = 0; i < ACCEPT_TURN; i++) {
		struct sockaddr_storage addr;
		socklen_t len = sizeof(addr);
		if (full()) {
			rest();
			return;
		}
		int client =
		    accept4(l->fd, (struct sockaddr *)&addr, &len, SOCK_NONBLOCK | SOCK_CLOEXEC);
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

/* on_acceptable - clients wait */
static void on_acceptable(evutil_socket_t fd, short what, void *arg)
{
	(void)fd, (void)what;
	take_some(arg);
	judge_patience(tally_sessions(taken)); /* without the one that didn't come */
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
