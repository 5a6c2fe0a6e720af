/* SPDX-License-Identifier: ISC */
/*
 * `batonctl dns`: connections of tools on the socket "dns" in `runtime`. For
 * admins (lib/rights.h); others are told so. At most TOOLS_MAX at once.
 *
 * A tool asks as mail would (MX, addresses, TLSA) or as an smtpd would (PTR, TXT), is told how the
 * answer was come by, and may have a name forgotten in both caches.
 */
#pragma once

#include "dnscache/resolve.h"

#define TOOLS_MAX 16

/* Answers from this resolver from now on. */
void tools_init(struct resolver *r);

/* Takes over the listening socket that master sent, in place of an earlier one. */
void tools_listen(int fd);

/* A tool at the other end of fd, which is taken over; its user was checked. */
void tools_link(int fd);
