/* SPDX-License-Identifier: ISC */
/* Files: the spool's file system, who may read what, the log's target, /usr/sbin/sendmail. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <linux/magic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "cli/doctor.h"
#include "lib/clock.h"

#define SYNCS      5
#define SYNC_SLOW  30000 /* us: above this a disk takes few messages a second from one client */
#define INODES_LOW 1000
#define BLOCK      4096
#define XFS_MAGIC  0x58465342
#define SENDMAIL   "/usr/sbin/sendmail"

/* fs_name - the types one meets */
static const char *fs_name(unsigned long type)
{
	switch (type) {
	case EXT4_SUPER_MAGIC:
		return "ext4";
	case XFS_MAGIC:
		return "xfs";
	case BTRFS_SUPER_MAGIC:
		return "btrfs";
	case TMPFS_MAGIC:
		return "tmpfs";
	case NFS_SUPER_MAGIC:
		return "nfs";
	case OVERLAYFS_SUPER_MAGIC:
		return "overlayfs";
	default:
		return "a file system";
	}
}

/* compare - for qsort() */
static int compare(const void *a, const void *b)
{
	int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
	return x < y ? -1 : x > y;
}

/* sync_time - of one block written in place, the median in us; -E... */
static int64_t sync_time(int fd)
{
	static const char block[BLOCK];
	int64_t took[SYNCS];
	if (pwrite(fd, block, sizeof(block), 0) != sizeof(block) || fdatasync(fd))
		return -errno;
	for (int i = 0; i < SYNCS; i++) {
		int64_t start = clock_us();
		if (pwrite(fd, block, sizeof(block), 0) != sizeof(block) || fdatasync(fd))
			return -errno;
		took[i] = clock_us() - start;
	}
	qsort(took, SYNCS, sizeof(took[0]), compare);
	return took[SYNCS / 2];
}

/* check_disk - a nameless file is written, synced and punched */
static void check_disk(struct doctor *d, const char *spool)
{
	int fd = open(spool, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
	if (fd < 0) {
		finding(d, LEVEL_WARNING, "run the doctor as root",
		    "the sync time was not measured: %s: %s", spool, strerror(errno));
		return;
	}
	int64_t us = sync_time(fd);
	if (us < 0)
		finding(d, LEVEL_FAIL, "look at `dmesg`: the disk may be broken or full",
		    "nothing can be written to %s: %s", spool, strerror((int)-us));
	else if (us > SYNC_SLOW)
		finding(d, LEVEL_WARNING,
		    "a faster disk, or one with a write cache that survives "
		    "a power cut",
		    "a sync takes %" PRId64 " ms: each client waits for one a message", us / 1000);
	else
		finding(d, LEVEL_OK, "", "a sync takes %" PRId64 ".%" PRId64 " ms", us / 1000,
		    us / 100 % 10);
	if (us >= 0 && fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, BLOCK))
		finding(d, LEVEL_WARNING,
		    "nothing has to be done: mail that waits is copied instead",
		    "the file system can't punch holes: %s", strerror(errno));
	close(fd);
}

/* check_space - bytes and inodes */
static void check_space(struct doctor *d, const char *spool)
{
	struct statfs fs;
	if (statfs(spool, &fs)) {
		finding(d, LEVEL_FAIL, "baton makes it at its start, as root", "%s: %s", spool,
		    strerror(errno));
		return;
	}
	uint64_t free_bytes = (uint64_t)fs.f_bavail * (uint64_t)fs.f_bsize;
	uint64_t want = d->conf->spool_min_free;
	const char *name = fs_name((unsigned long)fs.f_type);
	if (free_bytes < want)
		finding(d, LEVEL_FAIL,
		    "make room there (`du`, `batonctl queue --larger 10M`), or lower "
		    "spool_min_free: no mail is taken now",
		    "the disk of the spool is full: %" PRIu64 " MB free, spool_min_free is %" PRIu64
		    " MB",
		    free_bytes >> 20, want >> 20);
	else if (free_bytes < 2 * want)
		finding(d, LEVEL_WARNING, "make room there",
		    "%" PRIu64 " MB free for the spool, "
		    "at %" PRIu64 " MB no mail is taken",
		    free_bytes >> 20, want >> 20);
	else
		finding(d, LEVEL_OK, "", "%s on %s, %" PRIu64 " MB free", spool, name,
		    free_bytes >> 20);
	if (fs.f_type == TMPFS_MAGIC || fs.f_type == NFS_SUPER_MAGIC)
		finding(d, LEVEL_WARNING, "put the spool on a disk of this host", "%s is on %s: %s",
		    spool, name,
		    fs.f_type == TMPFS_MAGIC ? "mail in it is gone after a restart of the host"
					     : "a server that is away stops all mail");
	if (fs.f_files && fs.f_ffree < INODES_LOW)
		finding(d, LEVEL_WARNING, "remove small files there",
		    "only %" PRIu64 " inodes free", (uint64_t)fs.f_ffree);
}

