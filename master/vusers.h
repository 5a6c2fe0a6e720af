/* SPDX-License-Identifier: ISC */
/*
 * Who has a mailbox at a hosted domain (keeper; `virtual` of the configuration): files of names,
 * one a line, `name` or `name@domain`. What stands behind a colon or white space is another
 * program's, such as the rest of a line of Dovecot's passwd-file. Without a domain a name is one at
 * each domain of its block. Names are compared without case. Read anew when they change
 * (master/textfile.h).
 */
#pragma once

#include "lib/conf.h"

#define VUSERS_NAME_MAX 320

/* Uses the files of that configuration from now on. */
void vusers_use(const struct conf *conf);

/*
 * Whether a block has that user at a domain (of its own, in lower case): 0 and name@domain in
 * `user`; -ENOENT; or -EAGAIN when the file isn't there or can't be read: nobody can tell.
 */
int vusers_find(const struct conf_virtual *block, const char *name, const char *domain,
    char user[VUSERS_NAME_MAX + 1]);
