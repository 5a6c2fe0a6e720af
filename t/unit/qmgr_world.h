/* SPDX-License-Identifier: ISC */
/*
 * A world for the queue's tests: a spool in a temporary folder, the queue itself in this process,
 * and neighbours that the test plays: smtpd as writer of real records, deliver as a worker that
 * notes its jobs and answers as told. Each test runs in a process of its own (world_run), so that
 * "the process was killed" is simply its end, and a next one starts on what it left.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/chan.h"
#include "lib/child.h"
#include "lib/job.h"
#include "lib/record.h"
#include "qmgr/punch.h"

#define WORLD_JOBS 4096

/* Fails the test's process. */
#define check(cond)                                            \
	do {                                                   \
		if (!(cond))                                   \
			world_fail(__FILE__, __LINE__, #cond); \
	} while (0)
void world_fail(const char *file, int line, const char *what) __attribute__((noreturn));

/*
 * What the queue sees as child_self(): the test's main file defines that function with this, as
 * an archive that defined it would be linked into tests of others.
 */
extern struct child_self world_self;
#define WORLD_SELF                                \
	const struct child_self *child_self(void) \
	{                                         \
		return &world_self;               \
	}

/* A folder for one cmocka test; removed by world_clean(). The text goes into its baton.conf. */
void world_make(const char *conf);
void world_clean(void);
const char *world_dir(void);
/* The index is lost; a byte of a segment's file is another. */
void world_remove_index(void);
void world_flip(uint64_t segment, uint64_t at);

/* Runs fn in a process of its own and asserts that nothing failed in it. */
void world_run(void (*fn)(void));

/* -- in that process ---------------------------------------------------------------------- */

/* Loop, configuration, queue_open(world_pace), which a life may change before. */
extern struct punch_pace world_pace;
void world_open(void);
/*
 * Turns of the loop until cond() or ms are over, of a machine that has nothing else to do; returns
 * cond(). WORLD_PATIENCE is for those that have.
 */
#define WORLD_PATIENCE 5
bool world_until(bool (*cond)(void), unsigned ms);
void world_for(unsigned ms);

/* The neighbours as the queue sees them after a start: one smtpd, one deliver. */
void world_link_smtpd(unsigned expect);
void world_link_deliver(unsigned expect);
/* Both, having said all they have to say. */
void world_link(void);
void world_repeated(void);
void world_inflight_end(void);
/* The end of a neighbour. */
void world_smtpd_dies(void);
void world_deliver_dies(void);

/* What smtpd knows. */
struct world_segment {
	uint64_t name, nonce, first_id, size, limit;
	uint32_t ids;
	int fd;
	uint64_t end, taken;
	bool got;
};
extern struct world_segment world_seg;
extern struct chan *world_smtpd, *world_deliver;
void world_want(enum segment_kind kind);
bool world_granted(void);
/* Appends a record at world_seg.end with `n` recipients; returns its offset. No SUBMIT. */
uint64_t world_record(uint64_t id, const char *sender, const char *const *rcpts, unsigned n);
void world_submit(void);

/* What deliver has got, and how it answers. */
struct world_job {
	uint32_t conn;
	uint8_t kind;
	uint64_t id, segment, offset;
	unsigned n;
	uint32_t number[8];
	char address[8][64];
	char sender[64];
	bool answered;
};
extern struct world_job world_jobs[WORLD_JOBS];
extern unsigned world_njobs;
extern uint64_t world_committed, world_seq;
extern enum open_verdict world_verdict; /* the answer to OPEN */
extern unsigned world_opens;
extern bool world_answers; /* jobs are answered at once with world_outcome */
extern enum outcome world_outcome;
extern uint16_t world_code;
extern unsigned world_released, world_takens;
void world_answer(struct world_job *job, enum outcome outcome, uint16_t code, const char *text);
/* A RESULT of an earlier qmgr's job, and a place on the wire. */
void world_repeat(
    uint8_t kind, uint64_t segment, uint64_t offset, uint32_t number, enum outcome outcome);
void world_inflight(uint64_t segment, uint64_t offset, uint32_t number);

/* Files of spool/segments whose name ends so ("" counts segments). */
unsigned world_files(const char *suffix);
