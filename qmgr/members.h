/* SPDX-License-Identifier: ISC */
/*
 * Members of aliases and of .forward files become recipients of the message (DESIGN §3): in one
 * transaction, in which the recipient that they stand for ends. Nobody gets a message twice: an
 * address that the message has or had isn't added again; of users of this host that is their name,
 * whatever the domain.
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

/*
 * The members take the place of `of`, which ends, or fails where they lead nowhere: it may be gone
 * afterwards. owner: local part of the sender they get, "" for none; mail without a sender keeps
 * none (RFC 5321 §4.5.5). user: whose .forward it is, NULL: an alias. others: the message's
 * recipients that aren't in memory; NULL: all are.
 */
void members_take(struct rcpt *of, struct msg_bytes list, struct msg_bytes owner, const char *user,
    const struct recall *others);

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
