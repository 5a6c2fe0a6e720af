/* SPDX-License-Identifier: ISC */
/*
 * Messages and recipients in memory: those that are on their way, those that wait in the active
 * window, and those whose last change the index doesn't know yet. All others live in the index
 * only (qmgr/index.h), and are brought back by message_load() and rcpt_load().
 *
 * A message is freed when none of its recipients is in memory and nothing of it is unwritten; a
 * recipient when it is done or waits, and the index knows (qmgr/batch.h frees both). Until then a
 * row that is read from the index is known to be older than what is in memory, and skipped.
 */
#pragma once

#include "lib/hash.h"
#include "lib/msg.h"
#include "qmgr/keys.h"

#include <stdbool.h>
#include <stdint.h>

struct bundle;
struct class;
struct segment;
struct dest;
struct job;

/* Where a recipient in memory stands. rcpt_enter() is the one place that changes it. */
enum rcpt_state {
	RCPT_NEW,        /* made, not placed anywhere yet */
	RCPT_EXPANDING,  /* keeper was asked what stands behind it */
	RCPT_COMMITTING, /* made by an expansion that the index doesn't know yet */
	RCPT_READY,      /* in its destination's list */
	RCPT_BLOCKED,    /* in the list of its mailbox, which takes one message at a time */
	RCPT_OPENING,    /* its segment is being opened */
	RCPT_FLYING,     /* in a job */
	RCPT_CLAIMED,    /* a worker has it from an earlier qmgr; the result will come */
	RCPT_WAITING,    /* its turn comes later; leaves memory when the index knows */
	RCPT_DONE,       /* ended; leaves memory when the index knows */
	RCPT_SUSPECT,    /* a worker died over it: in poison.c's line */
	RCPT_STATES
};

/* How a thing in memory stands to the index. */
enum write_state {
	WRITE_CLEAN,   /* the index knows it as it is, or need not */
	WRITE_DIRTY,   /* in the next transaction */
	WRITE_WRITING, /* in the transaction under way */
	WRITE_AGAIN,   /* in the one under way, and changed since: in the next one too */
};

/* What was last said of a recipient. One allocation. */
struct trouble {
	uint64_t at_ms; /* when, by now_ms() */
	uint16_t code;  /* 0: not from a peer */
	const char *status, *host, *text;
	char data[];
};

struct rcpt {
	struct message *msg;
	struct rcpt *sib_next, *sib_prev; /* of the message */
	struct rcpt *next, *prev;         /* of the list its state says */
	struct bundle *bundle;            /* READY at a bound destination: qmgr/turns.h */
	struct rcpt *turn_next, *turn_prev;
	struct dest *dest;
	struct dest *row_dest; /* its due key in the index: NULL when there is none */
	uint64_t row_due;
	uint32_t row_lane;
	uint32_t lane;   /* its class and sender, hashed: qmgr/class.h */
	struct job *job; /* when FLYING */
	uint64_t due_ms;
	struct trouble *trouble; /* NULL: none yet */
	char *orcpt;             /* RFC 3461; NULL: none */
	char *user;              /* the mailbox, once keeper said so; NULL before */
	char *sender;            /* its own (owner-NAME); NULL: the message's */
	const struct class *class;
	uint32_t number, parent;
	uint16_t attempts;
	uint8_t state, stage, write;
	uint8_t depth, notify;
	uint8_t was;   /* set aside: the stage it had */
	uint8_t order; /* enum rcpt_order */
	uint8_t flags; /* enum rcpt_flag */
	bool windowed; /* has a place in the active window */
	bool rowed;    /* the index has or gets a row of it */
	bool held;     /* COMMITTING, and not only till then: qmgr/take.h */
	uint16_t address_len;
	char address[];
};

