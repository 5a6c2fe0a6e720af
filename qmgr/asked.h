/* SPDX-License-Identifier: ISC */
/*
 * The channels to those whom qmgr asks and of whom there is one: keeper (who a local name is) and
 * dnscache (where a domain's mail goes). Their answers go to whoever asked; when one dies the
 * questions are asked again through the next link. For qmgr/links.c, which gets the links.
 */
#pragma once

#include "lib/chan.h"

/* LINK from master to ROLE_KEEPER or ROLE_DNSCACHE; takes the descriptor. */
void asked_linked(enum role role, unsigned instance, int fd);

/* NULL while there is none. */
struct chan *asked_keeper(void);
struct chan *asked_dnscache(void);
