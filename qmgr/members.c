/* SPDX-License-Identifier: ISC */
/*
 * A table of what the message has is made for each expansion: a list of 100,000 must not be walked
 * for each of its members.
 */
#include "qmgr/members.h"

#include <event2/event.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/addr_param.h"
#include "lib/clock.h"
#include "lib/envelope.h"
#include "lib/hash.h"
#include "lib/job.h"
#include "lib/log.h"
#include "lib/loop.h"
#include "lib/str.h"
#include "qmgr/batch.h"
#include "qmgr/donelist.h"
#include "qmgr/ended.h"
#include "qmgr/expand.h"
#include "qmgr/member.h"
#include "qmgr/message.h"
#include "qmgr/recall.h"
#include "qmgr/route.h"
#include "qmgr/settle.h"

/* What the message has already. */
struct known {
	uint64_t key;
	UT_hash_handle hh;
};

/* What an expansion does now. */
enum take_phase {
	TAKE_ADDING,    /* members */
	TAKE_WRITING,   /* those so far, then more of them, or the end of what they stand for */
	TAKE_RELEASING, /* members go their way */
	TAKE_FORGETTING /* the table */
};

/* One expansion. */
struct take {
	enum take_phase phase;
	struct rcpt *of;
	struct message *msg; /* lives as long as members are held */
	const struct members_list *list;
	size_t pos; /* in the list */
	const struct recall *others;
	const char *user; /* NULL: an alias */
	const char *domain;
	struct rcpt *held;   /* members that nobody may have yet */
	unsigned unwritten;  /* of them: since the last transaction that was waited for */
	bool sliced;         /* it didn't fit into one turn */
	bool ended;          /* `of` has */
	int64_t until;       /* of the slice, clock_us() */
	struct event *timer; /* the next slice */
	struct batch_wait wait;
	members_done *done;
	void *arg;
	char sender[KEYS_SENDER_MAX]; /* of the members, "" as before */
	bool several;
	struct known *known;
	unsigned members, added, looped, over, bad;
};

/* know - one more; false when it was there */
static bool know(struct take *t, uint64_t key)
{
	struct known *k;
	HASH_FIND(hh, t->known, &key, sizeof(key), k);
	if (k)
		return false;
	k = calloc(1, sizeof(*k));
	if (!k)
		log_fatal("out of memory for members");
	k->key = key;
	HASH_ADD(hh, t->known, key, sizeof(k->key), k);
	if (!hash_added(k))
		log_fatal("out of memory for members");
	return true;
}

/* is_over - whether the slice has had its time; asked once in a few steps */
static bool is_over(const struct take *t, unsigned step)
{
	return step % 64 == 63 && clock_us() >= t->until;
}

/* forget - some of the table; true: all of it */
static bool forget(struct take *t)
{
	struct known *k, *tmp;
	unsigned step = 0;
	HASH_ITER (hh, t->known, k, tmp) {
		HASH_DEL(t->known, k);
		free(k);
		if (is_over(t, step++))
			return !t->known;
	}
	return true;
}

/* know_message - all that it has */
static void know_message(struct take *t)
{
	const struct rcpt *rcpt;
	struct msg_bytes address;
	char text[MEMBER_SIZE];
	uint8_t flags;
	size_t pos = 0;
	DL_FOREACH2(t->of->msg->rcpts, rcpt, sib_next)
	{
		know(t, member_key(rcpt));
	}
	while (t->others && recall_next(t->others, &pos, &address, &flags)) {
		if (str_copy_n(text, sizeof(text), address.data, address.len) == 0)
			know(t, member_key_of(
				    text, flags & RCPTF_ENTRY || member_is_local(t->of, text)));
	}
}

/* is_ancestor - whether it is what led here, as far as is known */
static bool is_ancestor(const struct rcpt *of, uint64_t key)
{
	uint64_t other = member_key(of);
	uint32_t parent = of->parent;
	for (unsigned n = 0; n <= EXPAND_DEPTH_MAX && key != other; n++) {
		const struct rcpt *up = parent == UINT32_MAX ? NULL : rcpt_find(of->msg, parent);
		if (up) {
			other = member_key(up);
			parent = up->parent;
		} else if (!ended_find(of->msg->id, parent, &other, &parent)) {
			return false;
		}
	}
	return key == other;
}

/*
 * inherit - DSN options of an alias (RFC 3461 §5.2.7.2 and 3): ORCPT is the address that the sender
 * gave; one of several members reports no success, the alias has done so. With a sender of their
 * own (§5.2.7.4) members have none of them.
 */
