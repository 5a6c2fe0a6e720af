/* SPDX-License-Identifier: ISC */
/*
 * Giving up root. Called by child_start() for the roles and by master's children of a local
 * delivery; each step is verified, a step that can't be verified is an error.
 */
#pragma once

#include <stdbool.h>
#include <sys/types.h>

/*
 * Becomes uid and gid with exactly the given supplementary groups, for ever. Afterwards checks
 * that all three uids and gids are the new ones and that setuid(0) fails. Returns 0 or -E....
 */
int priv_drop(uid_t uid, gid_t gid, const gid_t *groups, size_t ngroups);

/* chroot() into path and chdir("/"). Only root can. Returns 0 or -E.... */
int priv_chroot(const char *path);

/* Whether this process has uid 0 (effective). */
bool priv_is_root(void);

/* Raises the descriptor limit to its hard maximum; returns the limit now in force. */
unsigned long priv_raise_fd_limit(void);
