/* SPDX-License-Identifier: ISC */
/*
 * At start nobody is linked before all are READY: so each LINK can say how many to expect, and a
 * client is served by a whole system or not at all. Later a process that is READY gets its links
 * and sockets at once; its neighbours are told in the same turn.
 */
#include "master/tree.h"

#include <stdlib.h>

#include "lib/child.h"
#include "lib/clock.h"
#include "lib/log.h"
#include "lib/loop.h"
#include "master/config.h"
#include "master/drop.h"
#include "master/files.h"
#include "master/links.h"
#include "master/listen.h"
#include "master/mailbox.h"
#include "master/order.h"
#include "master/reach.h"
#include "master/reap.h"

static enum { TREE_IDLE, TREE_STARTING, TREE_RUNNING, TREE_STOPPING } state;
static void (*on_ready)(void);
static unsigned stage; /* of the stop: services with a lower one are gone */
static int stop_code;
static int64_t stop_began_ms;
static struct event *stop_timer;

/* on_child_ready - READY of any child */
static void on_child_ready(struct chan *chan, union msg_any *msg, void *arg)
{
	struct place *p = arg;
	(void)chan;
	log_debug("%s has configuration %u", place_name(p), msg->ready.generation);
	if (p->state == PLACE_STARTING)
		place_ready(p);
}

/* on_child_closed - the end of a child's channel */
static void on_child_closed(struct chan *chan, void *arg)
{
	(void)chan;
	if (((struct place *)arg)->service->role == ROLE_KEEPER)
		order_lost();
	place_closed(arg);
}

const struct chan_handlers tree_handlers = {
    .on = {[MSG_ready] = on_child_ready,
	[MSG_qmgr_local] = mailbox_order,
	[MSG_qmgr_connect] = reach_order,
	[MSG_aliases_is] = order_done},
    .closed = on_child_closed,
};

/* tree_is_stopping - whether nobody is started any more */
bool tree_is_stopping(void)
{
	return state == TREE_STOPPING;
}

/* all_run - whether every wanted place of a role (NULL: of all) has a process that is READY */
static bool all_run(const struct service *service)
{
	for (struct place *p = place_next(NULL); p; p = place_next(p))
		if (p->wanted && (!service || p->service == service) && p->state != PLACE_RUNNING)
			return false;
	return true;
}

/* fill - start processes of a role until `count` are wanted */
static void fill(const struct service *service, unsigned count)
{
	unsigned have = 0;
	for (struct place *p = place_next(NULL); p; p = place_next(p))
		have += p->service == service && p->wanted;
	for (; have < count; have++) {
		struct place *p = place_vacant(service);
		if (!p) {
			log_error("no place for another %s", role_name(service->role));
			return;
		}
		p->wanted = true;
		p->failures = 0;
		place_start(p);
	}
}

/* tree_start - all roles */
void tree_start(void (*ready)(void))
{
	state = TREE_STARTING;
	on_ready = ready;
	for (unsigned i = 0; i < SERVICES; i++)
		fill(&services[i], service_count(&services[i], config_now()));
}

/* connect_place - links, then sockets: a client is only taken by who can serve it */
static void connect_place(struct place *p)
{
	int e = links_join(p);
	if (!e)
		e = listen_give(p);
	if (e) {
		log_warnc(e, "cannot connect %s", place_name(p));
		place_end(p);
	}
}

/* retire_old - once a whole new generation serves, the former one finishes */
static void retire_old(const struct service *service)
{
	if (service->reload != RELOAD_REPLACE || !all_run(service))
		return;
	for (struct place *p = place_next(NULL); p; p = place_next(p))
		if (p->service == service && !p->wanted && p->state == PLACE_RUNNING)
			place_drain(p, OLD_IDLE_MS, OLD_GRACE_MS);
}

/* tree_place_ready - one more process serves */
void tree_place_ready(struct place *place)
{
	switch (state) {
	case TREE_STARTING:
		if (!all_run(NULL))
			return;
		state = TREE_RUNNING;
		for (struct place *p = place_next(NULL); p; p = place_next(p))
			connect_place(p);
		on_ready();
		break;
	case TREE_RUNNING:
		connect_place(place);
		retire_old(place->service);
		break;
	default:
		place_end(place);
	}
}

/* reconfigure - CONFIG to a process that takes it in place */
static void reconfigure(struct place *p)
{
	if (p->state != PLACE_STARTING && p->state != PLACE_RUNNING)
		return;
	int e = config_send(p);
	if (e) {
		log_warnc(e, "cannot configure %s", place_name(p));
		place_end(p);
		return;
	}
	chan_flush(p->chan); /* CONFIG is alone in its packet */
	files_send(p);
}

