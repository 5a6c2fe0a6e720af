/* SPDX-License-Identifier: ISC */
/*
 * handover_transport (hop.h): local deliveries, one after the other. The content goes unstuffed
 * into a pipe, its length first; the pipe's other end and that of a result socket go to qmgr with
 * deliver_local, from there to the process that becomes the recipient's user (lib/local.h).
 */
#pragma once

#include "deliver/hop.h"

#define HANDOVER_PIPE_BLOCK (64u << 10) /* what a pipe takes at once */
#define HANDOVER_LIST_MAX   (48u << 10) /* of an expansion, as a result has it */

/* Reads a result line (without its LF). Returns 0 and words, or -EINVAL. */
int handover_read_result(const char *line, size_t len, struct words *words);