static void inherit(struct rcpt *rcpt, const struct rcpt *of, const struct take *t)
{
	char orcpt[1024] = "rfc822;";
	rcpt->flags |= of->flags & RCPTF_WARNED;
	if (t->sender[0]) {
		rcpt_set_sender(rcpt, msg_str(t->sender));
		return;
	}
	rcpt_set_sender(rcpt, msg_str(of->sender ? of->sender : ""));
	rcpt->notify = of->notify;
	if (t->several && rcpt->notify & NOTIFY_SUCCESS) {
		rcpt->notify &= (uint8_t)~NOTIFY_SUCCESS;
		if (!rcpt->notify)
			rcpt->notify = NOTIFY_NEVER;
	}
	struct msg_bytes shown = member_shown(of);
	if (of->orcpt)
		rcpt_set_orcpt(rcpt, msg_str(of->orcpt));
	else if (addr_xtext_encode(shown.data, shown.len, orcpt + 7, sizeof(orcpt) - 7) > 0)
		rcpt_set_orcpt(rcpt, msg_str(orcpt));
}

/* make - the recipient */
static void make(struct take *t, const char *address, bool entry)
{
	struct rcpt *of = t->of;
	struct rcpt *rcpt = rcpt_new(of->msg, of->msg->next_number, msg_str(address));
	if (!rcpt)
		log_fatal("out of memory for a recipient");
	rcpt->parent = of->number;
	rcpt->depth = (uint8_t)(of->depth + 1);
	rcpt->class = of->class;
	rcpt->lane = of->lane;
	if (entry)
		rcpt_set_entry(rcpt);
	inherit(rcpt, of, t);
	route_assign(rcpt);
	rcpt_enter(rcpt, RCPT_COMMITTING);
	rcpt->held = true;
	DL_APPEND(t->held, rcpt);
	batch_rcpt(rcpt);
	batch_message(of->msg); /* its count and its rows are one transaction */
	t->added++;
	t->unwritten++;
}

/* add - one member, unless the message has it */
static void add(struct take *t, struct msg_bytes member)
{
	const struct message *msg = t->of->msg;
	char address[MEMBER_SIZE];
	t->members++;
	if (!member_address(t->of, t->user, member, address)) {
		t->bad++;
		return;
	}
	bool entry = address[0] == '|';
	uint64_t key = member_key_of(address, entry || member_is_local(t->of, address));
	if (!know(t, key) || ended_has(msg->id, key)) {
		t->looped += is_ancestor(t->of, key);
		return;
	}
	if (donelist_has_rcpt(msg->segment, msg->offset, msg_str(address)) ||
	    (t->others && recall_ended(t->others, msg_str(address))))
		return;
	if (msg->next_number >= ENVELOPE_RCPTS_MAX)
		t->over++;
	else
		make(t, address, entry);
}

/* set_sender - the owner, for what isn't itself a report */
static void set_sender(struct take *t, struct msg_bytes owner)
{
	if (!owner.len || !rcpt_sender(t->of)[0])
		return;
	int n = snprintf(t->sender, sizeof(t->sender), "%.*s%s%s", (int)owner.len, owner.data,
	    t->domain[0] ? "@" : "", t->domain);
	if (n < 0 || (size_t)n >= sizeof(t->sender))
		t->sender[0] = '\0';
}

/* is_several - whether the list has more than one member */
static bool is_several(struct msg_bytes members)
{
	struct msg_bytes member;
	size_t pos = 0;
	return job_next_text(members, &pos, &member) == 1 &&
	       job_next_text(members, &pos, &member) == 1;
}

/* warn - of what was left out */
static void warn(const struct take *t)
{
	const struct message *msg = t->of->msg;
	if (t->over)
		log_text(LOG_WARN, msg->id, "%u members of %s are too many for one message",
		    t->over, t->of->address);
	if (t->bad)
		log_text(
		    LOG_WARN, msg->id, "%u members of %s are no addresses", t->bad, t->of->address);
}

/* let_go - a member is anybody's: now, or when its row is written */
static void let_go(struct take *t, struct rcpt *rcpt)
{
	DL_DELETE(t->held, rcpt);
	rcpt->held = false;
	if (rcpt->write != WRITE_CLEAN)
		return;
	rcpt_enter(rcpt, RCPT_NEW);
	route_rcpt(rcpt);
}

/* let_some_go - as many as the slice has time for; true: all */
static bool let_some_go(struct take *t)
{
	for (unsigned step = 0; t->held; step++) {
		if (is_over(t, step))
			return false;
		let_go(t, t->held);
	}
	return true;
}

/* pass_order - what a tool ordered of the one they stand for, it orders of them */
static void pass_order(struct take *t)
{
	struct rcpt *rcpt;
	DL_FOREACH (t->held, rcpt) {
		if (rcpt->order)
			continue;
		rcpt->order = t->of->order;
		batch_rcpt(rcpt);
	}
	t->of->order = ORDER_NONE;
}

