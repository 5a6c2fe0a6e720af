/* SPDX-License-Identifier: ISC */
/*
 * A process is gone when it was reaped and its channel was read to the end: only then is the place
 * filled anew, so that what a dead qmgr had still ordered is done, and never two processes are in
 * one place. One timer serves all states, for each state waits for one thing.
 */
#include "master/place.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "lib/board.h"
#include "lib/clock.h"
#include "lib/events.h"
#include "lib/log.h"
#include "lib/loop.h"
#include "master/config.h"
#include "master/debug.h"
#include "master/files.h"
#include "master/reap.h"
#include "master/spawn.h"
#include "master/tree.h"

enum { PLACES_MAX = 3 * WORKERS_MAX + SERVICES };

_Static_assert(PLACES_MAX + 1 <= BOARD_PAGES, "each place has a page, and so has master");

static struct place places[PLACES_MAX];
static unsigned nplaces; /* how many were ever filled */

static const char *const state_names[PLACE_STATES] = {
    [PLACE_EMPTY] = "empty",
    [PLACE_WAITING] = "waiting",
    [PLACE_STARTING] = "starting",
    [PLACE_RUNNING] = "running",
    [PLACE_DRAINING] = "draining",
    [PLACE_ENDING] = "ending",
};

/* place_state_name - the name of a state */
const char *place_state_name(enum place_state state)
{
	return (unsigned)state < PLACE_STATES ? state_names[state] : "?";
}

/* place_name - "smtpd/1" */
const char *place_name(const struct place *place)
{
	static char name[32];
	snprintf(name, sizeof(name), "%s/%u", role_name(place->service->role), place->instance);
	return name;
}

/* place_next - walk over all */
struct place *place_next(const struct place *after)
{
	size_t i = after ? (size_t)(after - places) + 1 : 0;
	return i < nplaces ? &places[i] : NULL;
}

/* place_find - by process */
struct place *place_find(pid_t pid)
{
	for (unsigned i = 0; i < nplaces; i++)
		if (places[i].pid == pid)
			return &places[i];
	return NULL;
}

/* places_serving - how many of a role */
unsigned places_serving(enum role role)
{
	unsigned n = 0;
	for (unsigned i = 0; i < nplaces; i++)
		n += places[i].service->role == role && place_serves(&places[i]);
	return n;
}

static void on_timer(evutil_socket_t fd, short what, void *arg);

/* make_ring - of events, for a role that has such */
static int make_ring(const struct service *service)
{
	unsigned share = events_share(service->role, service_count(service, config_now()));
	int fd = share ? events_create(share) : -1;
	if (share && fd < 0)
		log_warnc(
		    fd, "the events of one more %s are not recorded", role_name(service->role));
	return fd < 0 ? -1 : spawn_high_fd(fd);
}

/* new_place - the next instance of a role */
static struct place *new_place(const struct service *service, unsigned instance)
{
	struct place *p = &places[nplaces];
	if (instance > service->places || nplaces == PLACES_MAX)
		return NULL;
	*p = (struct place){
	    .service = service, .instance = instance, .page = nplaces + 1, .events_fd = -1};
	p->timer = evtimer_new(loop_base(), on_timer, p);
	if (!p->timer) {
		log_warn("no room for another process");
		return NULL;
	}
	p->events_fd = make_ring(service);
	nplaces++;
	return p;
}

/* place_vacant - where a new process may go */
struct place *place_vacant(const struct service *service)
{
	unsigned instances = 0;
	for (unsigned i = 0; i < nplaces; i++) {
		if (places[i].service != service)
			continue;
		instances++;
		if (places[i].state == PLACE_EMPTY && !places[i].wanted)
			return &places[i];
	}
	return new_place(service, instances + 1);
}

/* publish - for the readers of the board */
static void publish(const struct place *p)
{
	struct board_head *head = &spawn_board(NULL)->head;
	head->row[p->page] = (struct board_row){.role = (uint8_t)p->service->role,
	    .instance = (uint16_t)p->instance,
	    .alive = p->pid != 0,
	    .serves = place_serves(p),
	    .pid = (uint32_t)p->pid,
	    .starts = p->starts,
	    .crashes = p->crashes,
	    .ready_ms = p->ready_ms};
	if (head->used <= p->page)
		__atomic_store_n(&head->used, p->page + 1, __ATOMIC_RELEASE);
}

/* enter - the one place where a state changes; ms: what the state's timer is set to, 0 for none */
static void enter(struct place *p, enum place_state state, int64_t ms)
{
	log_debug("%s: %s -> %s", place_name(p), state_names[p->state], state_names[state]);
	p->state = state;
	publish(p);
	if (ms == 0) {
		evtimer_del(p->timer);
		return;
	}
	struct timeval tv = {ms / 1000, (ms % 1000) * 1000};
	evtimer_add(p->timer, &tv);
}

