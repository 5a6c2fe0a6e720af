/* SPDX-License-Identifier: ISC */
/*
 * Who talks to whom: a table of pairs of roles, and the socket pairs made of it. Each side gets
 * its end with LINK. When a process is replaced its neighbours see their channel close (after all
 * that it had sent) and get a new LINK from here.
 */
#pragma once

#include "master/tree.h"

/*
 * Gives the place's process, which has said READY, a link to each neighbour that was joined before,
 * and them one to it. A link that can't be made for lack of descriptors costs the newer process its
 * life: half a system would look like a whole one. Returns 0 or -E....
 */
int links_join(struct place *place);
