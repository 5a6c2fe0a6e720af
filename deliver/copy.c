/* SPDX-License-Identifier: ISC */
/* One event a copy: the pipe takes more. A job that no hop has lends its place in the file. */
#include "deliver/copy.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "deliver/body.h"
#include "lib/hash.h"
#include "lib/log.h"
#include "lib/loop.h"

struct copy {
	struct copy *prev, *next;
	struct chan *qmgr;
	uint32_t number;
	struct job *job; /* body and segment of it, nothing else */
	struct body body;
	struct evbuffer *out;
	struct event *writable;
	int pipe;
	bool all; /* the whole content was filled in */
};

static struct copy *copies;
static unsigned ncopies;

/* copy_free - descriptors first, so that the reader sees the end */
static void copy_free(struct copy *c)
{
	DL_DELETE(copies, c);
	ncopies--;
	if (c->writable)
		event_free(c->writable);
	if (c->pipe >= 0)
		close(c->pipe);
	if (c->out)
		evbuffer_free(c->out);
	job_free(c->job);
	free(c);
}

/* finish - the segment isn't needed any more */
static void finish(struct copy *c)
{
	CHAN_SEND(c->qmgr, deliver_copied, .copy = c->number);
	copy_free(c);
}

/* fill - the next block; false: there is none, or it can't be read */
static bool fill(struct copy *c)
{
	int rc = c->all ? 0 : body_fill_plain(&c->body, c->out, BODY_BLOCK);
	if (rc < 0)
		log_warnc(rc, "a message cannot be copied for a tool");
	c->all = rc <= 0;
	return evbuffer_get_length(c->out) > 0;
}

/* on_writable - the pipe takes more, or nobody reads */
static void on_writable(evutil_socket_t fd, short what, void *arg)
{
	struct copy *c = arg;
	while (what & EV_WRITE) {
		if (!evbuffer_get_length(c->out) && !fill(c))
			break;
		if (evbuffer_write(c->out, fd) < 0) {
			if (errno == EAGAIN)
				return;
			break;
		}
	}
	finish(c);
}

/* place - a job that is only a place in a segment; NULL: qmgr never sent that, or no memory */
static struct job *place(const struct msg_deliver_copy *msg)
{
	struct job *job = calloc(1, sizeof(*job));
	if (!job)
		return NULL;
	job->segment = segment_hold(msg->segment);
	job->body_at = msg->body;
	job->body_len = msg->body_len;
	job->late_len = msg->late_len;
	if (job->segment)
		return job;
	job_free(job);
	return NULL;
}

/* copy_new - all that it needs; *reader is the other end. NULL: it can't be */
static struct copy *copy_new(struct chan *qmgr, const struct msg_deliver_copy *msg, int *reader)
{
	static const struct timeval idle = {.tv_sec = COPY_IDLE_S};
	struct copy *c = ncopies < COPIES_MAX ? calloc(1, sizeof(*c)) : NULL;
	int ends[2];
	if (!c)
		return NULL;
	c->qmgr = qmgr;
	c->number = msg->copy;
	c->pipe = -1;
	c->job = place(msg);
	c->out = evbuffer_new();
	DL_APPEND(copies, c);
	ncopies++;
	if (!c->job || !c->out || pipe2(ends, O_CLOEXEC) < 0)
		goto out;
	c->pipe = ends[1];
	*reader = ends[0];
	c->writable = event_new(loop_base(), c->pipe, EV_WRITE | EV_PERSIST, on_writable, c);
	if (c->writable && fcntl(c->pipe, F_SETFL, O_NONBLOCK) == 0 &&
	    event_add(c->writable, &idle) == 0) {
		body_init(&c->body, c->job);
		return c;
	}
	close(ends[0]);
out:
	copy_free(c);
	return NULL;
}

void copy_start(struct chan *qmgr, const struct msg_deliver_copy *msg)
{
	int reader = -1;
	if (!copy_new(qmgr, msg, &reader)) {
		CHAN_SEND(qmgr, deliver_copied, .copy = msg->copy);
		return;
	}
	CHAN_SEND(qmgr, deliver_copying, .copy = msg->copy, .pipe = reader);
	close(reader);
}

void copies_end(void)
{
	while (copies)
		copy_free(copies);
}
