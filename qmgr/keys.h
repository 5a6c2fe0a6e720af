/* SPDX-License-Identifier: ISC */
/*
 * The layout of the index: keys and rows of each table, encoded with lib/wire.h. Numbers in keys
 * are big-endian, so that the tables' byte order is the numbers' order. Pure functions; rows point
 * into the bytes they were decoded from.
 *
 *   msg    id                          -> struct row_msg
 *   rcpt   id, number                  -> struct row_rcpt
 *   due    dest NUL lane due id number -> nothing: the schedule, by destination, by lane, oldest
 *                                         first. A lane is a class and a sender (qmgr/class.h)
 *   seg    name                        -> struct row_seg
 *   meta   a word                      -> what KEYS_META_... says
 *   site   name                        -> struct row_site: what was learned of it
 *
 * A row stays under KEYS_ROW_MAX bytes: what peers said is cut to fit. It ends with a sum over the
 * rest, so that a bit that has flipped on the disk is noticed when the row is read.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/msg.h"

#define KEYS_ROW_MAX     1024 /* bytes of a row */
#define KEYS_DEST_MAX    400  /* bytes of a destination's name; LMDB allows keys of 511 */
#define KEYS_DUE_TAIL    25   /* NUL, lane, due, id, number */
#define KEYS_DUE_MAX     (KEYS_DEST_MAX + KEYS_DUE_TAIL)
#define KEYS_META_IDS    "ids" /* no name or ID up to this one may be given out again */
#define KEYS_META_FORMAT "format"
#define KEYS_FORMAT      "7" /* changes with any key or row: another one is put aside, rebuilt */
#define KEYS_CLASS_MAX   32  /* bytes of a class's name that a row keeps */
#define KEYS_SENDER_MAX  256 /* bytes of a recipient's own sender */
#define KEYS_USER_MAX    64 /* bytes of who logged in; of a longer name nothing is kept */
#define KEYS_META_PAUSE  "pause" /* then kind u8, name: since u64, until u64 (0: for good) */

/* What becomes of a recipient: kept in its row. Numbers are on disk: append only. */
enum rcpt_stage {
	STAGE_MAIL = 0,    /* to be delivered */
	STAGE_FAILED = 1,  /* failed for good, its sender not yet told */
	STAGE_EXPIRED = 2, /* the same, because its time ran out */
	STAGE_DAMAGED = 3, /* its record can't be read or sent: set aside, no due key */
	STAGE_POISON = 4,  /* its handling ended a worker twice: set aside until released */
	/* Its sender is to be told, as of a failure; the recipient's own way: */
	STAGE_DELAYED = 5,   /* goes on under another number, `parent` (RFC 3461 §5.2.6) */
	STAGE_RELAYED = 6,   /* is over: taken by a host without DSN */
	STAGE_DELIVERED = 7, /* is over: in its mailbox */
	STAGE_EXPANDED = 8,  /* is over: others stand for it */
	STAGES
};

/* What else there is to know of a recipient: bits of row_rcpt.flags. */
enum rcpt_flag {
	RCPTF_WARNED = 1, /* its delay was reported, or is about to be */
	RCPTF_PACED = 2,  /* its notice waits for the sender's rate: see qmgr/pace.h */
	RCPTF_ENTRY = 4,  /* a command or file of an alias or .forward: see qmgr/expand.h */
};

/* Whether a recipient in that stage is set aside: it has no due key, nothing is tried. */
static inline bool stage_aside(uint8_t stage)
{
	return stage == STAGE_DAMAGED || stage == STAGE_POISON;
}

/* Whether the sender of a recipient in that stage is to be told: it goes to DEST_NOTICE. */
static inline bool stage_owed(uint8_t stage)
{
	return stage == STAGE_FAILED || stage == STAGE_EXPIRED || stage >= STAGE_DELAYED;
}

/* Whether its delivery is over and only its sender is to be told: not to be sent again. */
static inline bool stage_over(uint8_t stage)
{
	return stage == STAGE_RELAYED || stage == STAGE_DELIVERED || stage == STAGE_EXPANDED;
}

/* What a tool ordered for a recipient: kept in its row. Numbers are on disk: append only. */
enum rcpt_order {
	ORDER_NONE = 0,
	ORDER_HOLD = 1,   /* set aside until it is released: no due key */
	ORDER_DELETE = 2, /* ends without a word as soon as no worker has it */
	ORDER_BOUNCE = 3, /* fails as soon as no worker has it */
};