struct message {
	uint64_t id;
	struct segment *segment;
	struct message *next, *prev; /* of the segment's list, while !rowed */
	uint64_t offset, body_at, body_len, plain_len, arrival_ms;
	uint64_t read_ms; /* now_ms() when it was read: what its age is counted from */
	uint32_t took_ms; /* its transmission to us, up to arrival_ms */
	uint32_t lag_ms;  /* from arrival_ms until it was taken into the queue */
	uint32_t late_len, flags;
	uint32_t left; /* recipients that live, in memory or in the index only */
	uint32_t next_number;
	uint8_t write;
	bool rowed;   /* the index has or gets a row of it */
	uint8_t ret;  /* RFC 3461 */
	uint32_t uid; /* whose mail it is, by the kernel's word; UINT32_MAX: not from this host */
	char *user;   /* or who had logged in; NULL: nobody */
	/* qmgr/report.c: the notice that gathers its recipients */
	uint8_t notice_kind;
	bool notice_paced;
	uint64_t notice_due;
	char *envid; /* NULL: none */
	struct rcpt *rcpts;
	UT_hash_handle hh;
	char sender[];
};

/*
 * A message that was read from its record, with room for no recipients yet. Returns NULL when out
 * of memory, or when a message of that ID is known (a writer that lies).
 */
struct message *message_new(uint64_t id, struct segment *segment, struct msg_bytes sender);

/* The one with that ID, or NULL. */
struct message *message_find(uint64_t id);

/* A message of the index; the segment has to be known. NULL as message_new(). */
struct message *message_load(uint64_t id, struct segment *segment, const struct row_msg *row);

/* The index gets rows of it with the transaction that is being formed. */
void message_rowed(struct message *msg);

/* Bytes of its record in the segment. */
uint64_t message_record_len(const struct message *msg);

void message_set_envid(struct message *msg, struct msg_bytes envid);

/* Whose mail it is: uid, or UINT32_MAX and the user who had logged in, "" for nobody. */
void message_set_owner(struct message *msg, uint32_t uid, struct msg_bytes user);

/* Frees it if nothing holds it any more; true when it is gone. */
bool message_release(struct message *msg);

/* Messages and recipients in memory; messages that have no rows yet. */
unsigned message_young(void);
unsigned message_count(void);
unsigned rcpt_count(void);

/* A new recipient of the message, which counts as living. NULL when out of memory. */
struct rcpt *rcpt_new(struct message *msg, uint32_t number, struct msg_bytes address);

/* Whether it waits for a person: held, or its record can't be sent. It has no due key then. */
bool rcpt_set_aside(const struct rcpt *rcpt);

/* A recipient of the index; row->dest is looked up. NULL when out of memory. */
struct rcpt *rcpt_load(struct message *msg, uint32_t number, const struct row_rcpt *row);

/* The one with that number in memory, or NULL. Linear. */
struct rcpt *rcpt_find(const struct message *msg, uint32_t number);

/* The one function that changes the state. */
void rcpt_enter(struct rcpt *rcpt, enum rcpt_state state);
const char *rcpt_state_name(unsigned state);

/* Keeps what was said; replaces what was kept. */
void rcpt_set_trouble(struct rcpt *rcpt, uint16_t code, struct msg_bytes status,
    struct msg_bytes host, struct msg_bytes text);

/* Whether the index's due key, where it has one, is the one it would get now. */
bool rcpt_due_known(const struct rcpt *rcpt);

/* The original recipient (RFC 3461): type;xtext, "" for none. */
void rcpt_set_orcpt(struct rcpt *rcpt, struct msg_bytes orcpt);

/* The envelope sender it has: its own, or the message's. */
const char *rcpt_sender(const struct rcpt *rcpt);
/* Its own from now on; "": the message's. */
void rcpt_set_sender(struct rcpt *rcpt, struct msg_bytes sender);

/* It is a command or file of an alias or a .forward (qmgr/member.h): its turn is its own. */
void rcpt_set_entry(struct rcpt *rcpt);

/* Takes it off the message and frees it. It must be in no list and clean. */
void rcpt_free(struct rcpt *rcpt);

/* Its row, pointing into it. */
void rcpt_row(const struct rcpt *rcpt, struct row_rcpt *row);
void message_row(const struct message *msg, struct row_msg *row);
