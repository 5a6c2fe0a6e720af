/* SPDX-License-Identifier: ISC */
/*
 * One allocation a message, one a recipient: their text lies behind them. The table of messages is
 * by ID, since that is what rows of the index and the tools name.
 */
#include "qmgr/message.h"

#include <stdlib.h>
#include <string.h>

#include "lib/counters.h"
#include "lib/log.h"
#include "lib/record.h"
#include "qmgr/class.h"
#include "qmgr/dest.h"
#include "qmgr/now.h"
#include "qmgr/segments.h"

static struct message *table;
static unsigned rcpts_in_memory;
static struct rcpt *found; /* by rcpt_find(), NULL: none, or it is gone */
static unsigned young;     /* messages without rows */

static const char *const state_names[RCPT_STATES] = {
    [RCPT_NEW] = "new",
    [RCPT_EXPANDING] = "expanding",
    [RCPT_COMMITTING] = "committing",
    [RCPT_READY] = "ready",
    [RCPT_BLOCKED] = "blocked",
    [RCPT_OPENING] = "opening",
    [RCPT_FLYING] = "flying",
    [RCPT_CLAIMED] = "claimed",
    [RCPT_WAITING] = "waiting",
    [RCPT_DONE] = "done",
    [RCPT_SUSPECT] = "suspect",
};

/* rcpt_state_name - for logs */
const char *rcpt_state_name(unsigned state)
{
	return state < RCPT_STATES ? state_names[state] : "?";
}

/* copy_text - a C string of counted bytes; NULL for none */
static char *copy_text(struct msg_bytes text)
{
	if (!text.data || !text.len)
		return NULL;
	char *copy = malloc(text.len + 1);
	if (!copy)
		log_fatal("out of memory");
	memcpy(copy, text.data, text.len);
	copy[text.len] = '\0';
	return copy;
}

/* message_new - into the table */
struct message *message_new(uint64_t id, struct segment *segment, struct msg_bytes sender)
{
	if (message_find(id))
		return NULL;
	struct message *msg = calloc(1, sizeof(*msg) + sender.len + 1);
	if (!msg)
		return NULL;
	msg->id = id;
	msg->segment = segment;
	msg->uid = UINT32_MAX;
	memcpy(msg->sender, sender.data, sender.len);
	HASH_ADD(hh, table, id, sizeof(msg->id), msg);
	if (!hash_added(msg)) {
		free(msg);
		return NULL;
	}
	segment->in_memory++;
	young++;
	return msg;
}

/* message_find - by ID */
struct message *message_find(uint64_t id)
{
	struct message *msg;
	HASH_FIND(hh, table, &id, sizeof(id), msg);
	return msg;
}

/* message_load - of its row */
struct message *message_load(uint64_t id, struct segment *segment, const struct row_msg *row)
{
	struct message *msg = message_new(id, segment, row->sender);
	if (!msg)
		return NULL;
	msg->offset = row->offset;
	msg->body_at = row->body_at;
	msg->body_len = row->body_len;
	msg->plain_len = row->plain_len;
	msg->arrival_ms = row->arrival_ms;
	msg->took_ms = row->took_ms;
	msg->lag_ms = row->lag_ms;
	msg->late_len = row->late_len;
	msg->flags = row->flags;
	msg->ret = row->ret;
	msg->left = row->left;
	msg->next_number = row->next;
	message_rowed(msg);
	message_set_envid(msg, row->envid);
	message_set_owner(msg, row->uid, row->user);
	return msg;
}

/* message_rowed - it isn't young any more */
void message_rowed(struct message *msg)
{
	young -= !msg->rowed;
	msg->rowed = true;
}

/* message_young - how many are */
unsigned message_young(void)
{
	return young;
}

/* message_record_len - header to trailer */
uint64_t message_record_len(const struct message *msg)
{
	return msg->body_at + msg->body_len + msg->late_len + RECORD_TRAILER - msg->offset;
}

/* message_set_envid - RFC 3461 */
void message_set_envid(struct message *msg, struct msg_bytes envid)
{
	free(msg->envid);
	msg->envid = copy_text(envid);
}

/* message_set_owner - part of a name would be another's */
void message_set_owner(struct message *msg, uint32_t uid, struct msg_bytes user)
{
	msg->uid = uid;
	free(msg->user);
	msg->user = uid == UINT32_MAX && user.len <= KEYS_USER_MAX ? copy_text(user) : NULL;
}