struct row_msg {
	uint64_t segment, offset;
	uint64_t body_at, body_len, plain_len, arrival_ms;
	uint32_t late_len, flags;
	uint32_t took_ms, lag_ms; /* as in struct message */
	uint8_t ret;   /* RFC 3461: 0 not said, 1 FULL, 2 HDRS */
	uint32_t left; /* recipients that still live */
	uint32_t next; /* the next recipient number an expansion may give */
	uint32_t uid;  /* whose mail it is: of this host; UINT32_MAX: not from here */
	struct msg_bytes sender, envid;
	struct msg_bytes user; /* or who had logged in; "": nobody */
};

struct row_rcpt {
	uint8_t stage, depth, notify, flags;
	uint8_t was;   /* set aside: the stage it had */
	uint8_t order; /* enum rcpt_order */
	uint16_t attempts, code;
	uint32_t parent; /* UINT32_MAX: from the envelope */
	uint32_t lane;
	uint64_t due_ms;   /* wall clock */
	uint64_t tried_ms; /* when the last trouble was met; 0: none */
	struct msg_bytes dest, address, orcpt;
	struct msg_bytes sender; /* its own; empty: the message's */
	struct msg_bytes class_name;
	struct msg_bytes status, host, text; /* of the last trouble */
};

struct row_seg {
	uint64_t nonce; /* 0: not known yet */
	uint8_t kind;   /* enum segment_kind */
	uint64_t size, limit;
	uint64_t taken;      /* below it every record has rows or is done */
	uint64_t end;        /* sealed here; 0: not sealed */
	uint32_t live;       /* messages of it that have rows */
	uint64_t live_bytes; /* of their records */
};

/*
 * What was learned of a site. On disk it is a list of typed fields, of which those that are 0 are
 * left out and those of an unknown type are skipped: adding one is a member here, a number and a
 * line in keys.c. Times are of now_ms().
 */
struct row_site {
	uint64_t used_ms;               /* when the row was written */
	uint64_t limit, ceiling;        /* connections: qmgr/throttle.h */
	uint64_t hold_ms, try_ms;       /* of the ceiling */
	uint64_t recipients;            /* per message, if it takes fewer than configured */
	uint64_t one_domain;            /* 1: wants one domain a message */
	uint64_t ipv4_ms;               /* spared IPv6 until then */
	uint64_t down_ms;               /* down since; 0: up */
	uint64_t interval_ms, probe_ms; /* its probes: the distance, and the next one */
	uint64_t trouble_ms;            /* time of the last trouble */
	uint64_t steps_ms;              /* served step by step since; 0: it isn't */
	struct msg_bytes trouble;       /* its text */
};

/* A place in the schedule of a destination, in the order of its members. */
struct due_key {
	uint64_t due, id;
	uint32_t lane, number;
};

/* Keys: written into buf, which is large enough; the length is returned. */
size_t keys_msg(unsigned char buf[8], uint64_t id);
size_t keys_rcpt(unsigned char buf[12], uint64_t id, uint32_t number);
size_t keys_seg(unsigned char buf[8], uint64_t name);
size_t keys_due(
    unsigned char buf[KEYS_DUE_MAX], const char *dest, size_t dest_len, const struct due_key *key);

/* And back: 0 or -EBADMSG. The destination's name points into the key. */
int keys_get_msg(const void *key, size_t len, uint64_t *id);
int keys_get_rcpt(const void *key, size_t len, uint64_t *id, uint32_t *number);
int keys_get_due(const void *key, size_t len, struct msg_bytes *dest, struct due_key *out);

/* Rows: the length written, or -EMSGSIZE when the parts that can't be cut don't fit. */
int keys_put_msg_row(const struct row_msg *row, unsigned char buf[KEYS_ROW_MAX]);
int keys_put_rcpt_row(const struct row_rcpt *row, unsigned char buf[KEYS_ROW_MAX]);
int keys_put_seg_row(const struct row_seg *row, unsigned char buf[KEYS_ROW_MAX]);
int keys_put_site_row(const struct row_site *row, unsigned char buf[KEYS_ROW_MAX]);

/* Sets the sum of a row of len bytes: for tests that make rows by hand. */
void keys_seal_row(void *row, size_t len);

/* And back: 0 or -EBADMSG. */
int keys_get_msg_row(const void *data, size_t len, struct row_msg *row);
int keys_get_rcpt_row(const void *data, size_t len, struct row_rcpt *row);
int keys_get_seg_row(const void *data, size_t len, struct row_seg *row);
int keys_get_site_row(const void *data, size_t len, struct row_site *row);
