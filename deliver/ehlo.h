/* SPDX-License-Identifier: ISC */
/*
 * What a peer's answer to EHLO offers (RFC 5321 §4.1.1.1), as far as a client of ours makes use of
 * it. A plain value: client_open.c reads it, pipeline.c goes by it.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "lib/reply.h"

#define EHLO_AUTH_SIZE 256 /* what doesn't fit isn't seen */

struct ehlo {
	bool pipelining, chunking, size, eightbit, dsn, smtputf8, starttls;
	uint64_t size_max;         /* bytes, 0: none said */
	char auth[EHLO_AUTH_SIZE]; /* mechanisms, a space before each; "": none */
};

/* Reads every line of a 2xx answer; the first one is the peer's name. Unknown keywords are passed
 * over, and so is a parameter that makes no sense. */
void ehlo_read(struct ehlo *ehlo, const struct reply *reply);
