/* SPDX-License-Identifier: ISC */
#include "deliver/chunk.h"

#include <errno.h>
#include <stdio.h>

#include "deliver/body.h"

bool chunk_fits(const struct job *job)
{
	return job->late_len + job->body_len <= CHUNK_MAX;
}

int chunk_read(const struct job *job, struct evbuffer **out)
{
	struct body body;
	char line[40];
	struct evbuffer *buf = evbuffer_new();
	if (!buf)
		return -ENOMEM;
	body_init(&body, job);
	int rc = body_fill_plain(&body, buf, CHUNK_MAX + 1);
	if (!rc) {
		int n = snprintf(line, sizeof(line), "BDAT %zu LAST\r\n", evbuffer_get_length(buf));
		rc = evbuffer_prepend(buf, line, (size_t)n) < 0 ? -ENOMEM : 0;
	}
	if (rc) {
		evbuffer_free(buf);
		return rc < 0 ? rc : -EBADMSG;
	}
	*out = buf;
	return 0;
}
