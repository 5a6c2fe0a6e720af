/* SPDX-License-Identifier: ISC */
/*
 * The segments a worker may read: descriptors that qmgr sent (deliver_segment) and that stay until
 * it takes them back (deliver_release) and no job reads there any more. qmgr sends a segment
 * before the first job that rests on it; a job holds its segment, so RELEASE, and the end of the
 * qmgr that sent it, never pull a file away from under a body that is on the wire.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

struct segment;

/* Takes fd over. A segment that is known already gets the new descriptor for later jobs. */
void segments_add(uint64_t name, int fd);
/* qmgr needs it no more. Unknown names are ignored: a RELEASE may cross with a re-link. */
void segments_release(uint64_t name);
/* The qmgr that sent them is gone: all are released. */
void segments_release_all(void);

/* Holds the segment for a job; NULL when qmgr never sent it. */
struct segment *segment_hold(uint64_t name);
/* Gives it back; NULL is allowed. */
void segment_drop(struct segment *segment);

/*
 * A large body is about to be read: the first time past the page cache (O_DIRECT) where the file
 * system can, for most are read once; later through it. All reads of such a segment are of whole
 * pages into memory aligned to SEGMENT_PAGE: the descriptor's flags are shared with other workers.
 */
#define SEGMENT_PAGE 4096
void segment_read_large(struct segment *segment);
/* pread() that goes on until `least` bytes are there. 0; -EBADMSG at the file's end; other -E....
 */
int segment_read(const struct segment *segment, char *to, size_t len, size_t least, uint64_t at);

uint64_t segment_name(const struct segment *segment);
