/* SPDX-License-Identifier: ISC */
/*
 * A hash by name. The table holds one reference, each job another; the last one closes the file.
 */
#include "deliver/segments.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <unistd.h>

#include "lib/hash.h"
#include "lib/log.h"

struct segment {
	uint64_t name;
	int fd;
	bool was_read; /* a large body, by us */
	unsigned holders;
	UT_hash_handle hh;
};

static struct segment *table;

/* segment_drop - one holder less */
void segment_drop(struct segment *segment)
{
	if (!segment || --segment->holders)
		return;
	close(segment->fd);
	free(segment);
}

/* forget - out of the table */
static void forget(struct segment *segment)
{
	HASH_DEL(table, segment);
	segment_drop(segment);
}

/* find - the segment in the table */
static struct segment *find(uint64_t name)
{
	struct segment *segment;
	HASH_FIND(hh, table, &name, sizeof(name), segment);
	return segment;
}

void segments_add(uint64_t name, int fd)
{
	struct segment *old = find(name), *segment = calloc(1, sizeof(*segment));
	if (!segment)
		log_fatal("out of memory for a segment");
	if (old)
		forget(old);
	segment->name = name;
	segment->fd = fd;
	segment->holders = 1;
	HASH_ADD(hh, table, name, sizeof(segment->name), segment);
}

void segments_release(uint64_t name)
{
	struct segment *segment = find(name);
	if (segment)
		forget(segment);
}

void segments_release_all(void)
{
	struct segment *segment, *next;
	HASH_ITER (hh, table, segment, next) {
		forget(segment);
	}
}

struct segment *segment_hold(uint64_t name)
{
	struct segment *segment = find(name);
	if (segment)
		segment->holders++;
	return segment;
}

/* set_direct - past the page cache or through it; false when it stays as it was */
static bool set_direct(int fd, bool direct)
{
	int flags = fcntl(fd, F_GETFL);
	if (flags < 0 || !(flags & O_DIRECT) == !direct)
		return false;
	return fcntl(fd, F_SETFL, direct ? flags | O_DIRECT : flags & ~O_DIRECT) == 0;
}

void segment_read_large(struct segment *segment)
{
	set_direct(segment->fd, !segment->was_read);
	segment->was_read = true;
}

int segment_read(const struct segment *segment, char *to, size_t len, size_t least, uint64_t at)
{
	size_t have = 0;
	while (have < least) {
		ssize_t n = pread(segment->fd, to + have, len - have, (off_t)(at + have));
		if (n < 0 &&
		    (errno == EINTR || (errno == EINVAL && set_direct(segment->fd, false))))
			continue;
		if (n < 0)
			return -errno;
		if (n == 0)
			return -EBADMSG;
		have += (size_t)n;
	}
	return 0;
}

uint64_t segment_name(const struct segment *segment)
{
	return segment->name;
}
