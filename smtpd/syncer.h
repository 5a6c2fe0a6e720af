/* SPDX-License-Identifier: ISC */
/*
 * The sync thread: the only place of smtpd that waits for the disk (DESIGN §1). The loop hands it
 * jobs, it works them one after the other, so one sync is under way at a time, and hands them
 * back through an eventfd; done() then runs on the loop.
 *
 * A job and all it points to belong to the thread from syncer_put() until done() is called. The
 * descriptor must stay open as long.
 */
#pragma once

#include <stdint.h>
#include <sys/uio.h>

/* what follows the writes: nothing; begin to write back, don't wait; fdatasync */
enum sync_how { SYNC_NONE, SYNC_START, SYNC_DATA };

/* Buffers that lie one behind the other in the file. The thread uses up the vector. */
struct sync_write {
	struct iovec *iov;
	unsigned iovs; /* 0: nothing to write */
	uint64_t offset;
};

struct sync_job {
	struct sync_job *next;
	int fd;
	struct sync_write write[2]; /* in this order */
	enum sync_how how;
	/*
	 * Where to put zeros when the job fails: there a record's header would begin, which must
	 * not be found by a scan after its message was refused.
	 */
	uint64_t wipe_at;
	unsigned wipe_len;
	void (*done)(struct sync_job *job);
	/* the thread's answer */
	int error; /* 0 or -errno of the write or sync that failed; short writes: -ENOSPC */
	uint32_t sync_us;
};

/* Makes the thread and its eventfd. To be called before the sandbox closes. Aborts on failure. */
void syncer_start(void);

/* Joins the eventfd to the loop, so that done() is called. */
void syncer_listen(void);

/* Hands a job over; done() is called in a later turn. */
void syncer_put(struct sync_job *job);

/* Lets the thread finish its jobs and end; done() of the last ones is not called. For tests. */
void syncer_stop(void);
