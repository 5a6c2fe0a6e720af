/* SPDX-License-Identifier: ISC */
#include "deliver/downgrade.h"

#include <errno.h>
#include <stdlib.h>

#include "deliver/body.h"
#include "deliver/mime_walk.h"

#define STEP (32u << 10) /* bytes read at a time */

struct downgrade {
	const struct job *job;
	struct body body;
	struct evbuffer *plain;
	struct mime_walk walk;
};

struct downgrade *downgrade_new(const struct job *job)
{
	struct downgrade *d = malloc(sizeof(*d));
	if (!d)
		return NULL;
	d->job = job;
	d->plain = evbuffer_new();
	if (!d->plain) {
		free(d);
		return NULL;
	}
	body_init(&d->body, job);
	mime_walk_begin(&d->walk);
	return d;
}

void downgrade_free(struct downgrade *d)
{
	if (!d)
		return;
	evbuffer_free(d->plain);
	free(d);
}

const char *downgrade_why(const struct downgrade *d)
{
	return d->walk.why ? d->walk.why : "";
}

/* step - the next block through the walk; 1: there is more, 0: that was the last, -errno */
static int step(struct downgrade *d, struct evbuffer *out)
{
	int more = body_fill_plain(&d->body, d->plain, STEP);
	if (more < 0)
		return more;
	size_t len = evbuffer_get_length(d->plain);
	const char *data = (const char *)evbuffer_pullup(d->plain, -1);
	if (len && !data)
		return -ENOMEM;
	int rc = mime_walk_feed(&d->walk, data, len, out);
	evbuffer_drain(d->plain, len);
	if (!rc && !more)
		rc = mime_walk_end(&d->walk, out);
	return rc ? rc : more;
}

int downgrade_look(struct downgrade *d)
{
	int rc = 1;
	for (size_t done = 0; rc == 1 && done < DOWNGRADE_TURN; done += STEP)
		rc = step(d, NULL);
	if (rc)
		return rc;
	body_init(&d->body, d->job);
	mime_walk_again(&d->walk);
	return 0;
}

int downgrade_fill(struct downgrade *d, struct evbuffer *out, size_t max)
{
	size_t before = evbuffer_get_length(out);
	int rc = 1;
	while (rc == 1 && evbuffer_get_length(out) - before < max)
		rc = step(d, out);
	return rc;
}
