/* SPDX-License-Identifier: ISC */
/*
 * One member of an alias or of a .forward file: the forms it comes in, the address that the queue
 * has for it, and what it is known by. qmgr/members.h makes recipients of them; whoever shows a
 * recipient to people or to other hosts asks for member_shown().
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

#define MEMBER_ADDRESS_MAX 256 /* bytes; RFC 5321 §4.5.3.1.3 */
#define MEMBER_SIZE        (MEMBER_ADDRESS_MAX + 64) /* for a buffer: an entry needs more */

struct rcpt;

/*
 * The address of a member of `of`: `user` is whose .forward it stands in, NULL: an alias. False
 * for what is no address, or may not be said by that user.
 */
bool member_address(
    const struct rcpt *of, const char *user, struct msg_bytes member, char out[MEMBER_SIZE]);

/* Whether an address is a user of this host, by the routes that mail of `of` goes by. */
bool member_is_local(const struct rcpt *of, const char *address);

/* The domain of its address; "" without one. */
const char *member_domain(const struct rcpt *rcpt);

/*
 * What tells an address, or a recipient, from the message's others: of users of this host it is the
 * name. Of this process only (lib/hash.h), for it mustn't be steered by who sends.
 */
uint64_t member_key_of(const char *address, bool local);
uint64_t member_key(const struct rcpt *rcpt);

/*
 * Names at two local domains may be two people (keeper says so: the aliases file has names with
 * domains). Then an address is known by the whole of it.
 */
void member_by_domain(bool by_domain);

/* The address without what only the queue understands: of an entry the alias or the user. */
struct msg_bytes member_shown(const struct rcpt *rcpt);

/*
 * An RCPTF_ENTRY taken apart, pointing into it: whose it is, and which. True when it is of an
 * alias.
 */
bool member_entry(const struct rcpt *rcpt, struct msg_bytes *name, struct msg_bytes *digest);
