/* SPDX-License-Identifier: ISC */
/*
 * Changing the users file (lib/secret.h says what a line holds). It is replaced whole: a new file
 * with mode 0600 is written beside it, synced and renamed, while its folder is locked against
 * another change. Lines of others and comments stay as they are. A new file belongs to baton-keeper
 * where root makes it and there is such a user, else to who makes it.
 */
#pragma once

#include <stddef.h>
#include <stdio.h>

#define USERFILE_NAME_MAX 255

/*
 * Sets the line of a user, or takes it out (secret NULL). must_exist: 1 only where he is there, 0
 * only where he isn't. Returns 0; -EEXIST, -ENOENT accordingly; -EINVAL for a name that can't be
 * one; or another -E....
 */
int userfile_change(const char *path, const char *name, const char *secret, int must_exist);

/* Calls row() for each user, with the text behind his name. 0 or -E...; no file is no user. */
int userfile_walk(const char *path,
    void (*row)(const char *name, size_t len, const char *secret, size_t secret_len, void *arg),
    void *arg);
