/* SPDX-License-Identifier: ISC */
/*
 * Two singly linked queues under one lock, a condition for the thread and an eventfd for the loop.
 * The eventfd is written only when the finished queue was empty: one wake-up for many works.
 */
#include "qmgr/work.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "lib/log.h"
#include "lib/loop.h"

struct queue {
	struct work *head, **tail;
};

struct work_thread {
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t wake, idle;
	struct queue todo, finished;
	bool stop, busy;
	int fd;
	struct event *event;
};

struct work_thread *work_index, *work_files;

/* push - to a queue's end */
static void push(struct queue *q, struct work *work)
{
	work->next = NULL;
	*q->tail = work;
	q->tail = &work->next;
}

/* take_all - everything in a queue, which is empty then */
static struct work *take_all(struct queue *q)
{
	struct work *head = q->head;
	q->head = NULL;
	q->tail = &q->head;
	return head;
}

/* finish - hand a work back to the loop; the lock is held */
static void finish(struct work_thread *t, struct work *work)
{
	bool first = !t->finished.head;
	push(&t->finished, work);
	if (!first)
		return;
	uint64_t one = 1;
	if (write(t->fd, &one, sizeof(one)) != sizeof(one) && errno != EAGAIN)
		log_fatal("work: cannot wake the loop");
}

/* thread_main - run what there is, in order */
static void *thread_main(void *arg)
{
	struct work_thread *t = arg;
	pthread_mutex_lock(&t->lock);
	for (;;) {
		struct work *work = t->todo.head;
		if (!work && t->stop)
			break;
		if (!work) {
			pthread_cond_signal(&t->idle);
			pthread_cond_wait(&t->wake, &t->lock);
			continue;
		}
		t->todo.head = work->next;
		if (!work->next)
			t->todo.tail = &t->todo.head;
		t->busy = true;
		pthread_mutex_unlock(&t->lock);
		work->run(work);
		pthread_mutex_lock(&t->lock);
		t->busy = false;
		finish(t, work);
	}
	pthread_mutex_unlock(&t->lock);
	return NULL;
}

/* call_finished - `done` of all that has run */
static bool call_finished(struct work_thread *t)
{
	pthread_mutex_lock(&t->lock);
	struct work *work = take_all(&t->finished);
	pthread_mutex_unlock(&t->lock);
	bool any = work;
	while (work) {
		struct work *next = work->next; /* done may free it */
		work->done(work);
		work = next;
	}
	return any;
}

/* on_wake - the loop's side of the eventfd */
static void on_wake(evutil_socket_t fd, short what, void *arg)
{
	(void)what;
	uint64_t n;
	if (read(fd, &n, sizeof(n)) < 0 && errno != EAGAIN)
		log_warn("work: eventfd");
	call_finished(arg);
}

/* work_thread_start - a thread and its way back to the loop */
struct work_thread *work_thread_start(const char *name)
{
	struct work_thread *t = calloc(1, sizeof(*t));
	sigset_t all, old;
	if (!t || (t->fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)) < 0)
		log_fatal("work: no eventfd for the %s thread", name);
	pthread_mutex_init(&t->lock, NULL);
	pthread_cond_init(&t->wake, NULL);
	pthread_cond_init(&t->idle, NULL);
	t->todo.tail = &t->todo.head;
	t->finished.tail = &t->finished.head;
	t->event = event_new(loop_base(), t->fd, EV_READ | EV_PERSIST, on_wake, t);
	if (!t->event || event_add(t->event, NULL))
		log_fatal("work: no event for the %s thread", name);
	sigfillset(&all);
	sigdelset(&all, SIGSYS); /* the sandbox's: a refused call must not end us */
	pthread_sigmask(SIG_SETMASK, &all, &old);
	int err = pthread_create(&t->thread, NULL, thread_main, t);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	if (err) {
		errno = err;
		log_fatal("work: cannot start the %s thread", name);
	}
	pthread_setname_np(t->thread, name);
	return t;
}

/* work_submit - hand work over */
void work_submit(struct work_thread *t, struct work *work)
{
	pthread_mutex_lock(&t->lock);
	push(&t->todo, work);
	pthread_cond_signal(&t->wake);
	pthread_mutex_unlock(&t->lock);
}

/* work_wait - until nothing is left on the thread or to be reported */
void work_wait(struct work_thread *t)
{
	do {
		pthread_mutex_lock(&t->lock);
		while (t->todo.head || t->busy)
			pthread_cond_wait(&t->idle, &t->lock);
		pthread_mutex_unlock(&t->lock);
	} while (call_finished(t));
}

/* work_thread_stop - end of the thread */
void work_thread_stop(struct work_thread *t)
{
	if (!t)
		return;
	pthread_mutex_lock(&t->lock);
	t->stop = true;
	pthread_cond_signal(&t->wake);
	pthread_mutex_unlock(&t->lock);
	pthread_join(t->thread, NULL);
	event_free(t->event);
	close(t->fd);
	pthread_cond_destroy(&t->wake);
	pthread_cond_destroy(&t->idle);
	pthread_mutex_destroy(&t->lock);
	free(t);
}
