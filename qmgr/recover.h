/* SPDX-License-Identifier: ISC */
/*
 * The start: opens spool and index, brings together what the two know (qmgr/QUEUE lists every
 * combination), and sees to segments that nobody speaks for: they are scanned on the helper thread
 * from where the index ends, record by record with every checksum, while delivery of the rest goes
 * on.
 */
#pragma once

#include <stdint.h>

/*
 * Before the loop: segments and their rows. Returns 0 or -E.... *last is the highest name or ID
 * that may have been given out. A lost index is rebuilt by taking all segments as unread.
 */
int recover_open(const char *spool, uint64_t map_size, uint64_t *last);

/* Everybody has spoken: scans the orphans. */
void recover_orphans(void);