/* check_aside - an index that was found broken: its mail was read back from the segments */
static void check_aside(struct doctor *d, const char *spool)
{
	struct dirent *entry;
	DIR *dir = opendir(spool);
	while (dir && (entry = readdir(dir)))
		if (!strncmp(entry->d_name, "index.broken-", 13))
			finding(d, LEVEL_WARNING,
			    "look at `dmesg` for trouble of the disk; remove the folder when "
			    "nobody wants to look at it",
			    "the index was found broken and rebuilt: %s/%.100s", spool,
			    entry->d_name);
	if (dir)
		closedir(dir);
}

/* check_spool - room, kind, speed */
void check_spool(struct doctor *d)
{
	check_aside(d, d->conf->spool);
	check_space(d, d->conf->spool);
	if (access(d->conf->spool, F_OK) == 0)
		check_disk(d, d->conf->spool);
}

/* check_secret - a file with passwords, if it is there */
static void check_secret(struct doctor *d, const char *path, const char *what)
{
	char fix[PATH_MAX + 40];
	struct stat st;
	if (path[0] != '/' || stat(path, &st))
		return;
	snprintf(fix, sizeof(fix), "`chmod 600 %s`", path);
	if (st.st_mode & 077)
		finding(d, LEVEL_FAIL, fix, "%s (%s) is open to others: mode %04o", path, what,
		    (unsigned)st.st_mode & 07777);
	else
		finding(d, LEVEL_OK, "", "%s (%s) is its owner's alone", path, what);
}

/* check_shut - nobody but its owner may write there */
static void check_shut(struct doctor *d, const char *path, mode_t bits)
{
	char fix[PATH_MAX + 40];
	struct stat st;
	if (stat(path, &st))
		return;
	snprintf(fix, sizeof(fix), "`chmod go-w %s`", path);
	if (st.st_mode & bits)
		finding(d, LEVEL_FAIL, fix, "%s may be written by others: mode %04o", path,
		    (unsigned)st.st_mode & 07777);
}

/* wants_logins - does any listener ask for them */
static bool wants_logins(const struct conf *conf)
{
	for (size_t i = 0; i < conf->nlisten; i++)
		if (conf->listen[i].auth != CONF_AUTH_NONE)
			return true;
	return false;
}

/* check_permissions - configuration, spool, files with secrets */
void check_permissions(struct doctor *d)
{
	const struct conf *c = d->conf;
	check_shut(d, d->file, 022);
	check_shut(d, c->spool, 022);
	check_shut(d, c->runtime, 022);
	check_secret(d, c->credentials, "logins at next hops");
	check_secret(d, c->users, "passwords of users");
	if (wants_logins(c) && c->users[0] == '/' && access(c->users, F_OK) && errno == ENOENT)
		finding(d, LEVEL_WARNING, "`batonctl user add NAME` makes it",
		    "nobody can log in: there is no %s", c->users);
	if (!d->said)
		finding(d, LEVEL_OK, "", "configuration, spool and sockets are shut to others");
}

/* check_log - where the lines go */
void check_log(struct doctor *d)
{
	bool syslog = d->conf->log == CONF_LOG_SYSLOG;
	if (syslog && access("/dev/log", F_OK))
		finding(d, LEVEL_WARNING, "start a syslog daemon or journald, or log = \"stderr\"",
		    "log = syslog, but there is no /dev/log: lines go to stderr");
	else
		finding(d, LEVEL_OK, "", "log lines go to %s",
		    syslog ? "syslog (`journalctl -t baton`, /var/log/mail.log)"
			   : "the standard error output (`journalctl -u baton`)");
}

/* our_sendmail - the one installed beside us: libexec/baton/doctor, bin/sendmail */
static bool our_sendmail(char *out, size_t size)
{
	char self[PATH_MAX];
	ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);
	for (int i = 0; n > 0 && i < 3; i++) {
		self[n] = '\0';
		char *slash = strrchr(self, '/');
		n = slash ? slash - self : 0;
	}
	if (n <= 0)
		return false;
	self[n] = '\0';
	int len = snprintf(out, size, "%s/bin/sendmail", self);
	return len > 0 && (size_t)len < size;
}

/* check_sendmail - what programs of this host call */
void check_sendmail(struct doctor *d)
{
	char ours[PATH_MAX], real[PATH_MAX], ours_real[PATH_MAX], fix[PATH_MAX + 60];
	if (!our_sendmail(ours, sizeof(ours)) || !realpath(ours, ours_real))
		return;
	snprintf(fix, sizeof(fix), "`ln -sf %s %s`", ours, SENDMAIL);
	if (!realpath(SENDMAIL, real))
		finding(d, LEVEL_WARNING, fix, "there is no %s: cron and others can't send mail",
		    SENDMAIL);
	else if (strcmp(real, ours_real) != 0)
		finding(d, LEVEL_WARNING, fix,
		    "%s is %s, not ours: mail of this host's programs "
		    "goes elsewhere",
		    SENDMAIL, real);
	else
		finding(d, LEVEL_OK, "", "%s is ours", SENDMAIL);
}
