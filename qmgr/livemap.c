/* SPDX-License-Identifier: ISC */
/*
 * magic u64 | segment u64 | nonce u64 | end u64 | first ID u64 | source u64 | settled u64 |
 * count u64 | places u64 each | with a source: from u64 each | sum u64, all big-endian; the sum
 * (XXH3) is over everything before it.
 */
#include "qmgr/livemap.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>
#include <xxhash.h>

#include "lib/record.h"
#include "lib/wire.h"
#include "qmgr/spool.h"

#define MAGIC    0x4261746f6e4c3032ull /* "BatonL02" */
#define HEAD     64
#define FILE_MAX (HEAD + 16 * (size_t)SEGMENT_IDS + 8)

/* encode - the file's bytes; NULL when out of memory */
static unsigned char *encode(uint64_t name, const struct livemap *map, size_t *size)
{
	struct wire_out w;
	*size = HEAD + map->n * (map->source ? 16 : 8) + 8;
	unsigned char *buf = malloc(*size);
	if (!buf)
		return NULL;
	wire_out_fixed(&w, buf, *size);
	wire_put_u64(&w, MAGIC);
	wire_put_u64(&w, name);
	wire_put_u64(&w, map->nonce);
	wire_put_u64(&w, map->end);
	wire_put_u64(&w, map->first_id);
	wire_put_u64(&w, map->source);
	wire_put_u64(&w, map->settled);
	wire_put_u64(&w, map->n);
	for (size_t i = 0; i < map->n; i++)
		wire_put_u64(&w, map->places[i]);
	for (size_t i = 0; map->source && i < map->n; i++)
		wire_put_u64(&w, map->from[i]);
	wire_put_u64(&w, XXH3_64bits(buf, w.len));
	return buf;
}

/* livemap_write - beside the old one, synced, then in its place */
int livemap_write(uint64_t name, const struct livemap *map)
{
	size_t size;
	unsigned char *buf = encode(name, map, &size);
	if (!buf)
		return -ENOMEM;
	int fd = spool_open_file(name, SPOOL_NEW, O_WRONLY | O_CREAT | O_TRUNC);
	int err = fd < 0 ? fd : 0;
	ssize_t put = err ? 0 : write(fd, buf, size);
	if (!err && put != (ssize_t)size)
		err = put < 0 ? -errno : -ENOSPC;
	if (!err && fsync(fd))
		err = -errno;
	if (fd >= 0)
		close(fd);
	if (!err)
		err = spool_rename(name, SPOOL_NEW, SPOOL_LIVE);
	if (!err)
		err = spool_sync();
	free(buf);
	return err;
}

/* livemap_clear - its memory */
void livemap_clear(struct livemap *map)
{
	free(map->places);
	free(map->from);
	map->places = map->from = NULL;
}

/* get_all - n numbers; NULL when out of memory */
static uint64_t *get_all(struct wire_in *in, size_t n)
{
	uint64_t *v = malloc(n * 8 + 1);
	for (size_t i = 0; v && i < n; i++)
		v[i] = wire_get_u64(in);
	return v;
}

/* decode - 0 or -EBADMSG */
static int decode(uint64_t name, const unsigned char *buf, size_t size, struct livemap *map)
{
	struct wire_in in;
	wire_in_init(&in, buf + size - 8, 8);
	if (wire_get_u64(&in) != XXH3_64bits(buf, size - 8))
		return -EBADMSG;
	wire_in_init(&in, buf, size - 8);
	if (wire_get_u64(&in) != MAGIC || wire_get_u64(&in) != name)
		return -EBADMSG;
	map->nonce = wire_get_u64(&in);
	map->end = wire_get_u64(&in);
	map->first_id = wire_get_u64(&in);
	map->source = wire_get_u64(&in);
	map->settled = wire_get_u64(&in);
	map->n = wire_get_u64(&in);
	size_t each = map->source ? 16 : 8;
	if (map->n != wire_left(&in) / each || wire_left(&in) % each)
		return -EBADMSG;
	map->places = get_all(&in, map->n);
	if (map->source)
		map->from = get_all(&in, map->n);
	return map->places && (map->from || !map->source) ? 0 : -ENOMEM;
}

/* livemap_read - whole, or not at all */
int livemap_read(uint64_t name, struct livemap *map)
{
	struct stat st;
	unsigned char *buf = NULL;
	*map = (struct livemap){0};
	int fd = spool_open_file(name, SPOOL_LIVE, O_RDONLY);
	if (fd < 0)
		return fd;
	int err = fstat(fd, &st) ? -errno : 0;
	size_t size = err ? 0 : (size_t)st.st_size;
	if (!err && (size < HEAD + 8 || size > FILE_MAX))
		err = -EBADMSG;
	if (!err && !(buf = malloc(size)))
		err = -ENOMEM;
	if (!err && pread(fd, buf, size, 0) != (ssize_t)size)
		err = -EIO;
	if (!err)
		err = decode(name, buf, size, map);
	if (err)
		livemap_clear(map);
	close(fd);
	free(buf);
	return err;
}

/* not_before - the index of the first that isn't smaller */
static size_t not_before(const uint64_t *v, size_t n, uint64_t at)
{
	size_t lo = 0, hi = n;
	while (lo < hi) {
		size_t mid = (lo + hi) / 2;
		if (v[mid] < at)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

/* livemap_find - a binary search */
size_t livemap_find(const uint64_t *v, size_t n, uint64_t at)
{
	size_t i = not_before(v, n, at);
	return i < n && v[i] == at ? i : n;
}

/* livemap_next - a binary search */
uint64_t livemap_next(const struct livemap *map, uint64_t at)
{
	size_t i = not_before(map->places, map->n, at);
	return i < map->n ? map->places[i] : map->end;
}
