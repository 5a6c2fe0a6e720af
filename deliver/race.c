/* SPDX-License-Identifier: ISC */
/*
 * A place for each attempt, an event on its socket for "writable or too late", one timer for the
 * next step. Callbacks that may free the race are the last thing that a function does.
 */
#include "deliver/race.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <unistd.h>

#include "lib/loop.h"

static void step(struct race *r);

/* stop - one attempt is no more; its socket is returned */
static int stop(struct race_try *t)
{
	int fd = t->fd;
	event_free(t->event);
	t->event = NULL;
	t->fd = -1;
	t->race->running--;
	return fd;
}

/* stop_all - the others may be tried again */
static void stop_all(struct race *r)
{
	event_del(r->step);
	for (unsigned i = 0; i < RACE_MAX; i++) {
		struct race_try *t = &r->tries[i];
		if (t->fd < 0)
			continue;
		r->hosts->addrs[t->addr].state = HOST_LEFT;
		close(stop(t));
	}
}

/* is_ours - whether an error says nothing of the host */
static bool is_ours(int error)
{
	return error == EMFILE || error == ENFILE || error == ENOMEM || error == ENOBUFS;
}

/* begin_connect - a socket under way; -errno */
static int begin_connect(const struct race *r, const struct host_addr *addr)
{
	struct sockaddr_storage to, from;
	const struct race_source *s = r->source;
	const struct conf_addr *own = addr->addr.family == 6 ? &s->v6 : &s->v4;
	socklen_t len = dns_addr_sockaddr(&addr->addr, r->port, &to);
	int one = 1, rc = 0;
	if (s->bind && !own->family)
		return -EADDRNOTAVAIL;
	int fd = socket(to.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	if (setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one)) < 0 ||
	    (s->bind && bind(fd, (struct sockaddr *)&from, conf_addr_sockaddr(own, &from)) < 0) ||
	    (connect(fd, (struct sockaddr *)&to, len) < 0 && errno != EINPROGRESS))
		rc = -errno;
	if (!rc)
		return fd;
	close(fd);
	return rc;
}

/* on_decided - connected, refused, or its time is over */
static void on_decided(evutil_socket_t fd, short what, void *arg)
{
	struct race_try *t = arg;
	struct race *r = t->race;
	unsigned addr = t->addr;
	int error = 0;
	socklen_t len = sizeof(error);
	if (what & EV_TIMEOUT)
		error = ETIMEDOUT;
	else if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len) < 0)
		error = errno;
	r->hosts->addrs[addr].state = HOST_TRIED;
	stop(t);
	if (!error) {
		stop_all(r);
		r->ops->won(r->arg, addr, fd);
		return;
	}
	close(fd);
	r->ops->failed(r->arg, addr, error);
	step(r);
}

/* begin - an attempt; 0 or -errno */
static int begin(struct race *r, unsigned addr)
{
	struct timeval max = {
	    .tv_sec = r->connect_ms / 1000, .tv_usec = (r->connect_ms % 1000) * 1000};
	struct race_try *t = r->tries;
	while (t->fd >= 0)
		t++;
	int fd = begin_connect(r, &r->hosts->addrs[addr]);
	if (fd < 0)
		return fd;
	*t = (struct race_try){.fd = fd, .addr = addr, .race = r};
	t->event = event_new(loop_base(), fd, EV_WRITE, on_decided, t);
	if (t->event && !event_add(t->event, &max)) {
		r->running++;
		return 0;
	}
	if (t->event)
		event_free(t->event);
	t->fd = -1;
	close(fd);
	return -ENOMEM;
}

/* candidate - the next address that may run now: of the preference that is running; -1: none */
static int candidate(const struct race *r)
{
	for (unsigned i = 0; i < r->hosts->naddrs; i++) {
		const struct host_addr *a = &r->hosts->addrs[i];
		if (a->state != HOST_LEFT)
			continue;
		for (unsigned k = 0; k < RACE_MAX; k++) {
			const struct race_try *t = &r->tries[k];
			if (t->fd >= 0 &&
			    r->hosts->addrs[t->addr].preference != a->preference)
				return -1;
		}
		return r->running < RACE_MAX ? (int)i : -1;
	}
	return -1;
}

/* limit - nothing of ours is left to try with */
static void limit(struct race *r, int error)
{
	stop_all(r);
	r->ops->over(r->arg, error);
}

/* step - one more attempt where one may be made, else the end where nothing runs */
static void step(struct race *r)
{
	static const struct timeval later = {.tv_usec = RACE_STEP_MS * 1000};
	int addr;
	while ((addr = candidate(r)) >= 0) {
		struct host_addr *a = &r->hosts->addrs[addr];
		int rc = begin(r, (unsigned)addr);
		if (is_ours(-rc) || event_add(r->step, &later) < 0) {
			limit(r, rc ? -rc : ENOMEM);
			return;
		}
		a->state = rc ? HOST_TRIED : HOST_TRYING;
		if (!rc)
			return;
		r->ops->failed(r->arg, (unsigned)addr, -rc);
	}
	if (r->running)
		return;
	event_del(r->step);
	r->ops->over(r->arg, 0);
}

/* on_step - the one before is slow: another one beside it */
static void on_step(evutil_socket_t fd, short what, void *arg)
{
	(void)fd, (void)what;
	step(arg);
}

int race_init(struct race *r, const struct race_ops *ops, void *arg)
{
	r->ops = ops;
	r->arg = arg;
	for (unsigned i = 0; i < RACE_MAX; i++)
		r->tries[i].fd = -1;
	r->step = event_new(loop_base(), -1, 0, on_step, r);
	return r->step ? 0 : -ENOMEM;
}

void race_run(struct race *r)
{
	step(r);
}

void race_end(struct race *r)
{
	if (!r->step)
		return;
	stop_all(r);
	event_free(r->step);
	r->step = NULL;
}
