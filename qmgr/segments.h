/* SPDX-License-Identifier: ISC */
/*
 * The segments qmgr knows and what has become of the records in each: how far the writer has
 * synced them (submitted), how far intake has read them (read), how far the index knows them
 * (taken), and what still lives. From that follows when a segment is finished and its file can be
 * taken for others (qmgr/reclaim.h); granting new ones is qmgr/grant.h.
 *
 *     0 <= taken <= read <= submitted <= limit
 *
 * A struct segment lives from its grant, or from start-up, until its file is gone. `messages` holds
 * what was read and isn't in the index, in the order of the file.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "lib/chan.h"
#include "lib/hash.h"
#include "lib/record.h"

#define SEGMENT_WORKERS    256 /* deliver workers that can be told apart */
#define SEGMENT_SINGLE_IDS 16

struct done;
struct livemap;
struct message;
struct rcpt;
struct smtpd_link;

/* segment_enter() is the one place that changes it. QUEUE says what each means on disk. */
enum segment_state {
	SEGMENT_GRANTED, /* a writer has it */
	SEGMENT_ORPHAN,  /* from an earlier run: nobody has spoken for it yet */
	SEGMENT_SCANNED, /* nobody did: being scanned for its end */
	SEGMENT_CLOSED,  /* nothing more will be written; `submitted` is its end */
	SEGMENT_DEAD,    /* nothing in it lives; its file is on its way to the pool or away */
};

enum segment_file { FILE_NONE, FILE_OPENING, FILE_OPEN, FILE_LOST };

struct segment {
	uint64_t name, nonce; /* nonce 0: not known yet, see segment_learn_nonce() */
	enum segment_state state;
	enum segment_kind kind;
	enum segment_file file;
	int fd;                    /* read-only; -1 unless FILE_OPEN */
	struct smtpd_link *writer; /* NULL: none that lives */
	uint64_t size, limit;
	uint64_t submitted, read, taken;
	uint64_t taking; /* `taken` as the next or present transaction has it */
	uint64_t force;  /* records below it are written to the index at once, whatever their age */
	uint64_t first_id; /* its name; of copies: that of the segment they came from */
	uint64_t last_id;
	uint32_t rows;       /* messages with rows in the index */
	uint64_t live_bytes; /* of their records */
	uint32_t in_memory;  /* messages in memory */
	uint32_t refs;       /* results, claims and works that name it */
	struct message *messages;
	struct rcpt *opening; /* recipients that wait for the file */
	struct done *done;    /* from the done list: not to be delivered again; sorted */
	size_t ndone;
	struct segment *done_next; /* of those with new entries */
	struct done *done_new;     /* to be appended to it */
	size_t ndone_new, done_room;
	struct livemap *map;   /* punched or copied: where its records are, found at start */
	uint64_t closed_ms;    /* when it came into CLOSED; 0: at start */
	uint64_t held;         /* bytes the file takes when holes are punched; 0: its size */
	uint64_t copied_ms;    /* when what lived was last copied out of it; 0: it wasn't */
	uint64_t punched_live; /* live_bytes when this run punched it; 0: it didn't */
	bool punched;          /* it has a map: not to be written over; so have copies */
	bool no_copy;          /* copying out of it failed: holes it is */
	bool damaged;          /* a record can't be read: the file is kept for a person */
	bool whole;            /* at start: closed and taken to its end */
	uint32_t audited;      /* messages that the audit has seen */
	bool queued;           /* intake has it in its list */
	bool known;            /* at start: the index has its row */
	bool found;            /* at start: the file is there */
	uint8_t write;         /* enum write_state */
	uint64_t workers[SEGMENT_WORKERS / 64]; /* which have its descriptor */
	struct segment *next, *prev;            /* of intake's or reclaim's list */
	UT_hash_handle hh;
};

/* Adds one; -EEXIST is a bug. */
struct segment *segment_add(uint64_t name, enum segment_kind kind, enum segment_state state);
struct segment *segment_find(uint64_t name);
/* The first of all; go on with seg->hh.next. */
struct segment *segment_first(void);
unsigned segment_count(void);

void segment_enter(struct segment *seg, enum segment_state state);
const char *segment_state_name(enum segment_state state);

/* Messages from a writer, meaning checked: 0, or -EBADMSG for what is not its to say. */
int segment_submit(struct smtpd_link *link, uint64_t name, uint64_t end);
int segment_sealed(struct smtpd_link *link, uint64_t name, uint64_t end);
/* The writer is gone: what it submitted is all there will be. */
void segment_writer_gone(struct smtpd_link *link);

/* The nonce from the first record, where a lost index doesn't know it. 0 or -E.... */
int segment_learn_nonce(struct segment *seg);

/* Opens the file on the helper thread if it isn't open; segment_opened() follows. */
void segment_want_file(struct segment *seg);
/* Closes it, tells workers that have it. */
void segment_close_file(struct segment *seg);

/* Something that held it is gone: closes the file or reclaims it when nothing is left. */
void segment_unused(struct segment *seg);

/* Whether all there will be is read, ended, and known to the index. */
bool segment_finished(const struct segment *seg);

/* Out of the table and freed. */
void segment_remove(struct segment *seg);
