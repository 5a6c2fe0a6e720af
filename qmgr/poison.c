/* SPDX-License-Identifier: ISC */
/*
 * A table by message ID. Suspects whose recipients wait for their turn stand in a line; one that is
 * somewhere else (parked, deferred in the index) stands nowhere and joins the line when it is
 * placed again.
 */
#include "qmgr/poison.h"

#include <stdlib.h>

#include "lib/hash.h"
#include "lib/log.h"
#include "lib/loop.h"
#include "qmgr/batch.h"
#include "qmgr/dispatch.h"
#include "qmgr/links.h"
#include "qmgr/message.h"
#include "qmgr/now.h"
#include "qmgr/route.h"
#include "qmgr/schedule.h"
#include "qmgr/settle.h"

struct suspect {
	uint64_t id;
	bool condemned;
	bool in_line;
	struct rcpt *held;           /* RCPT_SUSPECT */
	struct suspect *next, *prev; /* of the line */
	UT_hash_handle hh;
};

static struct {
	struct suspect *table;
	struct suspect *line, *turn; /* who waits; whose turn it is */
	struct event *timer;         /* the end of a turn */
	/* of the worker that is being judged */
	const struct job **seen;
	size_t nseen, room;
} p;

static void next_turn(void);

/* find - by message */
static struct suspect *find(uint64_t id)
{
	struct suspect *s;
	HASH_FIND(hh, p.table, &id, sizeof(id), s);
	return s;
}

/* make_room - where there are too many, the oldest that holds nobody is forgotten */
static bool make_room(void)
{
	struct suspect *s, *tmp;
	if (HASH_COUNT(p.table) < POISON_SUSPECTS)
		return true;
	HASH_ITER (hh, p.table, s, tmp) {
		if (s->held || s == p.turn)
			continue;
		HASH_DELETE(hh, p.table, s);
		free(s);
		return true;
	}
	return false;
}

/* add - one more */
static void add(uint64_t id)
{
	if (find(id) || !make_room())
		return;
	struct suspect *s = calloc(1, sizeof(*s));
	if (!s)
		log_fatal("out of memory for a suspect");
	s->id = id;
	HASH_ADD(hh, p.table, id, sizeof(s->id), s);
	if (!hash_added(s))
		log_fatal("out of memory for a suspect");
}

/* place_held - its recipients go where they belong now */
static void place_held(struct suspect *s)
{
	while (s->held) {
		struct rcpt *rcpt = s->held;
		DL_DELETE(s->held, rcpt);
		rcpt_enter(rcpt, RCPT_NEW);
		schedule_place(rcpt);
	}
}

/* leave_line - it waits for nothing any more */
static void leave_line(struct suspect *s)
{
	if (s->in_line)
		DL_DELETE(p.line, s);
	s->in_line = false;
}

/* drop - nobody suspects it any more; who it held goes on */
static void drop(struct suspect *s)
{
	struct suspect gone = *s;
	leave_line(s);
	HASH_DELETE(hh, p.table, s);
	if (p.turn == s)
		p.turn = NULL;
	free(s);
	place_held(&gone);
}

/* on_timer - a turn is over, whatever became of it */
static void on_timer(evutil_socket_t fd, short what, void *arg)
{
	(void)fd, (void)what, (void)arg;
	p.turn = NULL;
	next_turn();
}

/* arm - the timer of turns */
static void arm(time_t ms)
{
	if (!p.timer && !(p.timer = evtimer_new(loop_base(), on_timer, NULL)))
		log_fatal("out of memory for a timer");
	event_add(p.timer, &(struct timeval){.tv_sec = ms / 1000});
}

/* next_turn - the first of the line, if it is nobody's turn */
static void next_turn(void)
{
	if (p.turn || !p.line)
		return;
	p.turn = p.line;
	leave_line(p.turn);
	arm(POISON_TURN_MS);
	place_held(p.turn);
}

