/* SPDX-License-Identifier: ISC */
/*
 * The queue for the tools: listing, and the verbs that change it (lib/query.h is the form). A
 * request walks the index by message ID in slices on the index thread, after a commit of
 * everything that was only in memory: that is its view. What is in memory decides the state that a
 * row shows, and is what a verb works on. A changing verb brings what it changes into memory, some
 * thousands between two commits, and is answered after a sync.
 */
#pragma once

#include <stdbool.h>

#include "lib/chan.h"
#include "qmgr/owner.h"

#define QUERY_SLICE_RCPTS 1000       /* recipients of one slice of a listing */
#define QUERY_SLICE_FLUSH 2000       /* of a flush, which leaves most where they are */
#define QUERY_SLICE_PASS  20000      /* of a flush of everything, on the index thread alone */
#define QUERY_SLICE_APPLY 1000       /* of one that changes them: a few ms in the loop */
#define QUERY_UNCOMMITTED 1000       /* changed recipients of a commit; as many may wait */
#define QUERY_BACKLOG     (1u << 20) /* bytes that may wait for a tool that reads slowly */
#define QUERY_REPEATS     3          /* walks more, where one found only what has ended */
#define QUERY_PAUSE_MS    5          /* then it is looked at again after so long */

struct query;

/*
 * Begins a request that concerns the owner's mail only (qmgr/owner.h; copied); NULL and an answer
 * to the tool when the filter is broken.
 */
struct query *query_list(struct chan *chan, const struct msg_tool_list *m,
    const struct owner *owner, void (*ended)(void *arg), void *arg);
struct query *query_change(struct chan *chan, const struct msg_tool_change *m,
    const struct owner *owner, void (*ended)(void *arg), void *arg);
/* The tool is gone: a listing ends; a change goes on to its end without an answer. */
void query_orphan(struct query *q);