/* message_row - as the index keeps it */
void message_row(const struct message *msg, struct row_msg *row)
{
	*row = (struct row_msg){.segment = msg->segment->name,
	    .offset = msg->offset,
	    .body_at = msg->body_at,
	    .body_len = msg->body_len,
	    .plain_len = msg->plain_len,
	    .arrival_ms = msg->arrival_ms,
	    .took_ms = msg->took_ms,
	    .lag_ms = msg->lag_ms,
	    .late_len = msg->late_len,
	    .flags = msg->flags,
	    .ret = msg->ret,
	    .left = msg->left,
	    .next = msg->next_number,
	    .sender = msg_str(msg->sender),
	    .envid = msg_str(msg->envid ? msg->envid : ""),
	    .uid = msg->uid,
	    .user = msg_str(msg->user ? msg->user : "")};
}

/* message_release - free what nothing needs */
bool message_release(struct message *msg)
{
	if (msg->rcpts || msg->write != WRITE_CLEAN || (!msg->rowed && msg->left))
		return false;
	struct segment *segment = msg->segment;
	HASH_DELETE(hh, table, msg);
	segment->in_memory--;
	young -= !msg->rowed;
	free(msg->envid);
	free(msg->user);
	free(msg);
	segment_unused(segment);
	return true;
}

/* message_count - in memory */
unsigned message_count(void)
{
	return HASH_COUNT(table);
}

/* rcpt_count - in memory */
unsigned rcpt_count(void)
{
	return rcpts_in_memory;
}

/* new_rcpt - linked to its message; not counted */
static struct rcpt *new_rcpt(struct message *msg, uint32_t number, struct msg_bytes address)
{
	if (address.len > UINT16_MAX)
		return NULL;
	struct rcpt *rcpt = calloc(1, sizeof(*rcpt) + address.len + 1);
	if (!rcpt)
		return NULL;
	rcpt->msg = msg;
	rcpt->number = number;
	rcpt->parent = UINT32_MAX;
	rcpt->class = class_normal();
	rcpt->address_len = (uint16_t)address.len;
	memcpy(rcpt->address, address.data, address.len);
	DL_APPEND2(msg->rcpts, rcpt, sib_prev, sib_next);
	rcpts_in_memory++;
	return rcpt;
}

/* rcpt_new - one more living recipient */
struct rcpt *rcpt_new(struct message *msg, uint32_t number, struct msg_bytes address)
{
	struct rcpt *rcpt = new_rcpt(msg, number, address);
	if (!rcpt)
		return NULL;
	msg->left++;
	if (number >= msg->next_number)
		msg->next_number = number + 1;
	rcpt->due_ms = now_ms();
	counter_add(C_queue_recipients, 1);
	return rcpt;
}

/* rcpt_set_aside - no time will make it due */
bool rcpt_set_aside(const struct rcpt *rcpt)
{
	return stage_aside(rcpt->stage) || rcpt->order == ORDER_HOLD;
}

/* rcpt_load - of its row; it lived all the time */
struct rcpt *rcpt_load(struct message *msg, uint32_t number, const struct row_rcpt *row)
{
	struct rcpt *rcpt = new_rcpt(msg, number, row->address);
	if (!rcpt)
		return NULL;
	rcpt->stage = row->stage;
	rcpt->was = row->was;
	rcpt->depth = row->depth;
	rcpt->notify = row->notify;
	rcpt->order = row->order;
	rcpt->flags = row->flags;
	rcpt->attempts = row->attempts;
	rcpt->parent = row->parent;
	rcpt->due_ms = row->due_ms;
	rcpt->lane = row->lane;
	rcpt->class = class_named(row->class_name);
	rcpt->orcpt = copy_text(row->orcpt);
	rcpt->sender = copy_text(row->sender);
	if (rcpt->flags & RCPTF_ENTRY)
		rcpt_set_entry(rcpt);
	rcpt->rowed = true;
	if (row->status.len || row->text.len)
		rcpt_set_trouble(rcpt, row->code, row->status, row->host, row->text);
	if (rcpt->trouble)
		rcpt->trouble->at_ms = row->tried_ms;
	if (!rcpt_set_aside(rcpt)) {
		rcpt->row_dest = dest_get(row->dest.data, row->dest.len);
		rcpt->row_dest->refs++;
		rcpt->row_due = row->due_ms;
		rcpt->row_lane = row->lane;
	}
	return rcpt;
}

/* rcpt_find - rows come in order: it is mostly the one behind the last that was found */
struct rcpt *rcpt_find(const struct message *msg, uint32_t number)
{
	struct rcpt *rcpt = found && found->msg == msg ? found : NULL;
	if (rcpt && rcpt->number < number)
		rcpt = rcpt->sib_next;
	if (!rcpt || rcpt->number != number)
		DL_SEARCH_SCALAR2(msg->rcpts, rcpt, number, number, sib_next);
	found = rcpt ? rcpt : found;
	return rcpt;
}

