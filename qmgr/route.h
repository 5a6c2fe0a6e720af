/* SPDX-License-Identifier: ISC */
/*
 * From a recipient to its destination, by the routes of the configuration in force. Nothing is
 * asked of anybody: what a domain's site is comes later (qmgr/dest.h).
 */
#pragma once

#include <stddef.h>

struct class;
struct conf_route;
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

/*
 * The name of a route's fixed hosts in the order in which the domain has them, "," between, cut to
 * size without a NUL behind it. Returns its length.
 */
size_t route_hop_name(
    const struct conf_route *route, const char *domain, char *out, size_t size);

/* The title of the source that such mail leaves from; "": any address of the host. */
const char *route_source(
    const struct conf_route *route, const struct class *class, const char *sender);