/* tree_reconfigure - one role only */
void tree_reconfigure(enum role role)
{
	for (struct place *p = place_next(NULL); p; p = place_next(p))
		if (p->service->role == role)
			reconfigure(p);
}

/* unwant - the place's process is not of the new configuration */
static void unwant(struct place *p)
{
	p->wanted = false;
	place_forget(p);
	if (p->state == PLACE_STARTING)
		place_end(p);
}

/* replace - a new generation of a role; of the older ones at most one stays */
static void replace(const struct service *service, unsigned count)
{
	for (struct place *p = place_next(NULL); p; p = place_next(p)) {
		if (p->service != service)
			continue;
		if (!p->wanted)
			place_end(p);
		else
			unwant(p);
	}
	fill(service, count);
}

/* adapt - CONFIG to all of a role, and more or fewer of them */
static void adapt(const struct service *service, unsigned count)
{
	unsigned have = 0;
	for (struct place *p = place_next(NULL); p; p = place_next(p)) {
		if (p->service != service || !p->wanted)
			continue;
		if (++have > count) {
			unwant(p);
			place_drain(p, OLD_IDLE_MS, OLD_GRACE_MS);
		} else if (p->state == PLACE_EMPTY) {
			p->failures = 0; /* it had given up; the configuration may have been why */
			place_start(p);
		} else {
			reconfigure(p);
		}
	}
	fill(service, count);
}

/* tree_reload - to the configuration in force */
void tree_reload(void)
{
	for (unsigned i = 0; i < SERVICES && state == TREE_RUNNING; i++) {
		unsigned count = service_count(&services[i], config_now());
		if (services[i].reload == RELOAD_REPLACE)
			replace(&services[i], count);
		else
			adapt(&services[i], count);
	}
}

/* is_there - whether anything of a process is left in the place */
static bool is_there(const struct place *p)
{
	return p->pid || p->chan;
}

/* drain_stage - tell the processes of the lowest stage that has any; the end when none has */
static void drain_stage(void)
{
	for (; stage < DRAIN_STAGES; stage++) {
		unsigned left = 0;
		int64_t grace = STOP_SESSIONS_MS - (clock_ms() - stop_began_ms);
		for (struct place *p = place_next(NULL); p; p = place_next(p)) {
			if (p->service->drain_stage != stage || !is_there(p))
				continue;
			left++;
			place_drain(p, 0, grace > 0 ? (unsigned)grace : 0);
		}
		if (left > 0)
			return;
	}
	mailbox_stop();
	loop_stop(stop_code);
}

/* kill_all - the time is over */
static void kill_all(evutil_socket_t fd, short what, void *arg)
{
	(void)fd, (void)what, (void)arg;
	for (struct place *p = place_next(NULL); p; p = place_next(p))
		place_kill(p);
}

/* tree_stop - drain all and end */
void tree_stop(int code)
{
	const struct timeval limit = {STOP_MAX_MS / 1000, 0};
	if (state == TREE_STOPPING) {
		kill_all(-1, 0, NULL);
		return;
	}
	state = TREE_STOPPING;
	stop_code = code;
	stop_began_ms = clock_ms();
	drop_stop();
	listen_close();
	stop_timer = evtimer_new(loop_base(), kill_all, NULL);
	if (stop_timer)
		evtimer_add(stop_timer, &limit);
	for (struct place *p = place_next(NULL); p; p = place_next(p))
		place_forget(p);
	drain_stage();
}

/* give_up - an instance that can't start says so and ends */
static void give_up(const struct place *place, int code)
{
	log_error("%s cannot be started: giving up", place_name(place));
	tree_stop(code);
}

/* tree_place_ended - what comes after an end */
struct tree_restart tree_place_ended(struct place *place)
{
	const struct tree_restart never = {false, 0};
	enum reap_verdict verdict = reap_judge(place->status);
	if (state == TREE_STOPPING) {
		/* the caller goes on with the place, which is empty: the loop ends at its own time
		 */
		bool left = false;
		for (struct place *p = place_next(NULL); p; p = place_next(p))
			left |= p->service->drain_stage == stage && is_there(p);
		if (!left)
			drain_stage();
		return never;
	}
	if (!place->wanted)
		return never;
	if (verdict == REAP_NEVER) {
		if (state == TREE_STARTING)
			give_up(place, EXIT_USAGE);
		else
			log_error(
			    "%s can't work like this and is not started again before a reload",
			    place_name(place));
		return never;
	}
	if (state == TREE_STARTING && place->failures >= START_TRIES) {
		give_up(place, EXIT_TEMPORARY);
		return never;
	}
	return (struct tree_restart){true, reap_delay_ms(verdict, place->failures)};
}
