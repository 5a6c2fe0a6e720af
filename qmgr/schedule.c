/* SPDX-License-Identifier: ISC */
/*
 * Everything that changes a recipient's place goes through schedule_place() and wait_in_index(), so
 * the window's count can't be forgotten. Reading back from the index is qmgr/refill.c.
 */
#include "qmgr/schedule.h"

#include <string.h>
#include <sys/random.h>

#include "lib/child.h"
#include "lib/log.h"
#include "qmgr/alarm.h"
#include "qmgr/batch.h"
#include "qmgr/claims.h"
#include "qmgr/class.h"
#include "qmgr/dest.h"
#include "qmgr/expand.h"
#include "qmgr/message.h"
#include "qmgr/now.h"
#include "qmgr/poison.h"
#include "qmgr/settle.h"
#include "qmgr/trace.h"

static struct {
	unsigned active; /* recipients in the window */
	/*
	 * Those of a destination's lane, at a place its hash says. Where two share a place, each
	 * seems to have what both have, and finds less room.
	 */
	uint16_t share[1 << 16];
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
	return when >= rcpt->msg->arrival_ms + class_lifetime(rcpt->class);
}

/* schedule_active - recipients in the window */
unsigned schedule_active(void)
{
	return sched.active;
}

/* -- the window */

/* share_of - the place in the table of a destination's lane */
static uint16_t *share_of(const struct dest *dest, uint32_t lane)
{
	uint64_t x = ((uint64_t)dest->hh.hashv << 32 | lane) * UINT64_C(0x9e3779b97f4a7c15);
	return &sched.share[x >> 48];
}

/* schedule_full - nobody gets in */
bool schedule_full(void)
{
	return sched.active >= WINDOW_ALL + WINDOW_SPARE;
}

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

/* schedule_spare - what is left beyond that for senders who have few */
unsigned schedule_spare(const struct dest *dest)
{
	const unsigned all = WINDOW_ALL + WINDOW_SPARE, one = WINDOW_DEST + WINDOW_SPARE_DEST;
	unsigned left = sched.active < all ? all - sched.active : 0;
	unsigned here = dest->nactive < one ? one - dest->nactive : 0;
	return left < here ? left : here;
}

/*
 * schedule_few - how many the lane may have in memory whatever others have. Lanes share places in
 * the table, but one has no more than its destination: that is only looked at again when one of
 * its own leaves, so it must not wait for another one's.
 */
unsigned schedule_few(const struct dest *dest, uint32_t lane)
{
	uint32_t n = *share_of(dest, lane);
	if (n > dest->nactive)
		n = dest->nactive;
	unsigned few = n < WINDOW_FEW ? WINDOW_FEW - n : 0u, spare = schedule_spare(dest);
	return few < spare ? few : spare;
}

/* schedule_lane_room - recipients of the lane that may come in */
unsigned schedule_lane_room(const struct dest *dest, uint32_t lane)
{
	unsigned room = schedule_room(dest);
	return room ? room : schedule_few(dest, lane);
}

/* enter - a place in the window */
static void enter(struct rcpt *rcpt)
{
	if (rcpt->windowed)
		return;
	rcpt->windowed = true;
	rcpt->dest->nactive++;
	++*share_of(rcpt->dest, rcpt->lane);
	sched.active++;
}

/* more_wanted - whether what has left makes room that somebody in the index waits for */
static bool more_wanted(struct dest *dest, uint32_t lane, uint16_t left)
{
	if (dest->index_due > now_ms())
		return false;
	if (left == 0 || left == WINDOW_FEW / 2)
		dest->few |= dest->notes || walk_find(&dest->walk, lane);
	return dest->nready < REFILL_LOW || dest->few || dest->walk.sweeping;
}

/* schedule_leave - its place is free */
void schedule_leave(struct rcpt *rcpt)
{
	if (!rcpt->windowed)
		return;
	struct dest *dest = rcpt->dest;
	rcpt->windowed = false;
	dest->nactive--;
	uint16_t left = --*share_of(dest, rcpt->lane);
	sched.active--;
	if (more_wanted(dest, rcpt->lane, left))
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
	bool known = rcpt->rowed && rcpt->write == WRITE_CLEAN &&
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
	if (rcpt_set_aside(rcpt) || rcpt->due_ms > now_ms()) {
		wait_in_index(rcpt);
		return;
	}
	if (dest_parked(dest) || (!rcpt->windowed && !schedule_lane_room(dest, rcpt->lane))) {
		trace_parked(rcpt);
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
	uint32_t lane = rcpt->row_lane;
	schedule_leave(rcpt);
	rcpt_free(rcpt);
	message_release(msg);
	if (dest)
		schedule_note(dest, lane, due);
}

/* schedule_park - its site is down: nothing of it stays in memory */
void schedule_park(struct dest *dest)
{
	alarm_off(&dest->timer); /* whoever ends that looks at it: dest_unbind(), site_opened() */
	while (dest->ready) {
		struct rcpt *rcpt = dest->ready;
		dest_remove(dest, rcpt);
		trace_parked(rcpt);
		wait_in_index(rcpt);
	}
}

/* schedule_init - an empty window */
void schedule_init(void)
{
	memset(&sched, 0, sizeof(sched));
	if (getrandom(&sched.random, sizeof(sched.random), 0) != sizeof(sched.random))
		log_fatal("no random numbers");
	sched.random |= 1;
}
