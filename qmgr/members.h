/* SPDX-License-Identifier: ISC */
/*
 * Members of aliases and of .forward files become recipients of the message (DESIGN §3), and given
 * to nobody before the recipient that they stand for has ended in the index. Nobody gets a message
 * twice: an address that the message has or had isn't added again; of users of this host that is
 * their name, whatever the domain.
 *
 * Members as keeper (an alias) or a user's process (a .forward) writes them:
 *
 *   user, user@domain    any address; one without a domain gets that of the recipient
 *   \user                the user's mailbox, past his alias and his .forward
 *   \\user               past his alias only: an alias that names itself
 *   |NAME:DIGEST         a command or file of the alias NAME, by the digest of its text; only
 *   |DIGEST              of keeper. The second form: of the user's .forward, only from there
 *
 * The latter are RCPTF_ENTRY, at DEST_ENTRY, with the address |NAME:DIGEST@domain or
 * |USER/DIGEST@domain: nothing of an envelope can be one, whatever it is called.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "lib/msg.h"

#define MEMBERS_ADDRESS_MAX 256 /* bytes; RFC 5321 §4.5.3.1.3 */

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

/*
 * Names at two local domains may be two people (keeper says so: the aliases file has names with
 * domains). Then an address is known by the whole of it.
 */
void members_by_domain(bool by_domain);

/* What tells it from the message's other recipients, for qmgr/ended.h. */
uint64_t members_key(const struct rcpt *rcpt);

/* The address without what only the queue understands: of an entry the alias or the user. */
struct msg_bytes members_shown(const struct rcpt *rcpt);

/*
 * An RCPTF_ENTRY taken apart, pointing into it: whose it is, and which. True when it is of an
 * alias.
 */
bool members_entry(const struct rcpt *rcpt, struct msg_bytes *name, struct msg_bytes *digest);
