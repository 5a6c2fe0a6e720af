/* SPDX-License-Identifier: ISC */
/*
 * Everything that changes a recipient's place goes through schedule_place() and wait_in_index(), so
 * the window's count can't be forgotten. Reading back from the index is qmgr/refill.c.
 */
#include "qmgr/schedule.h"

#include <sys/random.h>

#include "lib/child.h"
#include "lib/log.h"
#include "qmgr/batch.h"
#include "qmgr/claims.h"
#include "qmgr/dest.h"
#include "qmgr/expand.h"
#include "qmgr/message.h"
#include "qmgr/now.h"
#include "qmgr/poison.h"
#include "qmgr/settle.h"

static struct {
	unsigned active; /* recipients in the window */
	uint64_t random;
} sched;

/* -- arithmetic */

/* schedule_random - xorshift: for spreading, not for secrets */
uint32_t schedule_random(void)
{
	uint64_t x = sched.random;
	x ^= x << 13;
	x ^= x >> 7;
	x ^= x << 17;
	sched.random = x;
	return (uint32_t)(x >> 16);
}

/* schedule_interval - first * factor^(attempts-1) up to max, times 0.75 to 1.25, at least first */
uint64_t schedule_interval(const struct conf_retry *retry, unsigned attempts, uint32_t random)
{
	uint64_t ms = retry->first;
	for (unsigned i = 1; i < attempts && ms < retry->max; i++)
		ms = ms / 1000 * retry->factor + ms % 1000 * retry->factor / 1000;
	if (ms > retry->max)
		ms = retry->max;
	ms = ms / 4 * 3 + (uint64_t)((double)random / UINT32_MAX * ((double)ms / 2));
	return ms < retry->first ? retry->first : ms;
}

/* schedule_retry_at - when to try again */
uint64_t schedule_retry_at(unsigned attempts)
{
	return now_ms() +
	       schedule_interval(&child_self()->conf->retry, attempts, schedule_random());
}

/* schedule_expired - outlived at `when` */
bool schedule_expired(const struct rcpt *rcpt, uint64_t when)
{
	return when >= rcpt->msg->arrival_ms + child_self()->conf->retry.lifetime;
}

/* schedule_active - recipients in the window */
unsigned schedule_active(void)
{
	return sched.active;
}

/* -- the window */

/* schedule_room - recipients the destination may take in */
unsigned schedule_room(const struct dest *dest)
{
	unsigned all = sched.active < WINDOW_ALL ? WINDOW_ALL - sched.active : 0;
	unsigned share = all / 4;
	if (!all)
		return 0;
	if (share < WINDOW_DEST_MIN)
		share = WINDOW_DEST_MIN;
	if (share > WINDOW_DEST)
		share = WINDOW_DEST;
	return dest->nactive < share ? share - dest->nactive : 0;
}

/* enter - a place in the window */
static void enter(struct rcpt *rcpt)
{
	if (rcpt->windowed)
		return;
	rcpt->windowed = true;
	rcpt->dest->nactive++;
	sched.active++;
}

/* schedule_leave - its place is free */
void schedule_leave(struct rcpt *rcpt)
{
	if (!rcpt->windowed)
		return;
	struct dest *dest = rcpt->dest;
	rcpt->windowed = false;
	dest->nactive--;
	sched.active--;
	if (dest->index_due <= now_ms() && dest->nready < REFILL_LOW)
		schedule_refill(dest);
	else
		refill_pump();
}

/* wait_in_index - its turn comes later */
static void wait_in_index(struct rcpt *rcpt)
{
	schedule_leave(rcpt);
	rcpt_enter(rcpt, RCPT_WAITING);
	if (!rcpt->msg->rowed) {
		batch_segment(rcpt->msg->segment); /* it gets rows when it is old enough */
		return;
	}
	bool known =
	    rcpt->rowed && rcpt->write == WRITE_CLEAN &&
	    (rcpt_set_aside(rcpt) ? !rcpt->row_dest : rcpt_due_known(rcpt));
	if (known)
		schedule_forget(rcpt);
	else
		batch_rcpt(rcpt);
}

/* refused_fails - the destination takes no mail: neither does it take this one */
static bool refused_fails(struct rcpt *rcpt)
{
	struct dest *dest = rcpt->dest;
	if (dest->state != DEST_REFUSED || rcpt->stage != STAGE_MAIL)
		return false;
	if (dest->bound_until <= now_ms()) {
		dest_unbind(dest);
		return false;
	}
	settle_failed(rcpt, dest->refused_code, dest->refused_status, "", dest->refused_text);
	return true;
}

/* schedule_place - ready, or back to the index */
void schedule_place(struct rcpt *rcpt)
{
	struct dest *dest = rcpt->dest;
	if (claims_any() && claims_take(rcpt))
		return;
	if (rcpt->order > ORDER_HOLD && settle_ordered(rcpt))
		return;
	if (rcpt_set_aside(rcpt) || rcpt->due_ms > now_ms() || dest_parked(dest)) {
		wait_in_index(rcpt);
		return;
	}
	if (!rcpt->windowed && !schedule_room(dest)) {
		wait_in_index(rcpt);
		return;
	}
	if (refused_fails(rcpt))
		return;
	enter(rcpt);
	if (poison_hold(rcpt))
		return;
	if (expand_needed(rcpt))
		expand_ask(rcpt);
	else
		dest_push(dest, rcpt);
}

/* schedule_later - at another time */
void schedule_later(struct rcpt *rcpt, uint64_t due_ms)
{
	rcpt->due_ms = due_ms;
	batch_rcpt(rcpt);
	wait_in_index(rcpt);
}

/* schedule_forget - the index has it */
void schedule_forget(struct rcpt *rcpt)
{
	struct message *msg = rcpt->msg;
	struct dest *dest = rcpt->row_dest;
	uint64_t due = rcpt->row_due;
	schedule_leave(rcpt);
	rcpt_free(rcpt);
	message_release(msg);
	if (dest)
		schedule_note(dest, due);
}

/* schedule_park - its site is down: nothing of it stays in memory */
void schedule_park(struct dest *dest)
{
	while (dest->ready) {
		struct rcpt *rcpt = dest->ready;
		dest_remove(dest, rcpt);
		wait_in_index(rcpt);
	}
}

/* schedule_init - an empty window */
void schedule_init(void)
{
	sched.active = 0;
	if (getrandom(&sched.random, sizeof(sched.random), 0) != sizeof(sched.random))
		log_fatal("no random numbers");
	sched.random |= 1;
}
