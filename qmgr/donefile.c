/* SPDX-License-Identifier: ISC */
/* An entry: offset u64 | who u64 | check u64, big-endian. The check binds both to the segment. */
#include "qmgr/donefile.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <xxhash.h>

#include "lib/wire.h"
#include "qmgr/spool.h"

#define ENTRY    24
#define DONE_MAX (1u << 20) /* entries: more than records fit into a segment */
#define AT_ONCE  256        /* entries of one write */

/* check_of - what only this entry has in this segment; never 0 for an entry of zeros */
static uint64_t check_of(uint64_t name, const struct done *d)
{
	uint64_t x[3] = {name, d->offset, d->who};
	return XXH3_64bits(x, sizeof(x));
}

/* donefile_who - a hash without case */
uint64_t donefile_who(struct msg_bytes address)
{
	char lower[512];
	size_t n = address.len < sizeof(lower) ? address.len : sizeof(lower);
	for (size_t i = 0; i < n; i++) {
		char c = address.data[i];
		lower[i] = c >= 'A' && c <= 'Z' ? (char)(c + 'a' - 'A') : c;
	}
	uint64_t who = XXH3_64bits(lower, n);
	return who <= DONE_MOVED ? DONE_MOVED + 1 : who;
}

/* donefile_compare - by offset, then by who */
int donefile_compare(const void *a, const void *b)
{
	const struct done *x = a, *y = b;
	if (x->offset != y->offset)
		return x->offset < y->offset ? -1 : 1;
	return x->who < y->who ? -1 : x->who > y->who;
}

/* put_all - entries to the descriptor's end */
static int put_all(int fd, uint64_t name, const struct done *v, size_t n)
{
	while (n) {
		uint64_t out[AT_ONCE * 3];
		size_t k = n < AT_ONCE ? n : AT_ONCE;
		for (size_t i = 0; i < k; i++) {
			out[i * 3] = htobe64(v[i].offset);
			out[i * 3 + 1] = htobe64(v[i].who);
			out[i * 3 + 2] = htobe64(check_of(name, &v[i]));
		}
		ssize_t put = write(fd, out, k * ENTRY);
		if (put != (ssize_t)(k * ENTRY))
			return put < 0 ? -errno : -ENOSPC;
		v += k;
		n -= k;
	}
	return 0;
}

/* donefile_append - opened for it: once a round and segment */
int donefile_append(uint64_t name, const struct done *v, size_t n)
{
	int fd = spool_open_file(name, SPOOL_DONE, O_WRONLY | O_APPEND | O_CREAT);
	if (fd < 0)
		return fd;
	int err = put_all(fd, name, v, n);
	close(fd);
	return err;
}

/* read_bytes - the file's whole entries, as they are; *count of them */
static int read_bytes(int fd, unsigned char **bytes, size_t *count)
{
	struct stat st;
	*count = 0;
	if (fstat(fd, &st))
		return -errno;
	size_t n = (size_t)st.st_size / ENTRY;
	if (n > DONE_MAX)
		n = DONE_MAX;
	*bytes = malloc(n * ENTRY + 1);
	if (!*bytes)
		return -ENOMEM;
	for (size_t at = 0; at < n * ENTRY;) {
		ssize_t got = pread(fd, *bytes + at, n * ENTRY - at, (off_t)at);
		if (got < 0)
			return -errno;
		if (got == 0)
			break;
		at += (size_t)got;
		*count = at / ENTRY;
	}
	return 0;
}

/* donefile_read - what isn't an entry is left out: a torn append shifts nothing behind it */
int donefile_read(uint64_t name, struct done **v, size_t *n)
{
	unsigned char *bytes = NULL;
	size_t count;
	*v = NULL;
	*n = 0;
	int fd = spool_open_file(name, SPOOL_DONE, O_RDONLY);
	if (fd < 0)
		return fd == -ENOENT ? 0 : fd;
	int err = read_bytes(fd, &bytes, &count);
	close(fd);
	if (!err && count && !(*v = malloc(count * sizeof(**v))))
		err = -ENOMEM;
	for (size_t i = 0; !err && i < count; i++) {
		struct wire_in in;
		wire_in_init(&in, bytes + i * ENTRY, ENTRY);
		struct done d = {.offset = wire_get_u64(&in)};
		d.who = wire_get_u64(&in);
		if (wire_get_u64(&in) == check_of(name, &d))
			(*v)[(*n)++] = d;
	}
	free(bytes);
	if (*n)
		qsort(*v, *n, sizeof(**v), donefile_compare);
	return err;
}

/* compare_places - for bsearch */
static int compare_places(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
	return x < y ? -1 : x > y;
}

/* donefile_keep - a new file takes the old one's place */
int donefile_keep(uint64_t name, const uint64_t *places, size_t n)
{
	struct done *v;
	size_t count, kept = 0;
	int err = donefile_read(name, &v, &count);
	for (size_t i = 0; !err && i < count; i++) {
		if (bsearch(&v[i].offset, places, n, sizeof(*places), compare_places))
			v[kept++] = v[i];
	}
	if (err || kept == count)
		goto out;
	if (!kept) {
		err = spool_unlink(name, SPOOL_DONE);
		goto out;
	}
	int fd = spool_open_file(name, SPOOL_NEW, O_WRONLY | O_CREAT | O_TRUNC);
	err = fd < 0 ? fd : put_all(fd, name, v, kept);
	if (fd >= 0)
		close(fd);
	if (!err)
		err = spool_rename(name, SPOOL_NEW, SPOOL_DONE);
out:
	free(v);
	return err;
}
