/* SPDX-License-Identifier: ISC */
/*
 * Local delivery goes to one mailbox one message at a time. A recipient whose mailbox is busy is
 * RCPT_BLOCKED and stands in the mailbox's line; it is ready again when its turn comes.
 */
#pragma once

#include <stdbool.h>

struct rcpt;

/* The first ready recipient of its destination wants its mailbox: true when it has it now. */
bool mailbox_take(struct rcpt *rcpt);
/* The delivery is over. */
void mailbox_free(const char *user);
/* A ready recipient of it was taken away: the next of the line may go instead. */
void mailbox_poke(const char *user);
/* A blocked recipient is taken away. */
void mailbox_forget(struct rcpt *rcpt);
