/* SPDX-License-Identifier: ISC */
/*
 * Each tool is a channel of role TOOL; the gate lets it say nothing but what has a row for master.
 * The kernel says who it is when it connects.
 */
#include "master/control.h"

#include <errno.h>
#include <event2/event.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/chan.h"
#include "lib/clock.h"
#include "lib/counters.h"
#include "lib/log.h"
#include "lib/loop.h"
#include "lib/rights.h"
#include "lib/status.h"
#include "master/config.h"
#include "master/debug.h"
#include "master/listen.h"
#include "master/order.h"
#include "master/reload.h"
#include "master/rings.h"
#include "master/spawn.h"

enum { TOOLS_MAX = 32, REASON_MAX = 4096 };

static struct event *acceptor;
static unsigned tools;

/* put_processes - a row for each place that has or expects a process, master first */
static void put_processes(struct wire_out *out)
{
	int64_t now = clock_ms();
	status_put_process(out, &(struct status_process){.role = ROLE_MASTER,
				    .instance = 0,
				    .pid = (uint32_t)getpid(),
				    .uptime_ms = (uint64_t)(now - reload_started_ms()),
				    .state = msg_str("running")});
	for (struct place *p = place_next(NULL); p; p = place_next(p)) {
		if (p->state == PLACE_EMPTY && !p->wanted)
			continue;
		status_put_process(
		    out, &(struct status_process){.role = (uint8_t)p->service->role,
			     .instance = (uint16_t)p->instance,
			     .pid = (uint32_t)p->pid,
			     .uptime_ms = place_serves(p) ? (uint64_t)(now - p->ready_ms) : 0,
			     .restarts = p->starts > 0 ? p->starts - 1 : 0,
			     .crashes = p->crashes,
			     .state = msg_str(place_state_name(p->state))});
	}
}

/* put_counters - each counter that isn't 0, over all processes */
static void put_counters(struct wire_out *out)
{
	for (unsigned c = 0; c < COUNTERS; c++) {
		uint64_t sum = board_sum(spawn_board(NULL), (enum counter)c);
		if (sum > 0)
			status_put_counter(out, counter_name((enum counter)c), sum);
	}
}

/* answer_status - the tree in rows */
static void answer_status(struct chan *chan)
{
	static unsigned char buf[STATUS_MAX];
	struct wire_out out;
	wire_out_fixed(&out, buf, sizeof(buf));
	put_processes(&out);
	put_counters(&out);
	CHAN_SEND(
	    chan, tool_controlled, .ok = 1, .text = msg_str(""), .rows = msg_bytes(buf, out.len));
}

/* answer_board - what it takes to read it all, as often as one likes */
static void answer_board(struct chan *chan)
{
	int reader = -1;
	spawn_board(&reader);
	CHAN_SEND(chan, tool_board, .board = reader);
}

/* answer_reload - done, or why not */
static void answer_reload(struct chan *chan)
{
	static char reason[REASON_MAX];
	bool ok = reload_config(reason, sizeof(reason)) == 0;
	CHAN_SEND(chan, tool_controlled, .ok = ok, .text = msg_str(ok ? "reloaded" : reason),
	    .rows = msg_bytes("", 0));
}

/* on_control - a tool asks */
static void on_control(struct chan *chan, union msg_any *msg, void *arg)
{
	(void)arg;
	switch (msg->tool_control.verb) {
	case CONTROL_STATUS:
		answer_status(chan);
		break;
	case CONTROL_RELOAD:
		answer_reload(chan);
		break;
	case CONTROL_ALIASES:
		order_aliases(chan);
		break;
	case CONTROL_BOARD:
		answer_board(chan);
		break;
	default:
		CHAN_SEND(chan, tool_controlled, .ok = 0, .text = msg_str("unknown verb"),
		    .rows = msg_bytes("", 0));
	}
}

/* on_closed - a tool is done */
static void on_closed(struct chan *chan, void *arg)
{
	(void)arg;
	order_forget(chan);
	chan_free(chan);
	tools--;
}

static const struct chan_handlers handlers = {
    .on = {[MSG_tool_control] = on_control,
	[MSG_tool_rings] = rings_asked,
	[MSG_tool_debug] = debug_asked},
    .closed = on_closed,
};

/* take - one tool; nothing here is for others than admins, so they don't even get in */
static void take(int fd)
{
	struct rights_peer peer;
	int err = rights_peer(fd, config_now(), &peer);
	if (err || !peer.admin)
		rights_refuse(fd, ROLE_MASTER, config_now(), err ? NULL : &peer);
	else if (tools >= TOOLS_MAX)
		close(fd);
	else if (chan_new(fd, ROLE_MASTER, ROLE_TOOL, 0, &handlers, NULL))
		tools++;
}

/* on_accept - tools wait */
static void on_accept(evutil_socket_t listener, short what, void *arg)
{
	(void)what, (void)arg;
	int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
	if (fd >= 0)
		take(fd);
}

/* control_start - from now on */
void control_start(void)
{
	int fd = listen_control_fd();
	if (fd < 0 || acceptor)
		return;
	acceptor = event_new(loop_base(), fd, EV_READ | EV_PERSIST, on_accept, NULL);
	if (!acceptor || event_add(acceptor, NULL) != 0)
		log_fatal("out of memory");
}

/* control_stop - the socket is about to be closed */
void control_stop(void)
{
	if (acceptor)
		event_free(acceptor);
	acceptor = NULL;
}
