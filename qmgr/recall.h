/* SPDX-License-Identifier: ISC */
/*
 * Which recipients a message has or had that aren't in memory: its rows in the index and what its
 * segment's done list says, read on the index thread. Whoever adds recipients has to know them.
 * What is in memory when the answer comes and that together are all (qmgr/QUEUE), but for those
 * that ended in the last milliseconds: qmgr/ended.h has them.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/msg.h"

struct message;
struct recall;

/* The answer, valid during the call unless it is kept; arg as it was given. */
typedef void recall_done(const struct recall *r, void *arg);

/* Asks. The message may be gone when the answer comes. */
void recall(const struct message *msg, recall_done *done, void *arg);

/* It stays valid after the call, until it is given back. */
void recall_keep(const struct recall *r);
void recall_free(const struct recall *r);

/* 0, or why it couldn't be read. */
int recall_error(const struct recall *r);

/* The recipients with rows; *pos starts at 0. 1 and the next one's address and flags, or 0. */
int recall_next(const struct recall *r, size_t *pos, struct msg_bytes *address, uint8_t *flags);

/* Whether the done list has that address. */
bool recall_ended(const struct recall *r, struct msg_bytes address);
