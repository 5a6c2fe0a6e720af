/* SPDX-License-Identifier: ISC */
/*
 * A hash by name. The table holds one reference, each job another; the last one closes the file.
 */
#include "deliver/segments.h"

#include <stdlib.h>
#include <unistd.h>

#include "lib/hash.h"
#include "lib/log.h"

struct segment {
	uint64_t name;
	int fd;
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

int segment_fd(const struct segment *segment)
{
	return segment->fd;
}

uint64_t segment_name(const struct segment *segment)
{
	return segment->name;
}
