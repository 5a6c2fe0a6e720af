/* SPDX-License-Identifier: ISC */
/*
 * Everything goes through the folder's descriptor (openat and its like), so the process needs no
 * other path than that once it has started.
 */
#include "qmgr/spool.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "lib/log.h"
#include "lib/wire.h"

#define NAME_SIZE 32

static int folder = -1;

static const char *const suffixes[] = {
    [SPOOL_SEGMENT] = "",
    [SPOOL_DONE] = ".done",
    [SPOOL_FREE] = ".free",
    [SPOOL_LIVE] = ".live",
    [SPOOL_NEW] = ".new",
    [SPOOL_COPY] = ".copy",
};

/* file_name - of a segment or what belongs to it */
static const char *file_name(char buf[NAME_SIZE], uint64_t name, enum spool_file what)
{
	snprintf(buf, NAME_SIZE, "%016" PRIx64 "%s", name, suffixes[what]);
	return buf;
}

/* spool_open - the folder */
int spool_open(const char *spool)
{
	char path[4096];
	if (snprintf(path, sizeof(path), "%s/segments", spool) >= (int)sizeof(path))
		return -ENAMETOOLONG;
	if (mkdir(path, 0700) && errno != EEXIST)
		return -errno;
	spool_close();
	folder = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return folder < 0 ? -errno : 0;
}

/* spool_close - for tests */
void spool_close(void)
{
	if (folder >= 0)
		close(folder);
	folder = -1;
}

/* parse_name - what a file of the folder is; -1: not ours */
static int parse_name(const char *text, uint64_t *name)
{
	size_t digits = strspn(text, "0123456789abcdef");
	if (digits != 16)
		return -1;
	*name = strtoull(text, NULL, 16);
	for (int i = SPOOL_SEGMENT; i <= SPOOL_COPY; i++) {
		if (!strcmp(text + 16, suffixes[i]))
			return i;
	}
	return -1;
}

/* spool_list - the files of the folder */
int spool_list(void (*fn)(uint64_t name, enum spool_file what, void *arg), void *arg)
{
	int fd = openat(folder, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	if (!dir) {
		int err = errno;
		if (fd >= 0)
			close(fd);
		return -err;
	}
	struct dirent *e;
	errno = 0;
	while ((e = readdir(dir))) {
		uint64_t name;
		int what = parse_name(e->d_name, &name);
		if (what >= 0)
			fn(name, (enum spool_file)what, arg);
		errno = 0;
	}
	int err = errno;
	closedir(dir);
	return -err;
}

/* open_both - the two descriptors of a segment; the writer never gets one that reads */
static int open_both(const char *file, int flags, int *wfd, int *rfd)
{
	*wfd = openat(folder, file, O_WRONLY | O_CLOEXEC | flags, 0600);
	if (*wfd < 0)
		return -errno;
	*rfd = openat(folder, file, O_RDONLY | O_CLOEXEC);
	if (*rfd >= 0)
		return 0;
	int err = errno;
	close(*wfd);
	return -err;
}

/* spool_create - an empty segment */
int spool_create(enum segment_kind kind, uint64_t name, int *wfd, int *rfd)
{
	char file[NAME_SIZE];
	int err = open_both(
	    file_name(file, name, SPOOL_SEGMENT), O_CREAT | O_EXCL | O_NOFOLLOW, wfd, rfd);
	if (err || kind != SEGMENT_SINGLE)
		return err;
	int flags = fcntl(*wfd, F_GETFL);
	if (flags < 0 || fcntl(*wfd, F_SETFL, flags | O_DIRECT))
		log_debug("no direct writes: %s", strerror(errno));
	return 0;
}

/* spool_reuse - out of the pool */
int spool_reuse(uint64_t old, uint64_t name, int *wfd, int *rfd, uint64_t *size)
{
	char from[NAME_SIZE], to[NAME_SIZE];
	struct stat st;
	file_name(from, old, SPOOL_FREE);
	file_name(to, name, SPOOL_SEGMENT);
	if (renameat(folder, from, folder, to))
		return -errno;
	int err = open_both(to, O_NOFOLLOW, wfd, rfd);
	if (err)
		return err;
	*size = fstat(*rfd, &st) ? 0 : (uint64_t)st.st_size;
	return 0;
}

/* spool_open_read - a segment to be read */
int spool_open_read(uint64_t name, int *fd, uint64_t *size)
{
	char file[NAME_SIZE];
	struct stat st;
	*fd =
	    openat(folder, file_name(file, name, SPOOL_SEGMENT), O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	if (*fd < 0)
		return -errno;
	*size = fstat(*fd, &st) ? 0 : (uint64_t)st.st_size;
	return 0;
}

/* spool_held - its blocks */
uint64_t spool_held(uint64_t name)
{
	char file[NAME_SIZE];
	struct stat st;
	if (fstatat(folder, file_name(file, name, SPOOL_SEGMENT), &st, AT_SYMLINK_NOFOLLOW))
		return 0;
	return (uint64_t)st.st_blocks * 512;
}

/*
 * spool_retire - into the pool; the done list goes last: until the segment has its new name it is
 * what keeps a rebuilt index from sending old mail again
 */
int spool_retire(uint64_t name)
{
	char from[NAME_SIZE], to[NAME_SIZE];
	file_name(from, name, SPOOL_SEGMENT);
	file_name(to, name, SPOOL_FREE);
	if (renameat(folder, from, folder, to))
		return -errno;
	return spool_unlink(name, SPOOL_DONE);
}

/* spool_unlink - one file */
int spool_unlink(uint64_t name, enum spool_file what)
{
	char file[NAME_SIZE];
	if (unlinkat(folder, file_name(file, name, what), 0) && errno != ENOENT)
		return -errno;
	return 0;
}

/* spool_open_file - by what it is */
int spool_open_file(uint64_t name, enum spool_file what, int flags)
{
	char file[NAME_SIZE];
	int fd = openat(folder, file_name(file, name, what), flags | O_CLOEXEC | O_NOFOLLOW, 0600);
	return fd < 0 ? -errno : fd;
}

/* spool_rename - of the same segment */
int spool_rename(uint64_t name, enum spool_file from, enum spool_file to)
{
	char old[NAME_SIZE], new[NAME_SIZE];
	file_name(old, name, from);
	file_name(new, name, to);
	return renameat(folder, old, folder, new) ? -errno : 0;
}

/* spool_sync - the folder's entries */
int spool_sync(void)
{
	return fsync(folder) ? -errno : 0;
}

/* spool_peek_nonce - magic, name, nonce, place: the first 32 bytes of a header (lib/record.c) */
int spool_peek_nonce(int fd, uint64_t name, uint64_t *nonce)
{
	unsigned char header[RECORD_HEADER];
	struct record_place place = {.segment = name};
	struct record rec;
	struct wire_in in;
	ssize_t n = pread(fd, header, sizeof(header), 0);
	if (n < 0)
		return -errno;
	if (n < (ssize_t)sizeof(header))
		return -ENOENT;
	wire_in_init(&in, header + 16, 8);
	place.nonce = wire_get_u64(&in);
	int err = record_get_header(header, sizeof(header), &place, &rec);
	if (!err)
		*nonce = place.nonce;
	return err;
}

/* spool_free_bytes - what an ordinary user could still write */
int spool_free_bytes(uint64_t *bytes)
{
	struct statvfs st;
	if (fstatvfs(folder, &st))
		return -errno;
	*bytes = (uint64_t)st.f_bavail * st.f_frsize;
	return 0;
}
