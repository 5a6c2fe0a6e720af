/* SPDX-License-Identifier: ISC */
/*
 * What stands behind a local recipient (keeper): the alias, else the user, else catch_all. One
 * question goes through these in turn, and some of the steps may have to wait for the name service.
 *
 *   alias of name@domain            its members
 *   alias of that name              its members
 *   user+tag, with a domain or not  as user, where no alias has that name
 *   \user, \\user                   the user's mailbox, past his alias (members of aliases only)
 *   a user of the host              his mailbox; at a hosted domain, a name of its file
 *   alias of @domain                its members
 *   postmaster                      as root, where no alias says otherwise (RFC 5321 4.5.1)
 *   anyone else                     as catch_all, if there is one; else unknown
 *
 * At a hosted domain (`virtual`) neither names without a domain count nor users of the host nor
 * catch_all; its postmaster is ours.
 *
 * Whether the user's .forward counts is another's question (qmgr/member.h).
 */
#pragma once

#include "lib/conf.h"
#include "lib/msg.h"
#include "master/aliases.h"

#define DIRECTORY_EXTENSION '+'

/*
 * The answer. user: the login name of the mailbox (KEEPER_MAILBOX), else "". alias: whose members
 * are meant (KEEPER_ALIAS), valid during the call only, else NULL.
 */
typedef void directory_answer(
    enum keeper_verdict verdict, const char *user, const struct map_alias *alias, void *arg);

/*
 * Takes aliases file, catch_all and hosted domains of that configuration, now and after a reload.
 * It has to live until the next one.
 */
void directory_use(const struct conf *conf);

/*
 * Asks for a local part (unquoted) at a domain ("": none). `expands`: the question comes from qmgr,
 * for delivery: goes before others, and may be a \user. The answer may come before this returns.
 */
void directory_ask(struct msg_bytes local, struct msg_bytes domain, bool expands,
    directory_answer *answer, void *arg);
