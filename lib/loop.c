/* SPDX-License-Identifier: ISC */
/*
 * A turn is one event_base_loop(EVLOOP_ONCE): one epoll_wait() and the callbacks of what was
 * ready. The tasks asked for during it run afterwards, in order, the log last. A task may ask for
 * others (a connection's callback that runs at flush time sends a message): the list is worked
 * until it is empty, which ends because a task asks only as an answer to an event.
 */
#include "lib/loop.h"

#include "lib/clock.h"
#include "lib/counters.h"
#include "lib/events.h"
#include "lib/log.h"

enum { LOG_AGAIN_MS = 100 }; /* when lines that a full descriptor didn't take are tried again */

static struct event_base *base;
static struct loop_task *first, **last = &first;
static bool stopping;
static bool time_known; /* clock_turn() was called in this turn */
static int exit_code;

/* loop_init - the one base of this process */
void loop_init(void)
{
	struct event_config *config = event_config_new();

	if (!config)
		log_fatal("out of memory for the event loop");
	/* A file or signal wakes us by epoll; millisecond timers of the coarse clock are enough. */
	event_config_set_flag(config, EVENT_BASE_FLAG_NOLOCK);
	base = event_base_new_with_config(config);
	event_config_free(config);
	if (!base)
		log_fatal("cannot make the event loop");
	first = NULL;
	last = &first;
	stopping = false;
}

/* loop_base - libevent's base */
struct event_base *loop_base(void)
{
	return base;
}

/* loop_defer - once, at the end of this turn */
void loop_defer(struct loop_task *task)
{
	if (task->queued)
		return;
	task->queued = true;
	task->next = NULL;
	*last = task;
	last = &task->next;
}

/* loop_cancel - not this turn after all */
void loop_cancel(struct loop_task *task)
{
	if (!task->queued)
		return;
	for (struct loop_task **p = &first; *p; p = &(*p)->next) {
		if (*p != task)
			continue;
		*p = task->next;
		if (last == &task->next)
			last = p;
		break;
	}
	task->queued = false;
}

/* run_tasks - work the list until it is empty */
static void run_tasks(void)
{
	while (first) {
		struct loop_task *task = first;

		first = task->next;
		if (!first)
			last = &first;
		task->queued = false;
		task->run(task);
	}
}

/* wake - nothing: the end of the turn does the work */
static void wake(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	(void)arg;
}

/* flush_log - write this turn's lines; what is left must not wait for an event that may not come */
static void flush_log(void)
{
	static int64_t again;
	static const struct timeval soon = {.tv_usec = LOG_AGAIN_MS * 1000};

	if (log_flush() || clock_ms() < again)
		return;
	/* Half the time: libevent's coarse clock may fire a little before ours says so. */
	again = clock_ms() + LOG_AGAIN_MS / 2;
	event_base_once(base, -1, EV_TIMEOUT, wake, NULL, &soon);
}

/* loop_turn - one wake-up and its end */
void loop_turn(void)
{
	run_tasks(); /* what was asked for outside a turn */
	flush_log();
	/* A callback that ran just before may have stopped the loop: don't wait for an event. */
	time_known = false;
	events_tick();
	counter_add(C_loop_turns, 1);
	event_base_loop(base, stopping ? EVLOOP_NONBLOCK : EVLOOP_ONCE);
	run_tasks();
	flush_log();
}

/* loop_run - turns until stopped */
int loop_run(void)
{
	while (!stopping)
		loop_turn();
	return exit_code;
}

/* loop_stop - after this turn */
void loop_stop(int code)
{
	stopping = true;
	exit_code = code;
}

/* loop_ms - the time of this turn: read when first asked for, as libevent has no hook after its
 * wait */
uint64_t loop_ms(void)
{
	if (!time_known)
		clock_turn();
	time_known = true;
	return (uint64_t)clock_turn_ms();
}
