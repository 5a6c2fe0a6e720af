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
/* A place has at most 44 bits: RECORD_BODY_MAX has 40. */
#define DONE_CHECK_BITS 20
#define DONE_MAX        (1u << 20) /* entries: more than records fit into a segment */

static int folder = -1;

static const char *const suffixes[] = {
    [SPOOL_SEGMENT] = "",
    [SPOOL_DONE] = ".done",
    [SPOOL_FREE] = ".free",
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
	for (int i = SPOOL_SEGMENT; i <= SPOOL_FREE; i++) {
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
int spool_create(uint64_t name, int *wfd, int *rfd)
{
	char file[NAME_SIZE];
	return open_both(
	    file_name(file, name, SPOOL_SEGMENT), O_CREAT | O_EXCL | O_NOFOLLOW, wfd, rfd);
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

/* spool_sync - the folder's entries */
int spool_sync(void)
{
	return fsync(folder) ? -errno : 0;
}

/*
 * done_entry - a place as the done list has it: the place and 20 bits that only it has in this
 * segment, so that what a power failure leaves of an unsynced file (zeros) isn't taken for a place
 */
static uint64_t done_entry(uint64_t name, uint64_t offset)
{
	uint64_t x = name ^ (offset + 1) * UINT64_C(0x9e3779b97f4a7c15);
	x = (x ^ x >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	x = (x ^ x >> 27) * UINT64_C(0x94d049bb133111eb);
	return offset << DONE_CHECK_BITS | (x ^ x >> 31) >> (64 - DONE_CHECK_BITS);
}

/* spool_done_append - to the done list, which is opened for it: once a commit and segment */
int spool_done_append(uint64_t name, const uint64_t *v, size_t n)
{
	char file[NAME_SIZE];
	int fd = openat(folder, file_name(file, name, SPOOL_DONE),
	    O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		return -errno;
	int err = 0;
	for (size_t i = 0; !err && i < n;) {
		uint64_t out[512];
		size_t k = n - i < 512 ? n - i : 512;
		for (size_t j = 0; j < k; j++)
			out[j] = htobe64(done_entry(name, v[i + j]));
		if (write(fd, out, k * 8) != (ssize_t)(k * 8))
			err = errno ? -errno : -EIO;
		i += k;
	}
	close(fd);
	return err;
}

/* compare - for qsort and bsearch */
static int compare(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
	return x < y ? -1 : x > y;
}

/* spool_done_read - the whole done list; what isn't an entry is left out */
int spool_done_read(uint64_t name, uint64_t **v, size_t *n)
{
	char file[NAME_SIZE];
	struct stat st;
	*v = NULL;
	*n = 0;
	int fd =
	    openat(folder, file_name(file, name, SPOOL_DONE), O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0)
		return errno == ENOENT ? 0 : -errno;
	int err = fstat(fd, &st) ? -errno : 0;
	size_t count = err ? 0 : (size_t)st.st_size / 8;
	if (count > DONE_MAX)
		count = DONE_MAX;
	if (count && !(*v = malloc(count * 8)))
		err = -ENOMEM;
	if (!err && count) {
		ssize_t got = pread(fd, *v, count * 8, 0);
		if (got < 0)
			err = -errno;
		*n = got > 0 ? (size_t)got / 8 : 0;
	}
	size_t good = 0;
	for (size_t i = 0; i < *n; i++) {
		uint64_t entry = be64toh((*v)[i]), offset = entry >> DONE_CHECK_BITS;
		if (entry == done_entry(name, offset))
			(*v)[good++] = offset;
	}
	*n = good;
	if (*n)
		qsort(*v, *n, 8, compare);
	close(fd);
	if (err) {
		free(*v);
		*v = NULL;
		*n = 0;
	}
	return err;
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