/* rcpt_enter - from which state which other may be entered is checked here */
void rcpt_enter(struct rcpt *rcpt, enum rcpt_state state)
{
	if (rcpt->state == RCPT_DONE)
		log_bug("a recipient goes from done to %s", rcpt_state_name(state));
	rcpt->state = (uint8_t)state;
}

/* rcpt_set_trouble - keep the peer's words */
void rcpt_set_trouble(struct rcpt *rcpt, uint16_t code, struct msg_bytes status,
    struct msg_bytes host, struct msg_bytes text)
{
	struct trouble *t = malloc(sizeof(*t) + status.len + host.len + text.len + 3);
	if (!t)
		log_fatal("out of memory");
	char *at = t->data;
	const struct msg_bytes parts[3] = {status, host, text};
	const char **to[3] = {&t->status, &t->host, &t->text};
	t->at_ms = now_ms();
	t->code = code;
	for (int i = 0; i < 3; i++) {
		*to[i] = at;
		if (parts[i].len)
			memcpy(at, parts[i].data, parts[i].len);
		at += parts[i].len;
		*at++ = '\0';
	}
	free(rcpt->trouble); /* last: the parts may point into it */
	rcpt->trouble = t;
}

/* rcpt_set_orcpt - replaces what was there */
void rcpt_set_orcpt(struct rcpt *rcpt, struct msg_bytes orcpt)
{
	char *copy = copy_text(orcpt);
	free(rcpt->orcpt);
	rcpt->orcpt = copy;
}

/* rcpt_row - as the index keeps it */
void rcpt_row(const struct rcpt *rcpt, struct row_rcpt *row)
{
	*row = (struct row_rcpt){.stage = rcpt->stage,
	    .was = rcpt->was,
	    .depth = rcpt->depth,
	    .notify = rcpt->notify,
	    .order = rcpt->order,
	    .flags = rcpt->flags,
	    .attempts = rcpt->attempts,
	    .parent = rcpt->parent,
	    .lane = rcpt->lane,
	    .due_ms = rcpt->due_ms,
	    .class_name = msg_str(rcpt->class->name),
	    .address = {.data = rcpt->address, .len = rcpt->address_len},
	    .orcpt = msg_str(rcpt->orcpt ? rcpt->orcpt : ""),
	    .sender = msg_str(rcpt->sender ? rcpt->sender : "")};
	if (rcpt->dest && !stage_aside(rcpt->stage))
		row->dest = msg_str(rcpt->dest->name);
	if (rcpt->trouble) {
		row->code = rcpt->trouble->code;
		row->tried_ms = rcpt->trouble->at_ms;
		row->status = msg_str(rcpt->trouble->status);
		row->host = msg_str(rcpt->trouble->host);
		row->text = msg_str(rcpt->trouble->text);
	}
}

/* rcpt_sender - its own, or the message's */
const char *rcpt_sender(const struct rcpt *rcpt)
{
	return rcpt->sender ? rcpt->sender : rcpt->msg->sender;
}

/* rcpt_set_sender - replaces what was there */
void rcpt_set_sender(struct rcpt *rcpt, struct msg_bytes sender)
{
	char *copy = copy_text(sender);
	free(rcpt->sender);
	rcpt->sender = copy;
}

/* rcpt_set_entry - the address names it among those that wait for the same */
void rcpt_set_entry(struct rcpt *rcpt)
{
	rcpt->flags |= RCPTF_ENTRY;
	rcpt->user = copy_text(msg_bytes(rcpt->address, rcpt->address_len));
}

/* rcpt_due_known - its due key is as it would be written */
bool rcpt_due_known(const struct rcpt *rcpt)
{
	return rcpt->row_dest == rcpt->dest && rcpt->row_due == rcpt->due_ms &&
	       rcpt->row_lane == rcpt->lane;
}

/* rcpt_free - nothing points to it any more */
void rcpt_free(struct rcpt *rcpt)
{
	if (rcpt->write != WRITE_CLEAN || rcpt->job)
		log_bug("a recipient is freed while %s", rcpt->job ? "flying" : "unwritten");
	if (found == rcpt)
		found = NULL;
	DL_DELETE2(rcpt->msg->rcpts, rcpt, sib_prev, sib_next);
	if (rcpt->dest)
		rcpt->dest->refs--;
	if (rcpt->row_dest)
		rcpt->row_dest->refs--;
	rcpts_in_memory--;
	free(rcpt->trouble);
	free(rcpt->orcpt);
	free(rcpt->sender);
	free(rcpt->user);
	free(rcpt);
}
