/* SPDX-License-Identifier: ISC */
/*
 * What pipeline.c (what is sent, and the end) and pipeline_reply.c (what is answered) share of
 * deliver/pipeline.h; for nobody else.
 */
#pragma once

#include "deliver/pipeline.h"

enum pipeline_stage { STAGE_RSET, STAGE_MAIL, STAGE_RCPT, STAGE_DATA, STAGE_BODY, STAGE_END };

/* What a position of the transaction is. */
enum pipeline_stage pipeline_stage(const struct tx *tx, uint32_t pos);

/* The i-th transaction in flight, the head being 0. */
struct tx *pipeline_tx(const struct pipeline *p, unsigned i);

/* The head is over: its job goes back, with every recipient decided or not tried. */
void pipeline_pop(struct pipeline *p);
