/* SPDX-License-Identifier: ISC */
/*
 * How a peer took what was written ahead of its replies, judged as the connection ends. What comes
 * of it is qmgr's business: it remembers by site, and serves a peer that mishandles it step by step
 * (qmgr/steps.h).
 *
 * Only what can't be the network's doing alone is held against a peer: once one transaction that
 * was sent ahead has gone well here, a lost connection is a lost connection.
 */
#pragma once

#include "deliver/pipeline.h"

/* Before pipeline_lost(). timed_out: nothing came; else the peer ended it, or its replies did. */
enum ahead_verdict ahead_judge(const struct pipeline *p, bool timed_out);
