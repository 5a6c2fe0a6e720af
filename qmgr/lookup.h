/* SPDX-License-Identifier: ISC */
/*
 * Questions to dnscache: the site of a destination's domain. At most LOOKUPS_MAX are asked at a
 * time, the rest stand in line; a new link is asked again for all; one without an answer in
 * LOOKUP_MS counts as trouble for now. The answer binds the destination (qmgr/site.h). What
 * dnscache said a moment ago isn't asked but read (lib/answers.h), LOOKUPS_READ of a turn.
 *
 * dnscache is told of the first LOOKUPS_SOON that stand in line, so that it works ahead; and it
 * tells when resolvers answer again after a silence: then sites that are down for want of an answer
 * are asked for at once.
 */
#pragma once

#include "lib/chan.h"
#include "lib/job.h"

#define LOOKUPS_MAX      200
#define LOOKUPS_SOON     2000 /* of those in line that are announced */
#define LOOKUPS_READ     100  /* a turn stays short: beyond these the channel is asked */
#define LOOKUP_MS        60000
#define LOOKUP_TTL_MIN_S 30   /* an answer is kept at least so long */
#define LOOKUP_TTL_MAX_S 3600 /* and at most so long */

struct dest;

/* Asks for dest, which is DEST_ASKING, until the answer comes or lookup_forget(). */
void lookup_site(struct dest *dest);
void lookup_forget(struct dest *dest);

/* The link to dnscache is new. */
void lookup_linked(void);
/* deliver found out that the domain takes no mail (OPEN_NO_DOMAIN, OPEN_NULL_MX, OPEN_LOOP). */
void lookup_refused(struct dest *dest, enum open_verdict verdict);
/* dns_back */
void lookup_back(void);
/* dns_site_is */
void lookup_answer(const struct msg_dns_site_is *m);
