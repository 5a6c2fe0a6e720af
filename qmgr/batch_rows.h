/* SPDX-License-Identifier: ISC */
/*
 * What a transaction says of a thing in memory (qmgr/batch.c forms it): its row as it is now, or
 * the end of its row. Each marks the thing as WRITE_WRITING. For batch.c alone.
 */
#pragma once

#include "qmgr/index.h"

struct message;
struct rcpt;
struct segment;

/* One that has ended leaves its segment, whose row then changes too: messages before segments. */
void rows_put_message(struct index_ops *ops, struct message *msg);
/* With its key in the schedule, if that changed. */
void rows_put_rcpt(struct index_ops *ops, struct rcpt *rcpt);
void rows_put_segment(struct index_ops *ops, struct segment *seg);
