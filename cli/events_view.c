/* SPDX-License-Identifier: ISC */
/*
 * Two walks over all rings: the first takes the message's events, from which it knows the
 * connections, the second theirs. qmgr's numbers begin anew with each qmgr, so of several
 * connections of one number the one opened last before the message was given to it counts.
 */
#include "cli/events_view.h"

#include <errno.h>
#include <stdlib.h>

/* events_view_add - map it */
int events_view_add(struct events_view *view, int fd, uint8_t role, uint16_t instance)
{
	struct events_view_ring *r = &view->rings[view->nrings];
	if (view->nrings == EVENTS_VIEW_RINGS)
		return -ENOSPC;
	int e = events_open(fd, &r->reader);
	if (e)
		return e;
	r->role = role;
	r->instance = instance;
	view->nrings++;
	return 0;
}

/* add - one more */
static int add(
    struct events_view *view, const struct events_view_ring *from, const struct event *event)
{
	if (view->n == view->room) {
		size_t room = view->room ? 2 * view->room : 64;
		struct seen_event *seen = realloc(view->seen, room * sizeof(*seen));
		if (!seen)
			return -ENOMEM;
		view->seen = seen;
		view->room = room;
	}
	view->seen[view->n++] =
	    (struct seen_event){.event = *event, .role = from->role, .instance = from->instance};
	return 0;
}

/* by_time - of two events; what was recorded in one microsecond is as it was in its ring */
static int by_time(const void *a, const void *b)
{
	const struct seen_event *x = a, *y = b;
	if (x->event.at_us != y->event.at_us)
		return x->event.at_us < y->event.at_us ? -1 : 1;
	if (x->role != y->role)
		return x->role < y->role ? -1 : 1;
	return x->event.seq < y->event.seq ? -1 : 1;
}

/* Of the connection that a job went to, the last steps before that. */
struct steps {
	uint64_t conn;
	int64_t until_us;
	struct seen_event ordered, stands;
};

/* look_at - whether it is a later step of that connection than those known */
static void look_at(
    struct steps *steps, const struct events_view_ring *from, const struct event *event)
{
	struct seen_event *of = event->type == EVENT_CONNECTING  ? &steps->ordered
				: event->type == EVENT_CONNECTED ? &steps->stands
								 : NULL;
	if (!of || event->value != steps->conn || event->at_us > steps->until_us ||
	    event->at_us < of->event.at_us)
		return;
	*of = (struct seen_event){.event = *event, .role = from->role, .instance = from->instance};
}

/* add_connection - how the connection of that job came to be */
static int add_connection(struct events_view *view, const struct event *handed)
{
	struct steps steps = {.conn = handed->value, .until_us = handed->at_us};
	struct event event;
	int e = 0;
	for (size_t i = 0; i < view->nrings; i++) {
		const struct events_view_ring *from = &view->rings[i];
		for (uint64_t pos = 0; events_read(&from->reader, &pos, &event);)
			if (event.id == 0)
				look_at(&steps, from, &event);
	}
	const struct seen_event *both[] = {&steps.ordered, &steps.stands};
	for (size_t i = 0; i < 2 && !e; i++) {
		const struct events_view_ring from = {
		    .role = both[i]->role, .instance = both[i]->instance};
		if (both[i]->event.type)
			e = add(view, &from, &both[i]->event);
	}
	return e;
}

/* used_before - whether an earlier job of the message went to that connection too */
static bool used_before(const struct events_view *view, size_t i)
{
	for (size_t k = 0; k < i; k++)
		if (view->seen[k].event.type == EVENT_HANDED &&
		    view->seen[k].event.value == view->seen[i].event.value)
			return true;
	return false;
}

/* events_view_find - its own, then its connections' */
int events_view_find(struct events_view *view, uint64_t id)
{
	struct event event;
	int e = 0;
	view->n = 0;
	for (size_t i = 0; i < view->nrings; i++) {
		const struct events_view_ring *from = &view->rings[i];
		for (uint64_t pos = 0; !e && events_read(&from->reader, &pos, &event);)
			if (event.id == id)
				e = add(view, from, &event);
	}
	size_t own = view->n;
	view->whole = false;
	if (own)
		qsort(view->seen, own, sizeof(*view->seen), by_time);
	view->whole = own && view->seen[0].event.type == EVENT_ACCEPTED;
	for (size_t i = 0; i < own && !e; i++) {
		if (view->seen[i].event.type != EVENT_HANDED || used_before(view, i))
			continue;
		event = view->seen[i].event; /* adding moves the list */
		e = add_connection(view, &event);
	}
	if (view->n > own)
		qsort(view->seen, view->n, sizeof(*view->seen), by_time);
	return e;
}

/* events_view_horizon - the latest of the role's rings */
int64_t events_view_horizon(const struct events_view *view, uint8_t role)
{
	int64_t horizon = INT64_MIN;
	for (size_t i = 0; i < view->nrings; i++) {
		if (view->rings[i].role != role)
			continue;
		int64_t at = events_horizon(&view->rings[i].reader);
		if (at > horizon)
			horizon = at;
	}
	return horizon;
}

/* events_view_free - unmap all */
void events_view_free(struct events_view *view)
{
	for (size_t i = 0; i < view->nrings; i++)
		events_close(&view->rings[i].reader);
	free(view->seen);
	view->seen = NULL;
	view->nrings = view->n = view->room = 0;
}
