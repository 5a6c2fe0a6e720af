/* SPDX-License-Identifier: ISC */
/*
 * One pread() per block, straight into the evbuffer's memory where the bytes leave as they are
 * stored. The search for a mark goes over the seam between late headers and body as it goes over
 * that of two blocks: what counts is what the peer would read.
 */
#include "deliver/body.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

void body_init(struct body *body, const struct job *job)
{
	*body = (struct body){.job = job};
	dot_scan_init(&body->scan);
	dot_plain_init(&body->plain, false);
}

uint64_t body_size(const struct body *body)
{
	return body->job->late_len + body->job->body_len;
}

/* read_at - exactly len bytes of the record at a place of the stream: late headers, then body */
static int read_at(const struct job *job, uint64_t pos, char *to, size_t len)
{
	if (job->content) {
		memcpy(to, job->content + pos, len);
		return 0;
	}
	/* In the file the late headers lie behind the body. */
	uint64_t at = pos < job->late_len ? job->body_at + job->body_len + pos
					  : job->body_at + (pos - job->late_len);
	while (len) {
		ssize_t n = pread(segment_fd(job->segment), to, len, (off_t)at);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0)
			return -EBADMSG;
		to += n;
		at += (uint64_t)n;
		len -= (size_t)n;
	}
	return 0;
}

/* next_block - how many bytes come next: a block doesn't cross from late headers to body */
static size_t next_block(const struct body *body, size_t max)
{
	uint64_t end = body->done < body->job->late_len ? body->job->late_len : body_size(body);
	uint64_t left = end - body->done;
	if (max > BODY_BLOCK)
		max = BODY_BLOCK;
	return left < max ? (size_t)left : max;
}

/* take - read one block to `to` and check it */
static int take(struct body *body, char *to, size_t len)
{
	int rc = read_at(body->job, body->done, to, len);
	if (rc < 0)
		return rc;
	if (dot_scan(&body->scan, to, len))
		return -EBADMSG;
	body->done += len;
	return body->done < body_size(body) || dot_scan_whole(&body->scan) ? 0 : -EBADMSG;
}

int body_fill(struct body *body, struct evbuffer *out, size_t max)
{
	while (body->done < body_size(body) && max) {
		struct evbuffer_iovec vec;
		size_t len = next_block(body, max);
		if (evbuffer_reserve_space(out, (ev_ssize_t)len, &vec, 1) != 1)
			return -ENOMEM;
		int rc = take(body, vec.iov_base, len);
		if (rc < 0)
			return rc;
		vec.iov_len = len;
		if (evbuffer_commit_space(out, &vec, 1) < 0)
			return -ENOMEM;
		max -= len;
	}
	return body->done < body_size(body);
}

int body_fill_plain(struct body *body, struct evbuffer *out, size_t max)
{
	static char stored[BODY_BLOCK];
	while (body->done < body_size(body) && max) {
		struct evbuffer_iovec vec;
		size_t len = next_block(body, max);
		int rc = take(body, stored, len);
		if (rc < 0)
			return rc;
		if (evbuffer_reserve_space(out, (ev_ssize_t)DOT_PLAIN_ROOM(len), &vec, 1) != 1)
			return -ENOMEM;
		vec.iov_len = dot_plain(&body->plain, stored, len, vec.iov_base);
		if (evbuffer_commit_space(out, &vec, 1) < 0)
			return -ENOMEM;
		max -= len;
	}
	return body->done < body_size(body);
}
