/* SPDX-License-Identifier: ISC */
/*
 * Maildir: the message is written to tmp/ under a name nobody else has, synced, and linked into
 * new/, which is synced then. A reader sees it whole or not at all; there are no locks. link()
 * rather than rename(): it never replaces a message. Where the file system has no links the
 * rename is as good, since the name is unique.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sysexits.h>
#include <unistd.h>

#include "deliver/mailbox.h"
#include "lib/clock.h"

#define NAME_ROOM 400 /* bytes of "/tmp/" and a unique name */

/* unique_name - time, process, 64 random bits and the host, as Maildir's page says */
static int unique_name(char *out, size_t size)
{
	char host[128], safe[300];
	unsigned long long random;
	size_t n = 0;
	int64_t now = clock_wall_us();
	if (gethostname(host, sizeof(host)) < 0)
		return -errno;
	host[sizeof(host) - 1] = '\0';
	for (const char *p = host; *p && n < sizeof(safe) - 5; p++) {
		if (*p == '/' || *p == ':' || (unsigned char)*p <= ' ')
			n += (size_t)snprintf(safe + n, 5, "\\%03o", (unsigned char)*p);
		else
			safe[n++] = *p;
	}
	safe[n] = '\0';
	if (getrandom(&random, sizeof(random), 0) != sizeof(random))
		return -EIO;
	int len = snprintf(out, size, "%lld.M%06lldP%ldR%016llx.%s", (long long)(now / 1000000),
	    (long long)(now % 1000000), (long)getpid(), random, safe);
	return len > 0 && (size_t)len < size ? 0 : -ENAMETOOLONG;
}

/* make_folders - the Maildir and its three folders, where they lack */
static int make_folders(const char *path)
{
	static const char *const parts[] = {"", "/tmp", "/new", "/cur"};
	char folder[PATH_MAX];
	for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
		int n = snprintf(folder, sizeof(folder), "%s%s", path, parts[i]);
		if (n < 0 || (size_t)n >= sizeof(folder))
			return -ENAMETOOLONG;
		if (mkdir(folder, 0700) < 0) {
			if (errno != EEXIST)
				return -errno;
		} else {
			int rc = mailbox_sync_folder(folder);
			if (rc < 0)
				return rc;
		}
	}
	return 0;
}

/* write_tmp - the message as a whole and synced file in tmp/; 0 or -E... and no file */
static int write_tmp(const struct mailbox_request *req, const char *tmp)
{
	int fd = open(tmp, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd < 0)
		return -errno;
	int rc = mailbox_copy(req, fd, false);
	if (!rc && fsync(fd) < 0)
		rc = -errno;
	if (close(fd) < 0 && !rc)
		rc = -errno;
	if (rc < 0)
		unlink(tmp);
	return rc;
}

/* move_in - from tmp/ into new/ without ever replacing anything */
static int move_in(const char *tmp, const char *new)
{
	int rc = 0;
	if (link(tmp, new) < 0) {
		rc = -errno;
		if (rc == -EPERM || rc == -EOPNOTSUPP || rc == -ENOSYS)
			rc = rename(tmp, new) < 0 ? -errno : 0;
	}
	unlink(tmp);
	if (rc < 0)
		return rc;
	rc = mailbox_sync_folder(new);
	if (rc < 0)
		unlink(new);
	return rc;
}

/* mailbox_maildir - deliver into a Maildir */
void mailbox_maildir(
    const struct mailbox_request *req, const char *path, struct mailbox_result *res)
{
	char name[NAME_ROOM], tmp[PATH_MAX], new[PATH_MAX], base[PATH_MAX];
	size_t len = strlen(path);
	while (len > 1 && path[len - 1] == '/')
		len--;
	if (len + NAME_ROOM >= sizeof(tmp)) {
		mailbox_say_errno(res, ENAMETOOLONG, path);
		return;
	}
	snprintf(base, sizeof(base), "%.*s", (int)len, path);
	int rc = unique_name(name, NAME_ROOM - 8);
	if (!rc) {
		snprintf(tmp, sizeof(tmp), "%.*s/tmp/%s", (int)len, path, name);
		snprintf(new, sizeof(new), "%.*s/new/%s", (int)len, path, name);
		rc = write_tmp(req, tmp);
	}
	/* The folders are looked for only when they lack: four calls a message saved. */
	if (rc == -ENOENT) {
		rc = make_folders(base);
		if (!rc)
			rc = write_tmp(req, tmp);
	}
	if (!rc)
		rc = move_in(tmp, new);
	if (rc < 0)
		mailbox_say_errno(res, rc, base);
	else
		mailbox_say(res, 250, "2.0.0", EX_OK, "delivered to maildir %s", base);
}
