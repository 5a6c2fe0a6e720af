/* SPDX-License-Identifier: ISC */
#include "master/threads.h"

#include <errno.h>
#include <event2/event.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "lib/loop.h"

/* threads_start - a thread inherits the mask of who makes it */
int threads_start(unsigned n, void *(*run)(void *))
{
	sigset_t mask, old;
	int e = 0;
	sigfillset(&mask);
	sigdelset(&mask, SIGSYS);
	pthread_sigmask(SIG_SETMASK, &mask, &old);
	for (unsigned i = 0; i < n && !e; i++) {
		pthread_t t;
		e = pthread_create(&t, NULL, run, NULL);
		if (!e)
			pthread_detach(t);
	}
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	return -e;
}

/* handback_give - and wake the loop */
void handback_give(struct handback *h, struct handed *one)
{
	const uint64_t n = 1;
	one->next = NULL;
	pthread_mutex_lock(&h->lock);
	*h->last = one;
	h->last = &one->next;
	pthread_mutex_unlock(&h->lock);
	if (write(h->fd, &n, sizeof(n)) < 0)
		return; /* full: the loop was woken long ago */
}

/* on_handed - everything that was given until now */
static void on_handed(evutil_socket_t fd, short what, void *arg)
{
	struct handback *h = arg;
	uint64_t n;
	(void)what;
	if (read(fd, &n, sizeof(n)) < 0)
		return;
	pthread_mutex_lock(&h->lock);
	struct handed *list = h->first;
	h->first = NULL;
	h->last = &h->first;
	pthread_mutex_unlock(&h->lock);
	while (list) {
		struct handed *one = list;
		list = one->next;
		h->take(one);
	}
}

/* handback_start - before the threads that give */
int handback_start(struct handback *h, void (*take)(struct handed *one))
{
	*h = (struct handback){.take = take, .last = &h->first};
	pthread_mutex_init(&h->lock, NULL);
	h->fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	if (h->fd < 0)
		return -errno;
	h->event = event_new(loop_base(), h->fd, EV_READ | EV_PERSIST, on_handed, h);
	return h->event && event_add(h->event, NULL) == 0 ? 0 : -ENOMEM;
}