/* end_of - the members have taken its place, or there are none */
static void end_of(struct take *t)
{
	struct rcpt *of = t->of;
	warn(t);
	if (t->sliced) {
		of->held = false;
		rcpt_enter(of, RCPT_NEW);
	}
	if (t->sliced && of->order && t->added)
		pass_order(t);
	if (t->sliced && of->order && settle_ordered(of))
		return;
	if (!t->added && t->looped) {
		settle_failed(of, 554, "5.4.6", "", "alias or .forward leads back to itself");
	} else if (!t->members || t->bad == t->members) {
		settle_failed(of, 554, "5.2.4", "", "the list has no members");
	} else {
		batch_message(of->msg);
		batch_write_message(of->msg);
		settle_expanded(of, t->several);
	}
}

/* add_some - as many members as the slice has time for; true: all */
static bool add_some(struct take *t)
{
	struct msg_bytes member;
	for (unsigned step = 0; t->unwritten < MEMBERS_ROWS; step++) {
		if (is_over(t, step))
			return false;
		if (job_next_text(t->list->members, &t->pos, &member) != 1)
			return true;
		add(t, member);
	}
	return false;
}

/* pause_take - it takes more than a turn: `of` is nobody's meanwhile */
static void pause_take(struct take *t)
{
	if (t->sliced)
		return;
	t->sliced = true;
	rcpt_enter(t->of, RCPT_COMMITTING);
	t->of->held = true;
}

static void slice(struct take *t);

/* on_timer - the loop has served others meanwhile */
static void on_timer(evutil_socket_t fd, short what, void *arg)
{
	(void)fd, (void)what;
	slice(arg);
}

/* on_written - a transaction is through */
static void on_written(struct batch_wait *wait)
{
	struct take *t = (struct take *)((char *)wait - offsetof(struct take, wait));
	t->phase = t->ended ? TAKE_RELEASING : TAKE_ADDING;
	slice(t);
}

/* write_first - go on when what was made so far is in the index */
static void write_first(struct take *t)
{
	t->phase = TAKE_WRITING;
	t->unwritten = 0;
	batch_write_message(t->msg);
	t->wait.done = on_written;
	batch_wait(&t->wait, false);
}

/* adding - the members, then the end of what they stand for */
static void adding(struct take *t)
{
	if (!add_some(t)) {
		pause_take(t);
		if (t->unwritten >= MEMBERS_ROWS)
			write_first(t);
		return;
	}
	bool any = t->added > 0;
	t->ended = true;
	end_of(t);
	if (t->sliced && any) {
		write_first(t);
		return;
	}
	/* all in one turn: the transaction to come has them and the end of what they stand for */
	while (t->held) {
		struct rcpt *rcpt = t->held;
		DL_DELETE(t->held, rcpt);
		rcpt->held = false;
	}
	t->phase = TAKE_FORGETTING;
}

/* finish - nothing is left to do */
static void finish(struct take *t)
{
	members_done *done = t->done;
	void *arg = t->arg;
	recall_free(t->others);
	event_free(t->timer);
	free(t);
	done(arg);
}

/* slice - some milliseconds of an expansion */
static void slice(struct take *t)
{
	t->until = clock_us() + MEMBERS_SLICE_MS * 1000;
	if (t->phase == TAKE_ADDING)
		adding(t);
	if (t->phase == TAKE_RELEASING && let_some_go(t))
		t->phase = TAKE_FORGETTING;
	if (t->phase == TAKE_FORGETTING && forget(t))
		finish(t);
	else if (t->phase != TAKE_WRITING)
		event_add(t->timer, &(struct timeval){0});
}

/* members_take - begin with what the message has */
void members_take(struct rcpt *of, const struct members_list *list, members_done *done, void *arg)
{
	if (of->depth >= EXPAND_DEPTH_MAX) {
		settle_failed(of, 554, "5.4.6", "", "aliases are nested too deeply");
		recall_free(list->others);
		done(arg);
		return;
	}
	struct take *t = calloc(1, sizeof(*t));
	if (!t || !(t->timer = evtimer_new(loop_base(), on_timer, t)))
		log_fatal("out of memory for members");
	t->of = of;
	t->msg = of->msg;
	t->list = list;
	t->others = list->others;
	t->user = list->user;
	t->domain = member_domain(of);
	t->done = done;
	t->arg = arg;
	set_sender(t, msg_str(list->owner));
	t->several = is_several(list->members) || t->sender[0];
	know_message(t);
	slice(t);
}
