/* SPDX-License-Identifier: ISC */
/*
 * mbox: the message is appended to one file under two locks, fcntl first and then the dot-lock,
 * as Debian policy 11.6 wants it; where the second is taken the first is given back while waiting,
 * so that two programs in different order don't block each other. What a failed append wrote is
 * cut off again.
 *
 * Under /var/mail the process has the group's right to write other users' files too, so there
 * the file must be a plain one of the user (or root), with one name, reached through no link.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sysexits.h>
#include <time.h>
#include <unistd.h>

#include "deliver/mailbox.h"
#include "lib/clock.h"

struct mbox {
	const char *path;
	char dot[PATH_MAX]; /* the dot-lock's name */
	int fd;
	bool system;  /* in /var/mail */
	bool created; /* by this delivery: its folder needs a sync */
	bool dotted;  /* the dot-lock is ours */
};

/* open_mbox - the file, made where it lacks */
static int open_mbox(struct mbox *m)
{
	int flags = O_RDWR | O_CLOEXEC | O_NONBLOCK | (m->system ? O_NOFOLLOW : 0);
	struct stat st;
	m->fd = open(m->path, flags);
	if (m->fd < 0 && errno == ENOENT) {
		m->fd = open(m->path, flags | O_CREAT | O_EXCL, 0600);
		m->created = m->fd >= 0;
	}
	if (m->fd < 0)
		return -errno;
	if (fstat(m->fd, &st) < 0)
		return -errno;
	if (!S_ISREG(st.st_mode))
		return -EINVAL;
	if (m->system && (st.st_nlink != 1 || (st.st_uid != geteuid() && st.st_uid != 0)))
		return -EPERM;
	if (m->system && m->created && fchmod(m->fd, 0660) < 0)
		return -errno;
	return 0;
}

/* lock_fcntl - the first lock: 0, -EAGAIN when another has it, -E... */
static int lock_fcntl(struct mbox *m, short type)
{
	struct flock lock = {.l_type = type, .l_whence = SEEK_SET};
	if (fcntl(m->fd, F_SETLK, &lock) == 0)
		return 0;
	return errno == EACCES || errno == EAGAIN ? -EAGAIN : -errno;
}

/* break_stale - a dot-lock that its maker left behind is removed */
static void break_stale(const struct mbox *m)
{
	struct stat st;
	if (lstat(m->dot, &st) == 0 && S_ISREG(st.st_mode) &&
	    clock_wall_ms() / 1000 - (int64_t)st.st_mtime > MAILBOX_LOCK_STALE_S)
		unlink(m->dot);
}

/* lock_dot - the second lock: 0, -EAGAIN when another has it, -E... */
static int lock_dot(struct mbox *m)
{
	char pid[24];
	int fd = open(m->dot, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0444);
	if (fd < 0 && errno == EEXIST) {
		break_stale(m);
		return -EAGAIN;
	}
	/* A folder we may not write to: fcntl alone, which every program of Debian uses too. */
	if (fd < 0 && (errno == EACCES || errno == EPERM || errno == EROFS))
		return 0;
	if (fd < 0)
		return -errno;
	int n = snprintf(pid, sizeof(pid), "%ld\n", (long)getpid());
	m->dotted = true;
	/* For others' information only: the lock is the name, so a failed write is none of ours. */
	mailbox_write(fd, pid, (size_t)n);
	close(fd);
	return 0;
}

/* lock - both locks, or -EAGAIN after wait_s seconds */
static int lock(struct mbox *m, unsigned wait_s)
{
	int64_t until = clock_ms() + (int64_t)wait_s * 1000;
	for (unsigned pause_ms = 50;; pause_ms = pause_ms < 1000 ? pause_ms * 2 : 1000) {
		int rc = lock_fcntl(m, F_WRLCK);
		if (!rc) {
			rc = lock_dot(m);
			if (!rc)
				return 0;
			lock_fcntl(m, F_UNLCK);
		}
		if (rc != -EAGAIN || clock_ms() >= until)
			return rc;
		struct timespec pause = {
		    .tv_sec = pause_ms / 1000, .tv_nsec = (long)(pause_ms % 1000) * 1000000};
		nanosleep(&pause, NULL);
	}
}

/* moved - whether the path no longer leads to the file we locked (an MUA replaced it) */
static bool moved(const struct mbox *m)
{
	struct stat a, b;
	return fstat(m->fd, &a) < 0 || stat(m->path, &b) < 0 || a.st_dev != b.st_dev ||
	       a.st_ino != b.st_ino;
}

/* put_from - what must stand before a message: an end of the one before, and the From_ line */
static int put_from(const struct mailbox_request *req, int fd, off_t size)
{
	char line[2 + MAILBOX_FROM_MAX], tail[2] = {'\n', '\n'};
	size_t n = 0;
	if (size >= 2 && pread(fd, tail, 2, size - 2) != 2)
		return errno ? -errno : -EIO;
	if (size >= 2 && tail[1] != '\n')
		line[n++] = '\n';
	if (size >= 2 && (tail[0] != '\n' || tail[1] != '\n'))
		line[n++] = '\n';
	int from = mailbox_from(req, line + n);
	return from < 0 ? from : mailbox_write(fd, line, n + (size_t)from);
}

/* append - the message at the end of the locked file; cut back on failure */
static int append(const struct mailbox_request *req, struct mbox *m)
{
	off_t size = lseek(m->fd, 0, SEEK_END);
	if (size < 0)
		return -errno;
	errno = 0;
	int rc = put_from(req, m->fd, size);
	if (!rc)
		rc = mailbox_copy(req, m->fd, true);
	if (!rc)
		rc = mailbox_write(m->fd, "\n", 1);
	if (!rc && fsync(m->fd) < 0)
		rc = -errno;
	if (!rc && m->created)
		rc = mailbox_sync_folder(m->path);
	if (rc < 0 && ftruncate(m->fd, size) < 0)
		return -errno;
	return rc;
}

/* mailbox_mbox - deliver into an mbox file */
void mailbox_mbox(const struct mailbox_request *req, const char *path, struct mailbox_result *res)
{
	struct mbox m = {.path = path,
	    .fd = -1,
	    .system = !strncmp(path, LOCAL_MAIL_DIR, strlen(LOCAL_MAIL_DIR))};
	if (!strcmp(path, "/dev/null")) {
		mailbox_say(res, 250, "2.0.0", EX_OK, "thrown away: /dev/null");
		return;
	}
	int n = snprintf(m.dot, sizeof(m.dot), "%s.lock", path);
	int rc = n > 0 && (size_t)n < sizeof(m.dot) ? open_mbox(&m) : -ENAMETOOLONG;
	if (!rc)
		rc = lock(&m, req->lock_wait_s);
	if (!rc)
		rc = moved(&m) ? -EAGAIN : append(req, &m);
	if (m.dotted)
		unlink(m.dot);
	if (m.fd >= 0)
		close(m.fd); /* and with it the fcntl lock */
	if (rc == -EAGAIN)
		mailbox_say(res, 451, "4.2.0", EX_TEMPFAIL, "mailbox %s is locked", path);
	else if (rc == -EPERM)
		mailbox_say(res, 451, "4.2.0", EX_NOPERM, "mailbox %s is not the user's own", path);
	else if (rc == -EINVAL)
		mailbox_say(res, 451, "4.2.0", EX_CANTCREAT, "mailbox %s is no plain file", path);
	else if (rc < 0)
		mailbox_say_errno(res, rc, path);
	else
		mailbox_say(res, 250, "2.0.0", EX_OK, "delivered to mailbox %s", path);
}
