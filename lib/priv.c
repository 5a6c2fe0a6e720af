/* SPDX-License-Identifier: ISC */
/*
 * The order is that of every careful daemon: groups while still root, then gid, then uid, each in
 * all its three forms; then the proof, by asking the kernel and by trying to get root back.
 * setres*id of glibc changes all threads.
 */
#include "lib/priv.h"

#include <errno.h>
#include <grp.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

enum { GROUPS_MAX = 65536 };

/* has_groups - whether exactly these supplementary groups are in force, in any order */
static int has_groups(const gid_t *groups, size_t n)
{
	int have = getgroups(0, NULL);
	if (have < 0)
		return -errno;
	/* the kernel keeps what was set, duplicates included, but sorted */
	if ((size_t)have != n)
		return -EPERM;
	if (n == 0)
		return 0;
	gid_t *now = calloc(n, sizeof(*now));
	if (!now)
		return -ENOMEM;
	int e = getgroups(have, now) == have ? 0 : -EPERM;
	for (size_t i = 0; i < n && !e; i++) {
		size_t k = 0;
		while (k < n && groups[k] != now[i])
			k++;
		if (k == n)
			e = -EPERM;
	}
	free(now);
	return e;
}

/* is_dropped - the proof that nothing of the old user is left */
static int is_dropped(uid_t uid, gid_t gid)
{
	uid_t r, e, s;
	gid_t rg, eg, sg;
	if (getresuid(&r, &e, &s) != 0 || getresgid(&rg, &eg, &sg) != 0)
		return -errno;
	if (r != uid || e != uid || s != uid || rg != gid || eg != gid || sg != gid)
		return -EPERM;
	if (setuid(0) == 0 || seteuid(0) == 0)
		return -EPERM;
	return 0;
}

/* priv_drop - become that user for ever */
int priv_drop(uid_t uid, gid_t gid, const gid_t *groups, size_t ngroups)
{
	if (uid == 0 || uid == (uid_t)-1 || gid == (gid_t)-1 || ngroups > GROUPS_MAX)
		return -EINVAL;
	if (setgroups(ngroups, groups) != 0 || setresgid(gid, gid, gid) != 0 ||
	    setresuid(uid, uid, uid) != 0)
		return -errno;
	int e = is_dropped(uid, gid);
	return e ? e : has_groups(groups, ngroups);
}

/* priv_chroot - lock this process into a folder */
int priv_chroot(const char *path)
{
	/* chdir first, so that "." never stays outside */
	if (chdir(path) != 0 || chroot(".") != 0 || chdir("/") != 0)
		return -errno;
	return 0;
}

/* priv_is_root - effective uid 0 */
bool priv_is_root(void)
{
	return geteuid() == 0;
}

/* priv_raise_fd_limit - as many descriptors as we may have */
unsigned long priv_raise_fd_limit(void)
{
	struct rlimit r;
	if (getrlimit(RLIMIT_NOFILE, &r) != 0)
		return 1024;
	rlim_t soft = r.rlim_cur;
	r.rlim_cur = r.rlim_max;
	if (soft < r.rlim_max && setrlimit(RLIMIT_NOFILE, &r) != 0)
		return (unsigned long)soft;
	return (unsigned long)r.rlim_cur;
}
