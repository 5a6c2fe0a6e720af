/* SPDX-License-Identifier: ISC */
/*
 * The events of one message out of the rings of all processes (lib/events.h), in the order of time:
 * its own, and those of the connections that it was given to.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/events.h"

#define EVENTS_VIEW_RINGS 1024

/* A ring and whose it is. */
struct events_view_ring {
	struct events_reader reader;
	uint8_t role;
	uint16_t instance;
};

/* An event and where it comes from. */
struct seen_event {
	struct event event;
	uint8_t role;
	uint16_t instance;
};

struct events_view {
	struct events_view_ring rings[EVENTS_VIEW_RINGS];
	size_t nrings;
	struct seen_event *seen;
	size_t n, room;
	bool whole; /* the first of its events is that it was accepted */
};

/* Maps the ring behind fd (not closed). 0, or -E...; -ENOSPC: there are EVENTS_VIEW_RINGS. */
int events_view_add(struct events_view *view, int fd, uint8_t role, uint16_t instance);

/* Gathers what there is of that message into view->seen. 0 or -ENOMEM. */
int events_view_find(struct events_view *view, uint64_t id);

/* Since when (clock_us()) nothing of what processes of that role recorded is missing. */
int64_t events_view_horizon(const struct events_view *view, uint8_t role);

void events_view_free(struct events_view *view);
