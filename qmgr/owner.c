/* SPDX-License-Identifier: ISC */
/* Few at a time (TOOLS_MAX): a list, and one timer for the oldest. */
#include "qmgr/owner.h"

#include <string.h>

#include "lib/hash.h"
#include "lib/log.h"
#include "lib/loop.h"
#include "lib/str.h"
#include "qmgr/asked.h"

static struct owner_wait *waits; /* by age */
static struct event *timer;
static uint32_t last_request;

/* owner_has - by uid where there is one, for a login of the same name may be another person's */
bool owner_has(const struct owner *owner, const struct row_msg *msg)
{
	if (owner->all)
		return true;
	if (msg->uid != UINT32_MAX)
		return msg->uid == owner->uid;
	return msg->user.len && msg->user.len == strlen(owner->user) &&
	       !memcmp(msg->user.data, owner->user, msg->user.len);
}

/* end - an answer, or none */
static void end(struct owner_wait *wait)
{
	DL_DELETE(waits, wait);
	wait->request = 0;
	wait->done(wait);
}

/* arm - for the oldest */
static void arm(void)
{
	uint64_t now = loop_ms();
	if (!waits)
		return;
	uint64_t ms = waits->until > now ? waits->until - now : 1;
	event_add(timer, &(struct timeval){.tv_sec = (time_t)(ms / 1000),
			     .tv_usec = (suseconds_t)(ms % 1000 * 1000)});
}

/* on_timer - keeper doesn't say */
static void on_timer(evutil_socket_t fd, short what, void *arg)
{
	(void)fd, (void)what, (void)arg;
	while (waits && waits->until <= loop_ms())
		end(waits);
	arm();
}

/* ask - if there is somebody to ask */
static void ask(const struct owner_wait *wait)
{
	struct chan *keeper = asked_keeper();
	if (keeper)
		CHAN_SEND(keeper, keeper_name, .request = wait->request, .uid = wait->owner.uid);
}

/* owner_ask - keeper, or wait for one */
void owner_ask(struct owner_wait *wait)
{
	if (!timer && !(timer = evtimer_new(loop_base(), on_timer, NULL)))
		log_fatal("out of memory");
	wait->request = ++last_request ? last_request : ++last_request;
	wait->until = loop_ms() + OWNER_WAIT_MS;
	DL_APPEND(waits, wait);
	if (!evtimer_pending(timer, NULL))
		arm();
	ask(wait);
}

/* owner_forget - out of the list, if it is in */
void owner_forget(struct owner_wait *wait)
{
	if (wait->request)
		DL_DELETE(waits, wait);
	wait->request = 0;
}

/* owner_linked - ask again */
void owner_linked(void)
{
	struct owner_wait *wait;
	DL_FOREACH (waits, wait)
		ask(wait);
}

/* owner_answer - a name that doesn't fit is no name of a row */
void owner_answer(const struct msg_keeper_name_is *m)
{
	struct owner_wait *wait;
	DL_FOREACH (waits, wait) {
		if (wait->request == m->request)
			break;
	}
	if (!wait)
		return;
	str_copy_n(wait->owner.user, sizeof(wait->owner.user), m->user.data, m->user.len);
	end(wait);
}
