/* SPDX-License-Identifier: ISC */
/*
 * Who may do what on the sockets in `runtime` (`admins` in baton.conf). An admin may say every tool
 * message that lib/msg.def allows; anybody else what the table in rights.c names, and sees and
 * changes by it only the mail that he has sent. What the table doesn't name is the admins'.
 *
 * qmgr, dnscache and master ask here and nowhere else: rights_peer() when a tool connects, and qmgr
 * rights_may() before each of its messages (struct chan_handlers' `may`). The table has nothing of
 * dnscache and master: they let nobody in but admins.
 *
 * Admins are root, the user who runs the instance, and who the option names. master has turned
 * names into numbers (conf.admin_uids, conf.admin_gids): no role asks a name service here. A %group
 * counts whether it is the peer's own or one of the others that his process has.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/conf.h"
#include "lib/msg.h"

#define RIGHTS_TEXT_MAX 512 /* of a refusal */

/* Who sits behind a tool, by the kernel's word at the time it connected. */
struct rights_peer {
	uint32_t uid;
	bool admin;
};

/* Returns 0, or -E... when the kernel can't say: nobody may do anything then. */
int rights_peer(int fd, const struct conf *conf, struct rights_peer *peer);

/* Whether the peer may say that. */
bool rights_may(const struct rights_peer *peer, unsigned type, const union msg_any *msg);

/* Why not, and what else: a sentence for people. */
void rights_refusal(const struct conf *conf, char text[RIGHTS_TEXT_MAX]);

/*
 * Says so to a tool that has just connected, and closes fd: for a role of which the table names
 * nothing, and for a peer that the kernel can't name (NULL).
 */
void rights_refuse(int fd, enum role self, const struct conf *conf, const struct rights_peer *peer);
