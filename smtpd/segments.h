/* SPDX-License-Identifier: ISC */
/*
 * The segments this worker may write, and what qmgr is told of them (DESIGN §2).
 *
 * qmgr grants segments on WANT. This module keeps one shared segment in use and one spare, and
 * as many single ones as large messages ask for. It knows of each how far it is synced (`end`) and
 * how far qmgr has it in the index (`taken`), sends SUBMIT and SEALED, repeats them to a new qmgr,
 * and forgets a segment that is sealed and taken whole.
 *
 * There may be no qmgr for a while: what is granted can be used, what is said is said again on the
 * next link.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "lib/chan.h"
#include "lib/record.h"

/* What is kept of a granted segment. Callers read; only this module and intake write. */
struct segment {
	struct segment *next;
	uint64_t name, nonce;
	uint64_t next_id, ids_end; /* queue IDs not dealt yet: [next_id, ids_end) */
	uint64_t limit;            /* bytes of records it may hold */
	uint64_t end;              /* everything before is whole and synced */
	uint64_t taken;
	enum segment_kind kind;
	enum segment_use { SEGMENT_SPARE, SEGMENT_IN_USE, SEGMENT_SEALED } use;
	int fd; /* -1 once sealed */
};

/* Called when a segment came that somebody waits for: intake tries again. */
void segments_on_grant(void (*granted)(void));

/*
 * The shared segment to append to, or NULL when there is none now (asked for; the callback of
 * segments_on_grant() comes when it is there).
 */
struct segment *segments_shared(void);

/* A segment for one large message, or NULL as above. It is the caller's until sealed. */
struct segment *segments_single(void);
/* The same without asking for one. */
struct segment *segments_single_granted(void);
/* A caller that got NULL from segments_single() doesn't want one any more. */
void segments_single_cancel(void);

/* seg->end has moved: SUBMIT, sent at once. */
void segments_submit(struct segment *seg);

/* Nothing more will be written behind seg->end: SEALED. seg isn't the caller's any more. */
void segments_seal(struct segment *seg);

/* Seals everything that is in use or spare: the worker ends. No job may be under way. */
void segments_seal_all(void);

/* A new link to qmgr (says all that it must know), and the loss of one. */
void segments_linked(struct chan *qmgr);
void segments_unlinked(struct chan *qmgr);
bool segments_has_link(void);

/* Handlers of qmgr's messages. */
void segments_granted(struct chan *chan, union msg_any *msg, void *arg);
void segments_taken(struct chan *chan, union msg_any *msg, void *arg);
void segments_pressed(struct chan *chan, union msg_any *msg, void *arg);

/* How short of space the spool is, as qmgr said last. */
enum pressure segments_pressure(uint64_t *free_bytes);

/* Segments that are known, whatever their use; for tests and the log. */
unsigned segments_count(void);
/* Forgets all; for tests. */
void segments_reset(void);
