/* SPDX-License-Identifier: ISC */
/*
 * One pread() per block, straight into the memory that the bytes leave from as they are stored. The
 * search for a mark goes over the seam between late headers and body as it goes over that of two
 * blocks: what counts is what the peer would read.
 *
 * A large body is read in whole pages, as its segment wants it; its blocks end with a page, so that
 * none is read twice.
 */
#include "deliver/body.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* A block of a large body: `bytes` of the record lie in `pages`. */
struct block {
	char *pages; /* aligned to SEGMENT_PAGE */
	size_t size;
	const char *bytes;
};

void body_init(struct body *body, const struct job *job)
{
	*body = (struct body){.job = job};
	dot_scan_init(&body->scan);
	dot_plain_init(&body->plain, false);
	body->large = !job->content && body_size(body) > BODY_LARGE;
	if (body->large)
		segment_read_large(job->segment);
}

uint64_t body_size(const struct body *body)
{
	return body->job->late_len + body->job->body_len;
}

/* next_at - where in the file the next byte lies: late headers are sent first, and lie behind */
static uint64_t next_at(const struct body *body)
{
	const struct job *job = body->job;
	return body->done < job->late_len ? job->body_at + job->body_len + body->done
					  : job->body_at + (body->done - job->late_len);
}

/* next_block - how many bytes come next: a block doesn't cross from late headers to body */
static size_t next_block(const struct body *body, size_t max)
{
	uint64_t end = body->done < body->job->late_len ? body->job->late_len : body_size(body);
	uint64_t left = end - body->done, at = next_at(body);
	if (max > BODY_BLOCK)
		max = BODY_BLOCK;
	if (left <= max)
		return (size_t)left;
	if (body->large && max > SEGMENT_PAGE)
		max -= (at + max) % SEGMENT_PAGE;
	return max;
}

/* check - a block that was read counts, if it may be sent */
static int check(struct body *body, const char *bytes, size_t len)
{
	if (dot_scan(&body->scan, bytes, len))
		return -EBADMSG;
	body->done += len;
	return body->done < body_size(body) || dot_scan_whole(&body->scan) ? 0 : -EBADMSG;
}

/* take - read one block to `to` and check it */
static int take(struct body *body, char *to, size_t len)
{
	int rc = 0;
	if (body->job->content)
		memcpy(to, body->job->content + body->done, len);
	else
		rc = segment_read(body->job->segment, to, len, len, next_at(body));
	return rc < 0 ? rc : check(body, to, len);
}

/* take_pages - read one block of a large body to b->pages, which has room for it, and check it */
static int take_pages(struct body *body, struct block *b, size_t len)
{
	size_t skip = next_at(body) % SEGMENT_PAGE;
	int rc =
	    segment_read(body->job->segment, b->pages, b->size, skip + len, next_at(body) - skip);
	b->bytes = b->pages + skip;
	return rc < 0 ? rc : check(body, b->bytes, len);
}

/* pages_for - the size of the pages that a block of so many bytes lies in */
static size_t pages_for(const struct body *body, size_t len)
{
	size_t size = next_at(body) % SEGMENT_PAGE + len + SEGMENT_PAGE - 1;
	return size - size % SEGMENT_PAGE;
}

/* free_pages - they have left */
static void free_pages(const void *bytes, size_t len, void *pages)
{
	(void)bytes, (void)len;
	free(pages);
}

/* fill_pages - append one block of a large body */
static int fill_pages(struct body *body, struct evbuffer *out, size_t len)
{
	struct block b = {.size = pages_for(body, len)};
	b.pages = aligned_alloc(SEGMENT_PAGE, b.size);
	if (!b.pages)
		return -ENOMEM;
	int rc = take_pages(body, &b, len);
	if (!rc && evbuffer_add_reference(out, b.bytes, len, free_pages, b.pages) < 0)
		rc = -ENOMEM;
	if (rc < 0)
		free(b.pages);
	return rc;
}

/* fill_bytes - append one block of any other */
static int fill_bytes(struct body *body, struct evbuffer *out, size_t len)
{
	struct evbuffer_iovec vec;
	if (evbuffer_reserve_space(out, (ev_ssize_t)len, &vec, 1) != 1)
		return -ENOMEM;
	int rc = take(body, vec.iov_base, len);
	if (rc < 0)
		return rc;
	vec.iov_len = len;
	return evbuffer_commit_space(out, &vec, 1) < 0 ? -ENOMEM : 0;
}

int body_fill(struct body *body, struct evbuffer *out, size_t max)
{
	while (body->done < body_size(body) && max) {
		size_t len = next_block(body, max);
		int rc = body->large ? fill_pages(body, out, len) : fill_bytes(body, out, len);
		if (rc < 0)
			return rc;
		max -= len;
	}
	return body->done < body_size(body);
}

int body_fill_plain(struct body *body, struct evbuffer *out, size_t max)
{
	static _Alignas(SEGMENT_PAGE) char stored[BODY_BLOCK + SEGMENT_PAGE];
	while (body->done < body_size(body) && max) {
		struct evbuffer_iovec vec;
		size_t len = next_block(body, max);
		struct block b = {.pages = stored, .bytes = stored};
		b.size = pages_for(body, len);
		int rc = body->large ? take_pages(body, &b, len) : take(body, stored, len);
		if (rc < 0)
			return rc;
		if (evbuffer_reserve_space(out, (ev_ssize_t)DOT_PLAIN_ROOM(len), &vec, 1) != 1)
			return -ENOMEM;
		vec.iov_len = dot_plain(&body->plain, b.bytes, len, vec.iov_base);
		if (evbuffer_commit_space(out, &vec, 1) < 0)
			return -ENOMEM;
		max -= len;
	}
	return body->done < body_size(body);
}
