/* SPDX-License-Identifier: ISC */
/*
 * The content of a message between the command that announces it and its reply, whichever way it
 * comes: DATA (smtpd/cmd_data.c) and BDAT (smtpd/cmd_bdat.c) find its bytes and its end, this puts
 * them into a parcel, the envelope and our header lines in front, and hands it to intake. What is
 * added must be in stored form (lib/dot.h).
 *
 * A body that must be refused loses its parcel at once; who feeds it reads on to its end and
 * answers with tx->refused.
 */
#pragma once

#include "smtpd/session.h"

#define BODY_DISCARD_MAX (64u << 20) /* bytes read of a body that was refused, beyond its limit */

/* The body begins: the transaction gets its parcel. Code 0, or why it can't be taken now. */
struct verdict body_begin(struct session *s);

/* The body isn't wanted any more; the first reason counts. */
void body_refuse(struct tx *tx, struct verdict v);

/* What the client is told of a failure of ours (-E...). */
struct verdict body_error(int error);

/* Does this listener mend line ends? */
bool body_mends(const struct session *s);

/*
 * How many bytes may be added now, at least 1, or 0: s must wait (WAIT_ROOM). What can't be stored
 * is refused here.
 */
size_t body_room(struct session *s);

/* Adds bytes in stored form, at most body_room(), and up to PARCEL_SLACK / 4 that were held back.
 */
void body_add(struct session *s, const char *stored, size_t n);

/*
 * The body is whole, `plain` bytes long without stuffed dots: ACT_WAIT for its sync, whose reply is
 * the message's, or why it is refused.
 */
struct verdict body_commit(struct session *s, uint64_t plain);
