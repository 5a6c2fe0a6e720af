/* SPDX-License-Identifier: ISC */
/*
 * The second half of lib/sandbox.h: Landlock, by bare system calls since libc has no wrappers.
 * seccomp can't look at a path; this can, and costs nothing per read or write. A kernel that knows
 * fewer rights than we ask about gets those it knows.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/landlock.h>
#include <stdint.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "lib/sandbox.h"

#ifndef LANDLOCK_ACCESS_FS_REFER
#define LANDLOCK_ACCESS_FS_REFER (1ULL << 13)
#endif
#ifndef LANDLOCK_ACCESS_FS_TRUNCATE
#define LANDLOCK_ACCESS_FS_TRUNCATE (1ULL << 14)
#endif

/* known_rights - all rights to files that a kernel of that ABI can take away */
static uint64_t known_rights(long abi)
{
	uint64_t rights = (LANDLOCK_ACCESS_FS_MAKE_SYM << 1) - 1; /* the first 13, of ABI 1 */
	if (abi >= 2)
		rights |= LANDLOCK_ACCESS_FS_REFER;
	if (abi >= 3)
		rights |= LANDLOCK_ACCESS_FS_TRUNCATE;
	return rights;
}

/* allow_below - the one exception; 0 or -E... */
static int allow_below(int ruleset, const char *folder, uint64_t rights)
{
	struct landlock_path_beneath_attr below = {.allowed_access = rights};
	below.parent_fd = open(folder, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (below.parent_fd < 0)
		return -errno;
	int e = syscall(SYS_landlock_add_rule, ruleset, LANDLOCK_RULE_PATH_BENEATH, &below, 0) == 0
		    ? 0
		    : -errno;
	close(below.parent_fd);
	return e;
}

/* restrict_to - those rights only below a folder; 0 or -E... */
static int restrict_to(const char *folder, uint64_t wanted)
{
#ifdef BATON_SANITIZE
	/* a report needs the program's own file and /proc for its line numbers */
	if (access(folder, F_OK) == 0)
		return -EOPNOTSUPP;
#endif
	long abi = syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);
	if (abi < 1)
		return -EOPNOTSUPP;
	struct landlock_ruleset_attr attr = {.handled_access_fs = known_rights(abi) & wanted};
	int ruleset = (int)syscall(SYS_landlock_create_ruleset, &attr, sizeof(attr), 0);
	if (ruleset < 0)
		return errno == ENOSYS || errno == EOPNOTSUPP ? -EOPNOTSUPP : -errno;
	int e = allow_below(ruleset, folder, attr.handled_access_fs);
	if (!e && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
		e = -errno;
	if (!e && syscall(SYS_landlock_restrict_self, ruleset, 0) != 0)
		e = -errno;
	close(ruleset);
	return e;
}

/* sandbox_only_below - no file but those of a folder */
int sandbox_only_below(const char *folder)
{
	return restrict_to(folder, UINT64_MAX);
}

/* sandbox_write_only_below - to write to, make, move or take away */
int sandbox_write_only_below(const char *folder)
{
	const uint64_t reads =
	    LANDLOCK_ACCESS_FS_EXECUTE | LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR;
	return restrict_to(folder, ~reads);
}
