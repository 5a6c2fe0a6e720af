/* SPDX-License-Identifier: ISC */
/* Jobs go from a queue to a thread and come back by a handback (threads.h). */
#include "master/checks.h"

#include <errno.h>
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "lib/clock.h"
#include "lib/counters.h"
#include "lib/hash.h"
#include "lib/str.h"
#include "master/threads.h"

struct job {
	struct handed handed; /* first */
	struct job *prev, *next;
	unsigned queue;
	struct secret secret;
	char password[SECRET_PASSWORD_MAX + 1];
	int right;
	checks_answer *answer;
	void *arg;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t work = PTHREAD_COND_INITIALIZER;
static struct job *queues[CHECKS_QUEUES];
static unsigned turn;                     /* the queue that was served last */
static unsigned under_way[CHECKS_QUEUES]; /* the loop's */
static struct handback back;

/* next_job - of the next asker that has one; called with the lock held */
static struct job *next_job(void)
{
	for (;;) {
		for (unsigned i = 1; i <= CHECKS_QUEUES; i++) {
			unsigned q = (turn + i) % CHECKS_QUEUES;
			struct job *job = queues[q];
			if (!job)
				continue;
			DL_DELETE(queues[q], job);
			turn = q;
			return job;
		}
		pthread_cond_wait(&work, &lock);
	}
}

/* thread - check, answer, for ever */
static void *thread(void *arg)
{
	pthread_mutex_lock(&lock);
	for (;;) {
		struct job *job = next_job();
		pthread_mutex_unlock(&lock);
		int64_t start = clock_us();
		job->right = secret_check(&job->secret, job->password);
		counter_add(C_keeper_logins, 1);
		counter_add(C_keeper_login_us, (uint64_t)(clock_us() - start));
		handback_give(&back, &job->handed);
		pthread_mutex_lock(&lock);
	}
	return arg;
}

/* job_free - with its secrets */
static void job_free(struct job *job)
{
	explicit_bzero(job, sizeof(*job));
	free(job);
}

/* on_done - a thread has an answer */
static void on_done(struct handed *handed)
{
	struct job *job = (struct job *)handed;
	under_way[job->queue]--;
	job->answer(job->right, job->arg);
	job_free(job);
}

/* checks_ask - into the asker's queue */
int checks_ask(unsigned asker, const struct secret *secret, const char *password,
    checks_answer *answer, void *arg)
{
	unsigned q = asker % CHECKS_QUEUES;
	if (under_way[q] >= CHECKS_QUEUE_MAX)
		return -EAGAIN;
	struct job *job = calloc(1, sizeof(*job));
	if (!job)
		return -ENOMEM;
	*job = (struct job){.queue = q, .secret = *secret, .answer = answer, .arg = arg};
	str_copy(job->password, sizeof(job->password), password);
	under_way[q]++;
	pthread_mutex_lock(&lock);
	DL_APPEND(queues[q], job);
	pthread_cond_signal(&work);
	pthread_mutex_unlock(&lock);
	return 0;
}

/* checks_start - threads, and a way back */
int checks_start(void)
{
	int e = handback_start(&back, on_done);
	return e ? e : threads_start(CHECKS_THREADS, thread);
}
