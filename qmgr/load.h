/* SPDX-License-Identifier: ISC */
/*
 * Reading recipients back from the index: rows are copied out on the index thread into a buffer of
 * bytes (struct rows), and become recipients in the loop. A row whose recipient is in memory is
 * older than that and skipped; see qmgr/QUEUE for why no row can be newer or of one that ended.
 */
#pragma once

#include <stdbool.h>

#include <stdbool.h>
#include <stdint.h>

#include "lib/msg.h"
#include "lib/wire.h"
#include "qmgr/keys.h"

struct rcpt;
struct message;

/* Rows on their way to the loop. */
struct rows {
	struct wire_out out;
	uint32_t n;
	uint64_t last_id; /* whose message row was copied last */
};

void rows_init(struct rows *rows);
void rows_free(struct rows *rows);

/*
 * On the index thread, within a read: copies the rows of one recipient. 0; -ENOENT when the index
 * contradicts itself (a key without its rows).
 */
int rows_add(struct rows *rows, uint64_t id, uint32_t number);
/* The same where the recipient's row is at hand. */
int rows_add_row(struct rows *rows, uint64_t id, uint32_t number, struct msg_bytes row);

/* One of them, decoded. */
struct row {
	uint64_t id;
	uint32_t number;
	struct row_msg msg;
	struct row_rcpt rcpt;
	bool moot; /* it tells of a delay that was over when it was read */
};

/* In the loop: walks them; *pos starts at 0. 1 and the next one, 0 at the end, -EBADMSG. */
int rows_next(const struct rows *rows, size_t *pos, struct row *row);

/*
 * Brings a row into memory; state RCPT_NEW, no destination yet. Returns NULL when it is there
 * already, or when its segment is not (logged). A due time behind now + retry.max is cut to that:
 * the host's clock was wrong when it was written.
 */
struct rcpt *row_load(const struct row *row);
