/* SPDX-License-Identifier: ISC */
#include "master/trend.h"

#include <event2/event.h>

#include "lib/board.h"
#include "lib/clock.h"
#include "lib/log.h"
#include "lib/loop.h"
#include "master/spawn.h"

static struct event *timer;

/* on_timer - over the oldest one; readers know a sample by its time, which comes last */
static void on_timer(evutil_socket_t fd, short what, void *arg)
{
	struct board *board = spawn_board(NULL);
	struct board_sample *s = &board->head.sample[board->head.trend++ % BOARD_TRENDS];
	(void)fd, (void)what, (void)arg;
	__atomic_store_n(&s->at_ms, 0, __ATOMIC_RELEASE);
	for (unsigned t = 0; t < TREND_KINDS; t++)
		s->v[t] = board_trend_now(board, (enum board_trend)t);
	__atomic_store_n(&s->at_ms, clock_ms(), __ATOMIC_RELEASE);
}

/* trend_start - the first one is the start's */
void trend_start(void)
{
	static const struct timeval often = {.tv_sec = BOARD_TREND_MS / 1000};
	timer = event_new(loop_base(), -1, EV_PERSIST, on_timer, NULL);
	if (!timer || event_add(timer, &often) < 0)
		log_fatal("out of memory");
	on_timer(-1, 0, NULL);
}
