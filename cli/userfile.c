/* SPDX-License-Identifier: ISC */
#include "cli/userfile.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <pwd.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#define KEEPER "baton-keeper" /* who has to read it */

/* slurp - the file as text; *text NULL where there is none. 0 or -E... */
static int slurp(const char *path, char **text, struct stat *st)
{
	*text = NULL;
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (fd < 0)
		return errno == ENOENT ? 0 : -errno;
	int r = fstat(fd, st) != 0 ? -errno : S_ISREG(st->st_mode) ? 0 : -EINVAL;
	size_t size = r ? 0 : (size_t)st->st_size, len = 0;
	if (!r && !(*text = calloc(1, size + 1)))
		r = -ENOMEM;
	while (!r && len < size) {
		ssize_t n = read(fd, *text + len, size - len);
		if (n <= 0)
			r = n < 0 ? -errno : -EIO;
		len += n > 0 ? (size_t)n : 0;
	}
	close(fd);
	if (r)
		free(*text);
	return r;
}

/* user_len - of the name at the front of a line; 0: it is no user's */
static size_t user_len(const char *line, size_t len)
{
	const char *colon = memchr(line, ':', len);
	return colon && *line != '#' ? (size_t)(colon - line) : 0;
}

/* is_name - what can stand in a line and in a log */
static bool is_name(const char *name)
{
	size_t len = strlen(name);
	if (len == 0 || len > USERFILE_NAME_MAX || *name == '#')
		return false;
	for (const char *p = name; *p; p++)
		if ((unsigned char)*p <= ' ' || *p == ':' || *p == 0x7f)
			return false;
	return true;
}

/* put_line - a user's; an error shows in ferror() */
static void put_line(FILE *to, const char *name, const char *secret)
{
	if (secret)
		fprintf(to, "%s:%s\n", name, secret);
}

/* rewrite - the text with that user's line in place of his old one; was he there */
static bool rewrite(FILE *to, const char *text, const char *name, const char *secret)
{
	bool there = false;
	for (const char *line = text; line && *line;) {
		size_t len = strcspn(line, "\n");
		size_t n = user_len(line, len);
		if (n == strlen(name) && memcmp(line, name, n) == 0) {
			if (!there)
				put_line(to, name, secret);
			there = true;
		} else {
			fprintf(to, "%.*s\n", (int)len, line);
		}
		line += len + (line[len] == '\n');
	}
	if (!there)
		put_line(to, name, secret);
	return there;
}

/* give_owner - who may read it: as before, or keeper */
static int give_owner(int fd, bool had, const struct stat *old)
{
	const struct passwd *pw = had || geteuid() != 0 ? NULL : getpwnam(KEEPER);
	uid_t uid = had ? old->st_uid : pw ? pw->pw_uid : (uid_t)-1;
	gid_t gid = had ? old->st_gid : pw ? pw->pw_gid : (gid_t)-1;
	struct stat now;
	if (fstat(fd, &now) != 0)
		return -errno;
	if (uid == (uid_t)-1 || (uid == now.st_uid && gid == now.st_gid))
		return 0;
	return fchown(fd, uid, gid) == 0 ? 0 : -errno;
}

/* replace - the new file in place of the old one */
static int replace(const char *path, const char *text, const struct stat *old, const char *name,
    const char *secret, int must_exist)
{
	char fresh[PATH_MAX];
	if ((size_t)snprintf(fresh, sizeof(fresh), "%s.XXXXXX", path) >= sizeof(fresh))
		return -ENAMETOOLONG;
	int fd = mkostemp(fresh, O_CLOEXEC); /* mode 0600 */
	FILE *to = fd < 0 ? NULL : fdopen(fd, "w");
	if (!to) {
		int e = -errno;
		if (fd >= 0)
			close(fd);
		return e;
	}
	bool there = rewrite(to, text, name, secret);
	int r = there == (must_exist != 0) ? 0 : there ? -EEXIST : -ENOENT;
	if (!r && (fflush(to) != 0 || ferror(to)))
		r = -EIO;
	if (!r)
		r = give_owner(fd, text != NULL, old);
	if (!r && fsync(fd) != 0)
		r = -errno;
	fclose(to);
	if (!r && rename(fresh, path) != 0)
		r = -errno;
	if (r)
		unlink(fresh);
	return r;
}

/* userfile_change - under the folder's lock */
int userfile_change(const char *path, const char *name, const char *secret, int must_exist)
{
	char folder[PATH_MAX], *text = NULL;
	struct stat st = {0};
	if (!is_name(name))
		return -EINVAL;
	if ((size_t)snprintf(folder, sizeof(folder), "%s", path) >= sizeof(folder))
		return -ENAMETOOLONG;
	int dir = open(dirname(folder), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (dir < 0)
		return -errno;
	int r = flock(dir, LOCK_EX) == 0 ? slurp(path, &text, &st) : -errno;
	if (!r)
		r = replace(path, text, &st, name, secret, must_exist);
	if (!r && fsync(dir) != 0)
		r = -errno;
	if (text)
		explicit_bzero(text, strlen(text));
	free(text);
	close(dir);
	return r;
}

/* userfile_walk - line by line */
int userfile_walk(const char *path,
    void (*row)(const char *name, size_t len, const char *secret, size_t secret_len, void *arg),
    void *arg)
{
	struct stat st;
	char *text;
	int r = slurp(path, &text, &st);
	if (r)
		return r;
	for (const char *line = text; line && *line;) {
		size_t len = strcspn(line, "\n"), n = user_len(line, len);
		if (n)
			row(line, n, line + n + 1, len - n - 1, arg);
		line += len + (line[len] == '\n');
	}
	free(text);
	return 0;
}
