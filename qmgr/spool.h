/* SPDX-License-Identifier: ISC */
/*
 * The files of spool/segments. All of this may wait for the disk: it is called at start-up, and
 * afterwards on helper threads only (qmgr/work.h). Nothing here keeps state but the folder's
 * descriptor; functions return 0 or -E....
 *
 *   <16 hex digits>       a segment
 *   <16 hex digits>.done  what of its records is done (qmgr/donefile.h), unsynced
 *   <16 hex digits>.live  where the records lie that live, if holes are punched (qmgr/livemap.h)
 *   <16 hex digits>.free  a segment of the pool: holds nothing any more, to be written over
 *   <16 hex digits>.new   a done list or map being written; worth nothing
 *   <16 hex digits>.copy  records being copied; worth nothing
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "lib/record.h"

enum spool_file { SPOOL_SEGMENT, SPOOL_DONE, SPOOL_FREE, SPOOL_LIVE, SPOOL_NEW, SPOOL_COPY };

/* Opens (and makes) the folder spool/segments. */
int spool_open(const char *spool);
void spool_close(void);

/* Calls fn for each file of the folder; others are left alone. */
int spool_list(void (*fn)(uint64_t name, enum spool_file what, void *arg), void *arg);

/*
 * Makes an empty segment; *wfd is write-only, *rfd read-only. -EEXIST if the name is taken. Where
 * the file system can, a single one is written past the page cache (O_DIRECT): its 10 MB in new
 * pages would cost more CPU than everything else that is done with them.
 */
int spool_create(enum segment_kind kind, uint64_t name, int *wfd, int *rfd);

/* Takes a file out of the pool under a new name; *size is its length. */
int spool_reuse(uint64_t old, uint64_t name, int *wfd, int *rfd, uint64_t *size);

/* Opens a segment to be read. */
int spool_open_read(uint64_t name, int *fd, uint64_t *size);

/* Bytes that a segment's blocks take; 0 when it can't be told. */
uint64_t spool_held(uint64_t name);

/* Puts a dead segment into the pool; its done list goes away after it. */
int spool_retire(uint64_t name);

/* Unlinks a file; one that isn't there is no error. */
int spool_unlink(uint64_t name, enum spool_file what);

/* Makes what was created and renamed survive a power failure. */
int spool_sync(void);

/* A descriptor of a file with these flags (O_CREAT makes it 0600), or -E.... */
int spool_open_file(uint64_t name, enum spool_file what, int flags);

/* What a segment has under one kind of name gets the other, in the place of what was there. */
int spool_rename(uint64_t name, enum spool_file from, enum spool_file to);

/*
 * The nonce of the segment's present life as its first record's header says it; -ENOENT when
 * nothing of this life was written (the segment is empty).
 */
int spool_peek_nonce(int fd, uint64_t name, uint64_t *nonce);

/* Free bytes for us on the spool's file system. */
int spool_free_bytes(uint64_t *bytes);
