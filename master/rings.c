/* SPDX-License-Identifier: ISC */
/*
 * What a tool gets is another open file description, for reading only: it can't write into the ring
 * that a process goes on filling.
 */
#include "master/rings.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "lib/log.h"
#include "master/place.h"

/* next_ring - the next place that has one */
static struct place *next_ring(const struct place *after)
{
	struct place *p = place_next(after);
	while (p && p->events_fd < 0)
		p = place_next(p);
	return p;
}

/* send_ring - the place's, read-only */
static void send_ring(struct chan *chan, const struct place *place, bool last)
{
	char path[40];
	snprintf(path, sizeof(path), "/proc/self/fd/%d", place->events_fd);
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0) {
		log_warn("the events of %s", place_name(place));
		CHAN_SEND(chan, tool_controlled, .ok = 0,
		    .text = msg_str("the events can't be handed out, the log says why"),
		    .rows = msg_bytes("", 0));
		return;
	}
	CHAN_SEND(chan, tool_ring, .role = (uint8_t)place->service->role,
	    .instance = (uint16_t)place->instance, .last = last, .ring = fd);
	close(fd);
}

/* rings_asked - one answer each */
void rings_asked(struct chan *chan, union msg_any *msg, void *arg)
{
	struct place *next;
	(void)msg, (void)arg;
	for (struct place *p = next_ring(NULL); p; p = next) {
		next = next_ring(p);
		send_ring(chan, p, !next);
	}
}
