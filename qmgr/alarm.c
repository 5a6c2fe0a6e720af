/* SPDX-License-Identifier: ISC */
#include "qmgr/alarm.h"

#include "lib/log.h"
#include "lib/loop.h"

/* alarm_set - once, after ms */
void alarm_set(struct event **timer, uint64_t ms, event_callback_fn fn, void *arg)
{
	const struct timeval tv = {
	    .tv_sec = (time_t)(ms / 1000), .tv_usec = (suseconds_t)(ms % 1000 * 1000)};
	if (!*timer && !(*timer = evtimer_new(loop_base(), fn, arg)))
		log_fatal("out of memory for a timer");
	event_add(*timer, &tv);
}

/* alarm_off - not set any more */
void alarm_off(struct event **timer)
{
	if (*timer)
		event_free(*timer);
	*timer = NULL;
}