/* set_aside - for good, until somebody releases it */
static void set_aside(struct rcpt *rcpt)
{
	static const char why[] = "its handling ended a worker twice";
	log_text(LOG_ERROR, rcpt->msg->id, "to %s: %s; set aside as poison", rcpt->address, why);
	schedule_leave(rcpt);
	rcpt->was = rcpt->stage;
	rcpt->stage = STAGE_POISON;
	if (rcpt->was == STAGE_MAIL) /* a notice needs the words that it is to tell */
		rcpt_set_trouble(rcpt, 0, msg_str("4.3.0"), msg_str(""), msg_str(why));
	rcpt_enter(rcpt, RCPT_WAITING);
	batch_rcpt(rcpt);
	batch_write_message(rcpt->msg);
}

/* poison_hold - is it suspected, and not its turn? */
bool poison_hold(struct rcpt *rcpt)
{
	struct suspect *s = p.table ? find(rcpt->msg->id) : NULL;
	if (!s || s == p.turn)
		return false;
	if (s->condemned) {
		set_aside(rcpt);
		return true;
	}
	rcpt_enter(rcpt, RCPT_SUSPECT);
	DL_APPEND(s->held, rcpt);
	if (!s->in_line)
		DL_APPEND(p.line, s);
	s->in_line = true;
	if (!p.turn)
		arm(0); /* when all have come back that the worker had */
	return true;
}

/* poison_cleared - it came back */
void poison_cleared(const struct message *msg)
{
	struct suspect *s = p.table ? find(msg->id) : NULL;
	if (!s || s->condemned)
		return;
	drop(s);
	next_turn();
}

/* poison_forget - out of the line */
void poison_forget(struct rcpt *rcpt)
{
	struct suspect *s = find(rcpt->msg->id);
	DL_DELETE(s->held, rcpt);
	if (!s->held)
		leave_line(s);
	rcpt_enter(rcpt, RCPT_NEW);
}

/* poison_release - a person says so */
void poison_release(struct rcpt *rcpt)
{
	struct suspect *s = find(rcpt->msg->id);
	if (s)
		drop(s);
	rcpt->stage = rcpt->was;
	rcpt->due_ms = now_ms();
	rcpt_enter(rcpt, RCPT_NEW);
	batch_rcpt(rcpt);
	route_rcpt(rcpt);
}

/* -- a worker's end */

/* poison_seen - the jobs it may have begun: no connection has more than its window */
void poison_seen(const struct conn *conn)
{
	const struct job *job;
	DL_FOREACH (conn->jobs, job) {
		if (p.nseen == p.room) {
			p.room = p.room ? p.room * 2 : 64;
			p.seen = realloc(p.seen, p.room * sizeof(*p.seen));
			if (!p.seen)
				log_fatal("out of memory for suspects");
		}
		p.seen[p.nseen++] = job;
	}
}

/* last_suspect - the one among them that was given out last */
static struct suspect *last_suspect(void)
{
	struct suspect *last = NULL;
	uint64_t at = 0;
	for (size_t i = 0; i < p.nseen; i++) {
		struct suspect *s = p.table ? find(p.seen[i]->msg->id) : NULL;
		if (!s || p.seen[i]->sent_ms < at)
			continue;
		last = s;
		at = p.seen[i]->sent_ms;
	}
	return last;
}

/* poison_judge - one is condemned, or all are suspects */
void poison_judge(const struct worker *worker)
{
	struct suspect *s = last_suspect();
	if (s) {
		log_text(LOG_WARN, s->id, "deliver/%u ended over it again", worker->instance);
		s->condemned = true;
		leave_line(s);
		if (p.turn == s)
			p.turn = NULL;
		place_held(s);
		next_turn();
	} else if (p.nseen) {
		log_warnx("deliver/%u ended with %zu jobs in hand; they are given out singly",
		    worker->instance, p.nseen);
		for (size_t i = 0; i < p.nseen; i++)
			add(p.seen[i]->msg->id);
	}
	p.nseen = 0;
}
