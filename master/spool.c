/* SPDX-License-Identifier: ISC */
/*
 * flock() and not fcntl(): it belongs to the open file description, which fork and exec hand on, so
 * the kernel frees it with the last process of the tree, however that one ended.
 *
 * Folders are opened without following links and changed through the descriptor: in a folder that
 * somebody else may write, a name alone proves nothing.
 */
#include "master/spool.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "lib/drop.h"
#include "lib/priv.h"
#include "master/aliases.h"

/* make_folder - the folder base/name exists with that mode and owner */
static int make_folder(
    const char *base, const char *name, mode_t mode, struct service_user owner, char *path)
{
	int n = snprintf(path, PATH_MAX, "%s%s%s", base, *name ? "/" : "", name);
	if (n < 0 || n >= PATH_MAX)
		return -ENAMETOOLONG;
	if (mkdir(path, 0700) != 0 && errno != EEXIST)
		return -errno;
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	struct stat st;
	int e = fstat(fd, &st) == 0 ? 0 : -errno;
	/* chown first: it may clear mode bits; and only where it differs: a user can't chown */
	if (!e && (st.st_uid != owner.uid || st.st_gid != owner.gid) && priv_is_root() &&
	    fchown(fd, owner.uid, owner.gid) != 0)
		e = -errno;
	if (!e && (st.st_mode & 07777) != mode && fchmod(fd, mode) != 0)
		e = -errno;
	close(fd);
	return e;
}

/* spool_prepare - all folders of the instance */
int spool_prepare(const struct conf *conf, char *path)
{
	struct service_user self = {geteuid(), getegid()};
	struct service_user queue = service_user(service_of(ROLE_QMGR));
	struct service_user keeper = service_user(service_of(ROLE_KEEPER));
	const struct {
		const char *base, *name;
		mode_t mode;
		struct service_user owner;
	} folders[] = {
	    {conf->spool, "", 0711, self},
	    {conf->spool, "segments", 0700, queue},
	    {conf->spool, "index", 0700, queue},
	    {conf->spool, DROP_FOLDER, 01733, self},
	    {conf->spool, DROP_REFUSED, 0700, self},
	    {conf->spool, ALIASES_FOLDER, 0700, keeper},
	    {conf->runtime, "", 0755, self},
	    {conf->runtime, SPOOL_EMPTY, 0555, self},
	};
	for (size_t i = 0; i < sizeof(folders) / sizeof(folders[0]); i++) {
		int e = make_folder(
		    folders[i].base, folders[i].name, folders[i].mode, folders[i].owner, path);
		if (e)
			return e;
	}
	return 0;
}

/* read_pid - what the holder wrote into its lock */
static pid_t read_pid(int fd)
{
	char buf[32];
	ssize_t n = pread(fd, buf, sizeof(buf) - 1, 0);
	if (n <= 0)
		return 0;
	buf[n] = '\0';
	long pid = strtol(buf, NULL, 10);
	return pid > 0 && pid <= INT_MAX ? (pid_t)pid : 0;
}

/* lock_path - where the lock file of a spool lies */
static int lock_path(const struct conf *conf, char *path)
{
	int n = snprintf(path, PATH_MAX, "%s/lock", conf->spool);
	return n < 0 || n >= PATH_MAX ? -ENAMETOOLONG : 0;
}

/* is_alive - whether that process exists, whoever's it is */
static bool is_alive(pid_t pid)
{
	return pid > 0 && (kill(pid, 0) == 0 || errno == EPERM);
}

/* take - lock fd, waiting only for what a dead instance left behind */
static int take(int fd, int wait_ms, pid_t *holder)
{
	const int step_ms = 20;
	for (int waited = 0; flock(fd, LOCK_EX | LOCK_NB) != 0; waited += step_ms) {
		if (errno != EWOULDBLOCK && errno != EINTR)
			return -errno;
		*holder = read_pid(fd);
		if (is_alive(*holder) || waited >= wait_ms)
			return -EBUSY;
		nanosleep(&(struct timespec){0, step_ms * 1000000L}, NULL);
	}
	return 0;
}

/* spool_lock - become the spool's one instance */
int spool_lock(const struct conf *conf, int wait_ms, pid_t *holder)
{
	char path[PATH_MAX], text[32];
	int e = lock_path(conf, path);
	if (e)
		return e;
	/* 0600: flock() needs no right to write, and who could lock it could keep us down */
	int fd = open(path, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0)
		return -errno;
	e = take(fd, wait_ms, holder);
	int n = snprintf(text, sizeof(text), "%ld\n", (long)getpid());
	if (!e && (ftruncate(fd, 0) != 0 || pwrite(fd, text, (size_t)n, 0) != n))
		e = errno ? -errno : -EIO;
	if (e) {
		close(fd);
		return e;
	}
	return fd;
}

/* spool_lock_holder - the pid in the lock file */
pid_t spool_lock_holder(const struct conf *conf)
{
	char path[PATH_MAX];
	if (lock_path(conf, path))
		return 0;
	int fd = open(path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return 0;
	pid_t pid = read_pid(fd);
	close(fd);
	return pid;
}
