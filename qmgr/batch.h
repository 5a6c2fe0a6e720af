/* SPDX-License-Identifier: ISC */
/*
 * The way of changes into the index. Whatever changes in memory is marked; every BATCH_MS at the
 * latest what is marked becomes one transaction, run on the index thread, one under way at a time;
 * what is marked meanwhile belongs to the next one.
 *
 * A record that was read becomes rows only when it still lives BATCH_AGE_MS later: what is
 * delivered before costs no tree write, only the segment's `taken` moves past it. taken and the
 * rows below it are always one transaction.
 *
 * After a commit: TAKEN to writers, COMMITTED to workers, waiting callers; recipients that only
 * waited for it leave memory or go on (RCPT_COMMITTING). A commit that finds no space is tried
 * again every second; one that fails otherwise ends this process, and the index is rebuilt.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define BATCH_MS       100  /* age of the oldest change when it is committed */
#define BATCH_AGE_MS   50   /* what lives longer than this after being read gets rows */
#define BATCH_SYNC_MS  1000 /* without a commit for so long, the index is synced */
#define BATCH_RETRY_MS 1000 /* between tries of a commit that finds no space */
#define BATCH_FULL     1800 /* recipients marked; then it is committed, and no job is given out */

struct rcpt;
struct message;
struct segment;

void batch_init(void);

/* Marks; doing it again is cheap. */
void batch_rcpt(struct rcpt *rcpt);
void batch_message(struct message *msg);
void batch_segment(struct segment *seg);
/* The segment's row goes away with the next transaction; the struct may be freed afterwards. */
void batch_forget_segment(uint64_t name);
/* No ID up to this one may be given out again. */
void batch_ids(uint64_t last);

/* The row of a site (len 0: none any more) goes with the next transaction. */
void batch_site(const char *name, const void *row, size_t len);

/* A row of the table meta; value NULL: it goes away. */
void batch_meta(const void *key, size_t key_len, const void *value, size_t len);

/* A result was taken: a transaction has to follow, if only an empty one, for COMMITTED. */
void batch_result(void);

/* The message gets rows in the next transaction, however young it is. */
void batch_write_message(struct message *msg);
/* So does everything that was read: for a view of the whole queue. */
void batch_write_all(void);
/* Commit as soon as the one under way is through. */
void batch_soon(void);

/* Number of the transaction that will hold what is changed now, and of the last one committed. */
uint64_t batch_next(void);
uint64_t batch_committed(void);

/* Who waits for a transaction; the memory is the caller's until `done` was called. */
struct batch_wait {
	struct batch_wait *next;
	uint64_t number;
	bool synced; /* also wait until it survives a power failure */
	void (*done)(struct batch_wait *wait);
};

/* Calls wait->done after transaction batch_next() is committed (synced); makes it come soon. */
void batch_wait(struct batch_wait *wait, bool synced);

/* The index contradicts itself or failed: marks it and ends this process (it is rebuilt at start).
 */
void batch_give_up(int err, const char *what) __attribute__((noreturn));

/*
 * Whether the next transaction has enough: LMDB holds each page that it changes in memory until it
 * is committed (and keeps that memory), and a recipient's rows are on three. Who is told so gives
 * out no job; dispatch_held() comes when the transaction has begun.
 */
bool batch_full(void);

/* Whether there is anything that isn't committed, or commits fail: intake slows down then. */
bool batch_idle(void);
bool batch_stuck(void);
