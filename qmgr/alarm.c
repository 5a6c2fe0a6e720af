/* SPDX-License-Identifier: ISC */
/*
 * A wheel: an alarm is in the list of its tick, modulo the number of lists, so a list holds those
 * of other revolutions too. One timer of the loop stands at the earliest of all. When it rings, the
 * lists it has passed are looked at, and then those to come, until one holds an alarm of its own
 * tick. Setting one and taking it off look at no other.
 */
#include "qmgr/alarm.h"

#include <stdlib.h>

#include "lib/hash.h"
#include "lib/log.h"
#include "lib/loop.h"

#define LISTS   4096u
#define TICK_MS 64u
#define RINGING 0 /* as `due`: in the list of those whose time has come */
#define NEVER   UINT64_MAX

struct alarm {
	struct alarm *next, *prev;
	uint64_t due; /* loop_ms() */
	void (*fn)(void *arg);
	void *arg;
};

static struct {
	struct alarm *lists[LISTS], *ringing;
	struct event *timer;
	uint64_t at;   /* when the timer rings; NEVER: it isn't set */
	uint64_t tick; /* the lists before this one were looked at */
} wheel = {.at = NEVER};

/* list_of - of a time */
static struct alarm **list_of(uint64_t due)
{
	return due == RINGING ? &wheel.ringing : &wheel.lists[due / TICK_MS % LISTS];
}

/* move - into the list of another time */
static void move(struct alarm *a, uint64_t due)
{
	DL_DELETE(*list_of(a->due), a);
	a->due = due;
	DL_APPEND(*list_of(due), a);
}

/* set_timer - no later than that */
static void set_timer(uint64_t due)
{
	uint64_t now = loop_ms(), ms = due > now ? due - now : 0;
	if (due >= wheel.at)
		return;
	wheel.at = due;
	event_add(wheel.timer, &(struct timeval){.tv_sec = (time_t)(ms / 1000),
				   .tv_usec = (suseconds_t)(ms % 1000 * 1000)});
}

/* gather - those of a list whose time has come */
static void gather(struct alarm *list, uint64_t now)
{
	struct alarm *a, *tmp;
	DL_FOREACH_SAFE (list, a, tmp) {
		if (a->due <= now)
			move(a, RINGING);
	}
}

/* earliest - of all; NEVER: there is none */
static uint64_t earliest(void)
{
	uint64_t first = NEVER;
	for (uint64_t tick = wheel.tick; tick < wheel.tick + LISTS; tick++) {
		const struct alarm *a;
		DL_FOREACH (wheel.lists[tick % LISTS], a) {
			if (a->due < first)
				first = a->due;
		}
		if (first / TICK_MS <= tick)
			break;
	}
	return first;
}

/* on_timer - the earliest has come, or was taken off */
static void on_timer(evutil_socket_t fd, short what, void *arg)
{
	uint64_t now = loop_ms(), last = now / TICK_MS;
	(void)fd, (void)what, (void)arg;
	wheel.at = NEVER;
	if (last - wheel.tick >= LISTS)
		wheel.tick = last - LISTS + 1;
	for (; wheel.tick < last; wheel.tick++)
		gather(wheel.lists[wheel.tick % LISTS], now);
	gather(wheel.lists[last % LISTS], now);
	while (wheel.ringing) {
		const struct alarm *a = wheel.ringing;
		a->fn(a->arg);
		if (wheel.ringing == a)
			log_bug("an alarm rings on");
	}
	uint64_t first = earliest();
	if (first != NEVER)
		set_timer(first);
}

/* alarm_set - once, after ms */
void alarm_set(struct alarm **own, uint64_t ms, void (*fn)(void *arg), void *arg)
{
	uint64_t due = loop_ms() + ms;
	struct alarm *a = *own;
	if (!wheel.timer && !(wheel.timer = evtimer_new(loop_base(), on_timer, NULL)))
		log_fatal("out of memory for a timer");
	if (a) {
		move(a, due);
	} else {
		a = malloc(sizeof(*a));
		if (!a)
			log_fatal("out of memory for a timer");
		*a = (struct alarm){.due = due, .fn = fn, .arg = arg};
		DL_APPEND(*list_of(due), a);
		*own = a;
	}
	set_timer(due);
}

/* alarm_off - not set any more */
void alarm_off(struct alarm **own)
{
	struct alarm *a = *own;
	if (a) {
		DL_DELETE(*list_of(a->due), a);
		free(a);
	}
	*own = NULL;
}
