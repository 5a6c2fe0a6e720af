/* SPDX-License-Identifier: ISC */
#include "qmgr/copy.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/log.h"
#include "lib/record.h"
#include "qmgr/donefile.h"
#include "qmgr/spool.h"

/* read_record - the whole record, as it lies there; malloc'ed. NULL: errno says why */
static unsigned char *read_record(int fd, const struct living_record *r)
{
	size_t len = (size_t)(r->end - r->at), got = 0;
	unsigned char *buf = malloc(len);
	while (buf && got < len) {
		ssize_t n = pread(fd, buf + got, len - got, (off_t)(r->at + got));
		if (n > 0) {
			got += (size_t)n;
			continue;
		}
		errno = n ? errno : ENODATA;
		free(buf);
		buf = NULL;
	}
	return buf;
}

/* put_trailer - what belongs behind the record; false when out of memory */
static bool put_trailer(
    const struct record *rec, const unsigned char *buf, unsigned char out[RECORD_TRAILER])
{
	struct record_sum *sum = record_sum_new(rec->place.nonce);
	if (!sum)
		return false;
	record_sum_add(
	    sum, buf + RECORD_HEADER + rec->envelope_len, rec->body_len + rec->late_len);
	record_put_trailer(rec, buf, sum, out);
	record_sum_free(sum);
	return true;
}

/* check - every sum of it, its ID and its length: 0, -EBADMSG, -ENOMEM */
static int check(const struct copy *c, const struct living_record *r, const unsigned char *buf,
    struct record *rec)
{
	const struct record_place place = {
	    .segment = c->source, .nonce = c->source_nonce, .offset = r->at};
	unsigned char want[RECORD_TRAILER];
	size_t len = (size_t)(r->end - r->at);
	if (record_get_header(buf, len, &place, rec) || rec->id != r->id || record_len(rec) != len)
		return -EBADMSG;
	if (record_check_envelope(buf, buf + RECORD_HEADER, rec->envelope_len, rec))
		return -EBADMSG;
	if (!put_trailer(rec, buf, want))
		return -ENOMEM;
	return memcmp(want, buf + len - RECORD_TRAILER, RECORD_TRAILER) ? -EBADMSG : 0;
}

/* place - header and trailer as they are at the copy's end */
static bool place(const struct copy *c, struct record *rec, unsigned char *buf, size_t len)
{
	rec->place = (struct record_place){
	    .segment = c->name, .nonce = c->nonce, .offset = c->map.end};
	record_put_header(rec, buf + RECORD_HEADER, buf);
	return put_trailer(rec, buf, buf + len - RECORD_TRAILER);
}

/* write_all - behind what is there */
static int write_all(int fd, const unsigned char *buf, size_t len)
{
	while (len) {
		ssize_t n = write(fd, buf, len);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n ? -errno : -ENOSPC;
		buf += n;
		len -= (size_t)n;
	}
	return 0;
}

/* copy_one - a record; one that can't be read stays where it is */
static int copy_one(struct copy *c, const struct living_record *r)
{
	struct record rec;
	unsigned char *buf = read_record(c->in, r);
	size_t len = (size_t)(r->end - r->at);
	int err = buf ? check(c, r, buf, &rec) : -errno;
	if (err == -ENOMEM)
		goto out;
	if (err) {
		log_error("segment %016llx: the record at %llu can't be copied: %s",
		    (unsigned long long)c->source, (unsigned long long)r->at, strerror(-err));
		err = 0;
		goto out;
	}
	err = place(c, &rec, buf, len) ? write_all(c->out, buf, len) : -ENOMEM;
	if (err)
		goto out;
	c->took[c->map.n] = (size_t)(r - c->v);
	c->map.from[c->map.n] = r->at;
	c->map.places[c->map.n++] = c->map.end;
	c->map.end += len;
out:
	free(buf);
	return err;
}

/* begin - the two files, room for the map */
static int begin(struct copy *c)
{
	c->map = (struct livemap){.nonce = c->nonce, .first_id = c->first_id, .source = c->source};
	c->map.places = calloc(c->n + 1, sizeof(uint64_t));
	c->map.from = calloc(c->n + 1, sizeof(uint64_t));
	c->took = calloc(c->n + 1, sizeof(*c->took));
	if (!c->map.places || !c->map.from || !c->took)
		return -ENOMEM;
	c->in = spool_open_file(c->source, SPOOL_SEGMENT, O_RDONLY);
	if (c->in < 0)
		return c->in;
	c->out = spool_open_file(c->name, SPOOL_COPY, O_WRONLY | O_CREAT | O_EXCL);
	return c->out < 0 ? c->out : 0;
}

/* name_it - the records are on disk before the map is, the map before the name */
static int name_it(const struct copy *c)
{
	if (fsync(c->out))
		return -errno;
	int err = livemap_write(c->name, &c->map);
	if (!err)
		err = spool_rename(c->name, SPOOL_COPY, SPOOL_SEGMENT);
	return err ? err : spool_sync();
}

