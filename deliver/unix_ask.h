/* SPDX-License-Identifier: ISC */
/*
 * Asks master, through qmgr, for a socket connected to a Unix path (lib/unix_hop.h): for dial.c. A
 * question is answered exactly once, or cancelled; after UNIX_HOP_WAIT_S the answer is -ETIMEDOUT.
 */
#pragma once

#include "lib/chan.h"

struct unix_ask;

/* fd: connected and non-blocking, taken over by the callee; or -errno. */
typedef void unix_ask_answer(void *arg, int fd);

/* Asks. Returns NULL with errno set; the answer never comes before the return. */
struct unix_ask *unix_ask(
    struct chan *qmgr, struct msg_bytes path, unix_ask_answer *answer, void *arg);

/* The answer is no longer wanted. NULL allowed; not to be called after the answer. */
void unix_ask_cancel(struct unix_ask *ask);
