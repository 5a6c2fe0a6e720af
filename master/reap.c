/* SPDX-License-Identifier: ISC */
/* SIGCHLD comes by the loop, so nothing here runs inside a signal handler. */
#include "master/reap.h"

#include <event2/event.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>

#include "lib/child.h"
#include "lib/log.h"
#include "lib/loop.h"
#include "master/drop.h"
#include "master/mailbox.h"
#include "master/tree.h"

static struct event *sigchld;

/* collect - all that ended since */
static void collect(evutil_socket_t sig, short what, void *arg)
{
	int status;
	pid_t pid;
	(void)sig, (void)what, (void)arg;
	while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
		struct place *place = place_find(pid);
		if (place)
			place_reaped(place, status);
		else if (!mailbox_reaped(pid, status) && !drop_reaped(pid, status))
			log_debug("unknown process %ld ended", (long)pid);
	}
}

/* reap_init - from now on */
void reap_init(void)
{
	sigchld = evsignal_new(loop_base(), SIGCHLD, collect, NULL);
	if (!sigchld || evsignal_add(sigchld, NULL) != 0)
		log_fatal("cannot watch for ended processes");
}

/* reap_judge - what an end means */
enum reap_verdict reap_judge(int status)
{
	if (WIFSIGNALED(status))
		return REAP_CRASH;
	switch (WEXITSTATUS(status)) {
	case EXIT_DONE:
		return REAP_DONE;
	case EXIT_USAGE:
		return REAP_NEVER;
	default:
		return REAP_TEMPORARY;
	}
}

/* reap_words - an end, for people */
const char *reap_words(int status, char *buf, size_t size)
{
	if (WIFSIGNALED(status))
		snprintf(buf, size, "killed by signal %d (%s)", WTERMSIG(status),
		    strsignal(WTERMSIG(status)));
	else
		snprintf(buf, size, "exit code %d", WEXITSTATUS(status));
	return buf;
}

/* reap_delay_ms - how long to back off */
unsigned reap_delay_ms(enum reap_verdict verdict, unsigned failures)
{
	static const unsigned delays[] = {0, 100, 250, 500, 1000, 2000, 5000, 10000, 30000, 60000};
	const unsigned n = sizeof(delays) / sizeof(delays[0]);
	unsigned step = failures > 0 ? failures - 1 : 0;
	if (verdict == REAP_TEMPORARY && step < 3)
		step = 3;
	return delays[step < n ? step : n - 1];
}
