/* SPDX-License-Identifier: ISC */
/*
 * Whether a peer can take a message, before a word of it is said, and in which form: what its EHLO
 * offers against what the message needs (RFC 1870, 6531, 6152).
 */
#pragma once

#include "deliver/downgrade.h"
#include "deliver/ehlo.h"
#include "deliver/jobs.h"

#define FIT_REFUSED (-ENOTSUP)

/*
 * Returns 0: it fits, as it is or by *down, which the caller frees; 1: more of it has to be looked
 * at, ask again with the same *down (NULL at first); FIT_REFUSED: its recipients are decided; other
 * errors: it can't be read.
 */
int fit_job(const struct ehlo *peer, struct job *job, struct downgrade **down);
