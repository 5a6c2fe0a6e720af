/* SPDX-License-Identifier: ISC */
/*
 * Local recipients: keeper is asked what stands behind each. A mailbox: it goes there. An alias:
 * its members become new recipients of the message (qmgr/members.h), in the index before anything
 * is sent to them, and the alias is done. Unknown: it fails. Trouble, or no keeper: it is deferred
 * as a whole.
 *
 * At most EXPANDS_MAX questions are under way, each for EXPAND_MS at most.
 */
#pragma once

#include <stdbool.h>

#include "lib/chan.h"

#define EXPANDS_MAX      256
#define EXPAND_MS        30000
#define EXPAND_DEPTH_MAX 10          /* an alias in an alias in an alias */
#define EXPAND_LIST_MAX  (32u << 20) /* bytes of the members of one */

struct rcpt;

/* Whether keeper has to be asked before it can go anywhere. */
bool expand_needed(const struct rcpt *rcpt);
/* Asks; the recipient is EXPANDING until the answer comes. */
void expand_ask(struct rcpt *rcpt);
/* A tool takes it away while it is asked for. */
void expand_forget(struct rcpt *rcpt);

/* The link to keeper is new: all is asked again. */
void expand_linked(void);
void expand_answer(const struct msg_keeper_expand_is *m);
/* The user's .forward names others (OUT_EXPANDED): they take its place, now or a little later. */
void expand_forward(struct rcpt *rcpt, struct msg_bytes list, const char *user);
