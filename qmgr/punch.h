/* SPDX-License-Identifier: ISC */
/*
 * Pinned segments: one that is closed and of which little lives gives the blocks of its dead
 * records back by holes in its file. Once a second a segment is looked for that qualifies; one at a
 * time is worked on, on the files thread, in slices that others get in between.
 *
 * The order that makes it safe: the rows of what lives are read, the index is synced (so that
 * everything else is dead for good), the map of what lives is written and synced (qmgr/livemap.h),
 * then the holes are punched. A punched segment is unlinked when it is dead, never written over.
 *
 * A hole begins and ends with a block of the disk. Where small records lie far apart, or the file
 * system has no holes, what lives is copied instead (qmgr/compact.h).
 */
#pragma once

#define PUNCH_CHECK_MS 1000
#define PUNCH_QUIET_MS 5000  /* a segment is closed for so long: it may just be about to end */
#define PUNCH_RATIO    2     /* it takes more than so many times what lives in it ... */
#define PUNCH_MIN      65536 /* ... and so many bytes more than that */
#define PUNCH_BLOCK    4096  /* of the disk, as far as the choice goes */
#define PUNCH_COPY     225   /* holes would leave more than so many per cent of what lives ... */
#define PUNCH_COPY_MIN 16384 /* ... and so many bytes more than that: it is copied instead */
#define PUNCH_HOLES    64    /* holes punched in one slice */
#define PUNCH_PAUSE_MS 100   /* between one segment and the next */
#define PUNCH_AGAIN_MS 60000 /* after an error */

/* How often a segment is looked for, and how long it has to have been closed. */
struct punch_pace {
	unsigned check_ms, quiet_ms;
};
#define PUNCH_PACE                             \
	(struct punch_pace)                    \
	{                                      \
		PUNCH_CHECK_MS, PUNCH_QUIET_MS \
	}

/* Begins to look; pace: PUNCH_PACE, but for tests. */
void punch_start(struct punch_pace pace);
