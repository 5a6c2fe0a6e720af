/* SPDX-License-Identifier: ISC */
#include "master/threads.h"

#include <pthread.h>
#include <signal.h>
#include <stddef.h>

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