/* end - no file stays open; after an error, or without any record, none stays */
static void end(struct copy *c)
{
	if (c->in >= 0)
		close(c->in);
	if (c->out >= 0)
		close(c->out);
	c->in = c->out = -1;
	if (!c->err && c->map.n)
		return;
	spool_unlink(c->name, SPOOL_COPY);
	spool_unlink(c->name, SPOOL_SEGMENT);
	spool_unlink(c->name, SPOOL_LIVE);
	spool_unlink(c->name, SPOOL_NEW);
}

/* copy_some - a slice */
void copy_some(struct copy *c)
{
	uint64_t bytes = 0;
	if (!c->took)
		c->err = begin(c);
	for (; !c->err && c->next < c->n && bytes < COPY_SLICE; c->next++) {
		c->err = copy_one(c, &c->v[c->next]);
		bytes += c->v[c->next].end - c->v[c->next].at;
	}
	c->more = !c->err && c->next < c->n;
	if (c->more)
		return;
	if (!c->err && c->map.n)
		c->err = name_it(c);
	end(c);
}

/* copy_clear - its memory */
void copy_clear(struct copy *c)
{
	livemap_clear(&c->map);
	free(c->took);
	c->took = NULL;
}

/* -- settling */

/* Entries of a done list, to be written or as they were read. */
struct entries {
	struct done *v;
	size_t n;
};

struct settling {
	struct livemap map;
	const struct living *living;
	struct entries source, copies; /* the done lists */
	struct entries forth, back;    /* what the copies' gets, what the source's gets */
	bool *gone;                    /* of the map: it ended in the source */
};

/* add - one more; there is room */
static void add(struct entries *e, uint64_t offset, uint64_t who)
{
	e->v[e->n++] = (struct done){.offset = offset, .who = who};
}

/* carry - what the source's list says of what is copied */
static void carry(struct settling *s)
{
	for (size_t i = 0; i < s->source.n; i++) {
		const struct done *d = &s->source.v[i];
		size_t k = livemap_find(s->map.from, s->map.n, d->offset);
		if (k == s->map.n || d->who == DONE_MOVED)
			continue;
		if (d->who == DONE_ALL)
			s->gone[k] = true;
		else
			add(&s->forth, s->map.places[k], d->who);
	}
}

/* carry_back - what the copies' says of what didn't move: a crash came before the commit */
static void carry_back(struct settling *s)
{
	for (size_t i = 0; i < s->copies.n; i++) {
		const struct done *d = &s->copies.v[i];
		size_t k = livemap_find(s->map.places, s->map.n, d->offset);
		if (k < s->map.n && living_has(s->living, s->map.from[k]))
			add(&s->back, s->map.from[k], d->who);
	}
}

/* keep_moved - the map of what is only here now; the source's list gets it */
static void keep_moved(struct settling *s)
{
	struct livemap *map = &s->map;
	size_t kept = 0;
	for (size_t i = 0; i < map->n; i++) {
		if (s->gone[i] || living_has(s->living, map->from[i]))
			continue;
		add(&s->back, map->from[i], DONE_MOVED);
		map->places[kept] = map->places[i];
		map->from[kept++] = map->from[i];
	}
	map->n = kept;
	map->settled = true;
}

/* read_lists - the map, both lists, room for what they get */
static int read_lists(struct settling *s, uint64_t name)
{
	int err = livemap_read(name, &s->map);
	if (!err)
		err = donefile_read(s->map.source, &s->source.v, &s->source.n);
	if (!err)
		err = donefile_read(name, &s->copies.v, &s->copies.n);
	if (err)
		return err;
	s->gone = calloc(s->map.n + 1, sizeof(*s->gone));
	s->forth.v = calloc(s->source.n + 1, sizeof(*s->forth.v));
	s->back.v = calloc(s->copies.n + s->map.n + 1, sizeof(*s->back.v));
	return s->gone && s->forth.v && s->back.v ? 0 : -ENOMEM;
}

/* copy_settle - lists before the map: until it is settled it says that all of them may be here */
int copy_settle(uint64_t name, const struct living *living)
{
	struct settling s = {.living = living};
	int err = read_lists(&s, name);
	if (err)
		goto out;
	carry(&s);
	carry_back(&s);
	keep_moved(&s);
	if (s.forth.n)
		err = donefile_append(name, s.forth.v, s.forth.n);
	if (!err && s.back.n)
		err = donefile_append(s.map.source, s.back.v, s.back.n);
	if (!err)
		err = livemap_write(name, &s.map);
out:
	free(s.source.v);
	free(s.copies.v);
	free(s.forth.v);
	free(s.back.v);
	free(s.gone);
	livemap_clear(&s.map);
	return err;
}
