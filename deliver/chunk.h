/* SPDX-License-Identifier: ISC */
/*
 * A message as one BDAT chunk (RFC 3030): the content as it was before it was stored, behind a
 * command that says its length. It is read as a whole before the first command of its transaction
 * is sent: what can't be read costs nobody else on the connection anything. Hence small ones only;
 * big ones go by DATA, which sends the bytes as they are stored.
 */
#pragma once

#include <event2/buffer.h>
#include <stdbool.h>

#include "deliver/jobs.h"

#define CHUNK_MAX (64u << 10) /* bytes as stored */

/* Whether it is small enough. */
bool chunk_fits(const struct job *job);

/*
 * Reads it. Returns 0 and what to send, command and content, to be freed by the caller; -EBADMSG
 * when the record is damaged, other errors of pread(), -ENOMEM.
 */
int chunk_read(const struct job *job, struct evbuffer **out);
