/* SPDX-License-Identifier: ISC */
/*
 * The users file (keeper): who may log in, one a line, "user:" and a secret (lib/secret.h). Names
 * are compared as they are written; of two equal ones the first counts. A line that makes no sense
 * is logged and left out, without what it holds.
 */
#pragma once

#include "lib/hash.h"
#include "lib/secret.h"

#define USERS_NAME_MAX 255

struct user {
	char name[USERS_NAME_MAX + 1];
	struct secret secret;
	UT_hash_handle hh;
};

/* Uses that file from now on; "": none. */
void users_use(const char *path);

/*
 * The user of that name, valid until the next call; NULL where there is none. *decoy is some user's
 * then, or NULL: who is checked in his place, so that the time doesn't tell. 0 or -EAGAIN: the
 * file can't be read.
 */
int users_find(const char *name, const struct user **user, const struct user **decoy);
