/* SPDX-License-Identifier: ISC */
/*
 * Members of aliases and of .forward files become recipients of the message (DESIGN §3), and given
 * to nobody before the recipient that they stand for has ended in the index. Nobody gets a message
 * twice: an address that the message has or had isn't added again; of users of this host that is
 * their name, whatever the domain (qmgr/member.h).
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "lib/msg.h"

struct rcpt;
struct recall;

/* Whose list it is. */
struct members_list {
	struct msg_bytes members; /* the list of lib/job.h */
	const char *owner;        /* local part of the sender they get, "": none */
	const char *user;         /* whose .forward it is, NULL: an alias */
	const struct recall
	    *others; /* recipients that aren't in memory; NULL: all are; taken over */
};

/*
 * The members take the place of `of`, which ends, or fails where they lead nowhere: it may be gone
 * afterwards. Mail without a sender keeps none (RFC 5321 §4.5.5). The message must get no other
 * recipients, and `list` must stay, until `done` is called, which may be before this returns.
 *
 * A long list is taken in slices of MEMBERS_SLICE_MS, and written in transactions of MEMBERS_ROWS.
 * Meanwhile its members and `of` are COMMITTING and `held`: nobody gets any of them before the
 * transaction in which `of` ends is through. If this process dies before, the members that have
 * rows go their way, and `of` is expanded again, without those.
 */
typedef void members_done(void *arg);
void members_take(struct rcpt *of, const struct members_list *list, members_done *done, void *arg);

#define MEMBERS_SLICE_MS 8
#define MEMBERS_ROWS     2000
