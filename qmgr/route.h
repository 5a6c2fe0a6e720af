/* SPDX-License-Identifier: ISC */
/*
 * From a recipient to its destination, by the routes of the configuration in force. Nothing is
 * asked of anybody: what a domain's site is comes later (qmgr/dest.h).
 */
#pragma once

#include <stddef.h>

struct rcpt;

/*
 * Gives the recipient its destination and places it (schedule_place()); one whose route says error
 * or discard ends here. The recipient may be gone afterwards. A recipient whose notice is owed goes
 * to DEST_NOTICE whatever the routes say.
 */
void route_rcpt(struct rcpt *rcpt);

/* Only gives it its destination: for one that waits for something else before it is placed. */
void route_assign(struct rcpt *rcpt);

/* An address apart: domain in lower case, "" for none. Both buffers have `size` bytes. */
void route_split(const char *address, char *local, char *domain, size_t size);
