/* SPDX-License-Identifier: ISC */
/*
 * Two singly linked lists under one mutex: jobs to do, in order, and jobs done. The thread sleeps
 * on a condition when there is nothing to do and tells the loop with one eventfd write a job. The
 * event is edge-triggered: every write wakes the loop once and nobody needs to read the counter.
 */
#include "smtpd/syncer.h"

#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "lib/clock.h"
#include "lib/log.h"
#include "lib/loop.h"

#define STACK_SIZE (256u << 10)
#define WIPE_MAX   4096

static struct {
	pthread_t thread;
	pthread_mutex_t mutex;
	pthread_cond_t more;
	struct sync_job *first, **last; /* to do */
	struct sync_job *done, **done_last;
	bool stopping;
	int eventfd;
	struct event *event;
} syncer = {.mutex = PTHREAD_MUTEX_INITIALIZER, .more = PTHREAD_COND_INITIALIZER, .eventfd = -1};

/* skip - take n written bytes off the front of a vector */
static void skip(struct sync_write *w, size_t n)
{
	w->offset += n;
	while (w->iovs && n >= w->iov->iov_len) {
		n -= w->iov->iov_len;
		w->iov++;
		w->iovs--;
	}
	if (w->iovs) {
		w->iov->iov_base = (char *)w->iov->iov_base + n;
		w->iov->iov_len -= n;
	}
}

/*
 * buffered - the file system takes no direct writes, or not after a short one: through the page
 * cache from now on. False when it was so already.
 */
static bool buffered(int fd)
{
	int flags = fcntl(fd, F_GETFL);
	return flags >= 0 && flags & O_DIRECT && fcntl(fd, F_SETFL, flags & ~O_DIRECT) == 0;
}

/* write_all - all buffers of one write; 0 or -errno */
static int write_all(int fd, struct sync_write *w)
{
	while (w->iovs) {
		int n = w->iovs < IOV_MAX ? (int)w->iovs : IOV_MAX;
		ssize_t written = pwritev(fd, w->iov, n, (off_t)w->offset);
		if (written < 0 && (errno == EINTR || (errno == EINVAL && buffered(fd))))
			continue;
		if (written < 0)
			return -errno;
		/* A regular file that takes nothing is full; the next call would say so at best. */
		if (written == 0)
			return -ENOSPC;
		skip(w, (size_t)written);
	}
	return 0;
}

/* wipe - make sure that no scan finds the first record of what failed; best effort */
static void wipe(const struct sync_job *job)
{
	static const _Alignas(WIPE_MAX) char zeros[WIPE_MAX];
	unsigned len = job->wipe_len < WIPE_MAX ? job->wipe_len : WIPE_MAX;
	if (!len || pwrite(job->fd, zeros, len, (off_t)job->wipe_at) < 0)
		return;
	if (fdatasync(job->fd) < 0)
		return;
}

/* work - one job: its writes, its sync */
static void work(struct sync_job *job)
{
	job->sync_us = 0;
	job->error = write_all(job->fd, &job->write[0]);
	uint64_t begin = job->write[0].offset;
	if (!job->error)
		job->error = write_all(job->fd, &job->write[1]);
	if (!job->error && job->how == SYNC_START) {
		/* All before `begin` that isn't on its way yet; a refusal costs only time later. */
		(void)sync_file_range(job->fd, 0, (off_t)begin, SYNC_FILE_RANGE_WRITE);
	} else if (!job->error && job->how == SYNC_DATA) {
		int64_t before = clock_us();
		if (fdatasync(job->fd) < 0)
			job->error = -errno;
		job->sync_us = (uint32_t)(clock_us() - before);
	}
	if (job->error)
		wipe(job);
}

/* next_job - wait for one; NULL when there is none left and the thread shall end */
static struct sync_job *next_job(void)
{
	pthread_mutex_lock(&syncer.mutex);
	while (!syncer.first && !syncer.stopping)
		pthread_cond_wait(&syncer.more, &syncer.mutex);
	struct sync_job *job = syncer.first;
	if (job) {
		syncer.first = job->next;
		if (!syncer.first)
			syncer.last = &syncer.first;
	}
	pthread_mutex_unlock(&syncer.mutex);
	return job;
}

/* hand_back - the loop calls done() */
static void hand_back(struct sync_job *job)
{
	static const uint64_t one = 1;
	job->next = NULL;
	pthread_mutex_lock(&syncer.mutex);
	*syncer.done_last = job;
	syncer.done_last = &job->next;
	pthread_mutex_unlock(&syncer.mutex);
	while (write(syncer.eventfd, &one, sizeof(one)) < 0 && errno == EINTR)
		;
}

/* run - the thread */
static void *run(void *arg)
{
	struct sync_job *job;
	(void)arg;
	while ((job = next_job())) {
		work(job);
		hand_back(job);
	}
	return NULL;
}

/* on_done - call done() for what came back, in order */
static void on_done(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	(void)arg;
	pthread_mutex_lock(&syncer.mutex);
	struct sync_job *job = syncer.done;
	syncer.done = NULL;
	syncer.done_last = &syncer.done;
	pthread_mutex_unlock(&syncer.mutex);
	while (job) {
		struct sync_job *next = job->next; /* the job may be freed or put again by done() */
		job->done(job);
		job = next;
	}
}

/* syncer_start - the thread gets no signals: they are the loop's */
void syncer_start(void)
{
	sigset_t all, before;
	pthread_attr_t attr;

	syncer.last = &syncer.first;
	syncer.done_last = &syncer.done;
	syncer.stopping = false;
	syncer.eventfd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	if (syncer.eventfd < 0)
		log_fatal("no eventfd for the sync thread: %s", strerror(errno));
	sigfillset(&all);
	sigdelset(&all, SIGSYS); /* the sandbox's: a refused call must not end us */
	pthread_sigmask(SIG_SETMASK, &all, &before);
	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, STACK_SIZE);
	int error = pthread_create(&syncer.thread, &attr, run, NULL);
	pthread_attr_destroy(&attr);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (error)
		log_fatal("no sync thread: %s", strerror(error));
}

/* syncer_listen - from now on jobs come back */
void syncer_listen(void)
{
	syncer.event =
	    event_new(loop_base(), syncer.eventfd, EV_READ | EV_PERSIST | EV_ET, on_done, NULL);
	if (!syncer.event || event_add(syncer.event, NULL) < 0)
		log_fatal("no event for the sync thread");
}

/* syncer_put - behind what waits already */
void syncer_put(struct sync_job *job)
{
	job->next = NULL;
	pthread_mutex_lock(&syncer.mutex);
	*syncer.last = job;
	syncer.last = &job->next;
	pthread_mutex_unlock(&syncer.mutex);
	/* Behind the mutex: a thread woken inside would run into it at once. */
	pthread_cond_signal(&syncer.more);
}

/* syncer_stop - for tests, which start another one */
void syncer_stop(void)
{
	pthread_mutex_lock(&syncer.mutex);
	syncer.stopping = true;
	pthread_cond_signal(&syncer.more);
	pthread_mutex_unlock(&syncer.mutex);
	pthread_join(syncer.thread, NULL);
	if (syncer.event)
		event_free(syncer.event);
	syncer.event = NULL;
	close(syncer.eventfd);
	syncer.eventfd = -1;
}