/* wait_again - the next try after delay_ms */
static void wait_again(struct place *p, unsigned delay_ms)
{
	enter(p, PLACE_WAITING, delay_ms);
	if (delay_ms == 0)
		place_start(p);
}

/* start_channel - the new process's channel and its CONFIG; 0 or -E... */
static int start_channel(struct place *p, int fd)
{
	p->chan = chan_new(fd, ROLE_MASTER, p->service->role, p->instance, &tree_handlers, p);
	if (!p->chan)
		return -ENOMEM;
	int e = config_send(p);
	chan_flush(p->chan); /* CONFIG is alone in its packet */
	files_send(p);
	debug_send(p);
	return e;
}

/* place_start - a process for the place */
void place_start(struct place *p)
{
	int fd = -1;
	p->started_ms = clock_ms();
	p->ready_ms = 0;
	p->linked = false;
	p->starts++;
	counter_add(C_child_starts, 1);
	int e = spawn_child(p, &fd);
	if (e) {
		log_warnc(e, "cannot start %s", place_name(p));
		p->failures++;
		wait_again(p, reap_delay_ms(REAP_TEMPORARY, p->failures));
		return;
	}
	enter(p, PLACE_STARTING, START_MAX_MS);
	e = start_channel(p, fd);
	if (e) {
		log_warnc(e, "cannot configure %s", place_name(p));
		place_kill(p);
	}
}

/* place_ready - it serves */
void place_ready(struct place *p)
{
	p->ready_ms = clock_ms();
	enter(p, PLACE_RUNNING, 0);
	tree_place_ready(p);
}

/* place_drain - finish, then go */
void place_drain(struct place *p, unsigned idle_ms, unsigned grace_ms)
{
	if (p->state == PLACE_STARTING || (place_serves(p) && !p->chan)) {
		place_end(p); /* the latter has ended and is to be reaped */
	} else if (place_serves(p)) {
		CHAN_SEND(p->chan, drain, .idle_ms = idle_ms, .grace_ms = grace_ms);
		/* past its grace plus a little it isn't finishing, it is stuck */
		enter(p, PLACE_DRAINING, (int64_t)grace_ms + LEAVE_MAX_MS);
	}
}

/* place_end - leave now */
void place_end(struct place *p)
{
	if (!p->pid && !p->chan)
		return;
	chan_free(p->chan);
	p->chan = NULL;
	enter(p, PLACE_ENDING, LEAVE_MAX_MS);
	if (!p->pid)
		place_reaped(p, p->status);
}

/* place_kill - no questions */
void place_kill(struct place *p)
{
	if (p->pid > 0)
		kill(p->pid, SIGKILL);
}

/* place_forget - no process is coming */
void place_forget(struct place *p)
{
	if (p->state == PLACE_WAITING)
		enter(p, PLACE_EMPTY, 0);
}

/* on_timer - what the state has waited for has taken too long, or long enough */
static void on_timer(evutil_socket_t fd, short what, void *arg)
{
	struct place *p = arg;
	(void)fd, (void)what;
	switch (p->state) {
	case PLACE_WAITING:
		place_start(p);
		break;
	case PLACE_STARTING:
	case PLACE_DRAINING:
	case PLACE_ENDING:
		log_warnx("%s is still %s after its time, pid %ld is killed", place_name(p),
		    state_names[p->state], (long)p->pid);
		place_kill(p);
		break;
	default:
		break;
	}
}

/* vacate - process and channel are both gone */
static void vacate(struct place *p)
{
	char words[64];
	enum reap_verdict verdict = reap_judge(p->status);
	bool asked = p->state == PLACE_DRAINING || !p->wanted || tree_is_stopping();

	if (verdict == REAP_CRASH) {
		p->crashes++;
		counter_add(C_child_crashes, 1);
	}
	if (!asked || verdict != REAP_DONE)
		log_event(asked && verdict != REAP_CRASH ? LOG_INFO : LOG_WARN, 0, "child_end",
		    LOG_STR("child", place_name(p)),
		    LOG_STR("how", reap_words(p->status, words, sizeof(words))));
	if (p->ready_ms && clock_ms() - p->ready_ms >= STABLE_MS)
		p->failures = 0;
	p->failures++;
	enter(p, PLACE_EMPTY, 0);
	struct tree_restart next = tree_place_ended(p);
	if (next.again)
		wait_again(p, next.delay_ms);
}

/* place_closed - nothing more comes from it */
void place_closed(struct place *p)
{
	chan_free(p->chan);
	p->chan = NULL;
	if (!p->pid)
		vacate(p);
	else if (p->state != PLACE_ENDING && p->state != PLACE_DRAINING)
		enter(p, PLACE_ENDING, LEAVE_MAX_MS);
}

/* place_reaped - it is dead */
void place_reaped(struct place *p, int status)
{
	p->pid = 0;
	p->status = status;
	spawn_ended(p);
	if (!p->chan)
		vacate(p);
	else if (p->state != PLACE_DRAINING)
		enter(p, PLACE_ENDING, 0);
}
