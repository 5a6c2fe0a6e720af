/* SPDX-License-Identifier: ISC */
/*
 * Two events a delivery: the pipe takes more, the result comes. A process that ends early closes
 * the pipe; what it said counts, not that we could not finish writing. The promised length is what
 * the record says; should the bytes not add up to it, the pipe is closed short or long and nothing
 * is delivered (lib/local.h), and the record is damaged.
 */
#include "deliver/handover.h"

#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "deliver/body.h"
#include "deliver/verdict.h"
#include "lib/clock.h"
#include "lib/local.h"
#include "lib/log.h"
#include "lib/loop.h"
#include "lib/str.h"

#define RESULT_MAX_S (2 * LOCAL_TIME_MAX_S) /* master ends it before that */

struct handover {
	struct hop *hop;
	struct job *job; /* under way, NULL: none */
	int pipe, result;
	struct event *writable, *readable;
	struct evbuffer *out;
	struct body body;
	uint64_t promised, filled;
	bool all; /* the whole content was filled in */
	size_t line_len;
	char line[LOCAL_RESULT_MAX + LOCAL_MEMBERS_MAX];
};

static void begin_next(struct handover *h);

/* close_pipe - nothing more is written */
static void close_pipe(struct handover *h)
{
	if (h->writable)
		event_free(h->writable);
	h->writable = NULL;
	if (h->pipe >= 0)
		close(h->pipe);
	h->pipe = -1;
	evbuffer_drain(h->out, evbuffer_get_length(h->out));
}

/* close_all - descriptors and events of one delivery */
static void close_all(struct handover *h)
{
	close_pipe(h);
	if (h->readable)
		event_free(h->readable);
	h->readable = NULL;
	if (h->result >= 0)
		close(h->result);
	h->result = -1;
}

/* end_hop - it is over */
static void end_hop(struct handover *h)
{
	struct hop *hop = h->hop;
	struct words words;
	evbuffer_free(h->out);
	free(h);
	words_set(&words, 0, "2.0.0", "closed");
	hop_closed(hop, OPEN_IDLE, &words);
}

/* decide - the end of this delivery's recipient: the first one, a job has no more */
static void decide(struct handover *h, enum outcome outcome, const struct words *words)
{
	job_decide(&h->job->ends[0], outcome, job_keep(h->job, words));
}

/* finish - the delivery is over; the next one, or the end of the hop */
static void finish(struct handover *h)
{
	struct job *job = h->job;
	close_all(h);
	h->job = NULL;
	hop_done(h->hop, job);
	if (h->hop->state == HOP_CLOSING)
		end_hop(h);
	else
		begin_next(h);
}

/* fail - our own fault or the host's: later */
static void fail(struct handover *h, const char *what, int error)
{
	struct words words;
	words_set(&words, 0, "4.3.0", "%s: %s", what, strerror(abs(error)));
	decide(h, OUT_DEFERRED, &words);
	finish(h);
}

int handover_read_result(const char *line, size_t len, struct words *words)
{
	unsigned long long code;
	if (len < 5 || str_to_u64(line, 3, 599, &code) < 0 || code < 200 || line[3] != ' ')
		return -EINVAL;
	const char *status = line + 4, *end = line + len;
	const char *space = memchr(status, ' ', (size_t)(end - status));
	char copy[sizeof(words->status)];
	if (!space || str_copy_n(copy, sizeof(copy), status, (size_t)(space - status)) < 0 ||
	    !copy[0])
		return -EINVAL;
	words_set(words, (unsigned)code, copy, "%.*s", (int)(end - space - 1), space + 1);
	return 0;
}

/* put_members - the lines of an expansion as lib/job.h's list; -EBADMSG when they don't end */
static int put_members(struct handover *h, size_t at, struct job_list *list)
{
	int rc = job_put_text(list, h->job->user);
	while (!rc) {
		const char *line = h->line + at;
		const char *lf = memchr(line, '\n', h->line_len - at);
		if (!lf)
			return -EBADMSG;
		if (lf == line + 1 && *line == '.')
			return 0;
		rc = job_put_text(list, msg_bytes(line, (size_t)(lf - line)));
		at += (size_t)(lf - line) + 1;
	}
	return rc;
}

/* expand - the user's .forward names others */
static void expand(struct handover *h, size_t at, const struct words *said)
{
	struct words words;
	struct job_list list;
	struct job_end *end = &h->job->ends[0];
	size_t room = LOCAL_RESULT_MAX + 5 * LOCAL_MEMBERS_MAX;
	h->job->expansion = malloc(room);
	job_list_init(&list, h->job->expansion, h->job->expansion ? room : 0);
	if (put_members(h, at, &list) != 0 || list.len > HANDOVER_LIST_MAX) {
		words_set(&words, 0, "4.3.0", "the .forward file could not be read whole");
		decide(h, OUT_DEFERRED, &words);
		return;
	}
	end->members = job_list_bytes(&list);
	decide(h, OUT_EXPANDED, said);
}

/* is_whole - whether all that may come is there: a line, or the lines of an expansion */
static bool is_whole(const struct handover *h)
{
	const char *lf = memchr(h->line, '\n', h->line_len);
	if (h->line_len == sizeof(h->line))
		return true;
	if (!lf || strncmp(h->line, LOCAL_EXPANDED_LINE, sizeof(LOCAL_EXPANDED_LINE) - 1))
		return lf;
	return h->line_len > 3 && !memcmp(h->line + h->line_len - 3, "\n.\n", 3);
}

/* on_result - a line, or the end without one */
static void on_result(struct handover *h)
{
	struct words words;
	const char *lf = memchr(h->line, '\n', h->line_len);
	size_t len = lf ? (size_t)(lf - h->line) : h->line_len;
	if (handover_read_result(h->line, len, &words) < 0) {
		words_set(&words, 0, "4.3.0", "local delivery ended without a result");
		decide(h, OUT_DEFERRED, &words);
	} else if (words.code == LOCAL_EXPANDED) {
		expand(h, lf ? len + 1 : len, &words);
	} else {
		decide(h, verdict_message(&words), &words);
	}
	finish(h);
}

/* on_readable - what the process says, or the time is over */
static void on_readable(evutil_socket_t fd, short what, void *arg)
{
	struct handover *h = arg;
	if (what & EV_TIMEOUT) {
		fail(h, "local delivery", ETIMEDOUT);
		return;
	}
	ssize_t n = recv(fd, h->line + h->line_len, sizeof(h->line) - h->line_len, MSG_DONTWAIT);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	h->line_len += n > 0 ? (size_t)n : 0;
	if (n <= 0 || is_whole(h))
		on_result(h);
}

/* fill - the next block of the content into the buffer; 1: more is to come, 0, -E... */
static int fill(struct handover *h)
{
	size_t before = evbuffer_get_length(h->out);
	int rc = body_fill_plain(&h->body, h->out, HANDOVER_PIPE_BLOCK);
	h->filled += evbuffer_get_length(h->out) - before;
	h->all = rc == 0;
	if (h->filled > h->promised || (h->all && h->filled != h->promised))
		return -EBADMSG;
	return rc;
}

/* on_writable - the pipe takes more */
static void on_writable(evutil_socket_t fd, short what, void *arg)
{
	struct handover *h = arg;
	struct words words;
	int rc = 1;
	(void)what;
	while (rc >= 0) {
		if (!evbuffer_get_length(h->out)) {
			rc = h->all ? 0 : fill(h);
			if (rc < 0)
				break;
			if (!evbuffer_get_length(h->out)) {
				close_pipe(h);
				return;
			}
		}
		if (evbuffer_write(h->out, fd) < 0) {
			/* A process that ended early has a result for us, or its end is one. */
			if (errno != EAGAIN)
				close_pipe(h);
			return;
		}
	}
	words_set(&words, 0, "4.3.0", "%s",
	    rc == -EBADMSG ? "the stored message is damaged" : strerror(-rc));
	decide(h, rc == -EBADMSG ? OUT_DAMAGED : OUT_DEFERRED, &words);
	close_pipe(h);
}

/* open_ends - pipe and socket pair; theirs[] are for the other side */
static int open_ends(struct handover *h, int theirs[2])
{
	int content[2], result[2];
	if (pipe2(content, O_CLOEXEC) < 0)
		return -errno;
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, result) < 0 ||
	    fcntl(content[1], F_SETFL, O_NONBLOCK) < 0) {
		int rc = -errno;
		close(content[0]);
		close(content[1]);
		return rc;
	}
	theirs[0] = content[0];
	theirs[1] = result[1];
	h->pipe = content[1];
	h->result = result[0];
	return 0;
}

/* watch - both events */
static int watch(struct handover *h)
{
	static const struct timeval max = {.tv_sec = RESULT_MAX_S};
	h->writable = event_new(loop_base(), h->pipe, EV_WRITE | EV_PERSIST, on_writable, h);
	h->readable = event_new(loop_base(), h->result, EV_READ | EV_PERSIST, on_readable, h);
	if (!h->writable || !h->readable || event_add(h->writable, NULL) < 0 ||
	    event_add(h->readable, &max) < 0)
		return -ENOMEM;
	return 0;
}

/* begin - one delivery; 0 or -E... with nothing sent */
static int begin(struct handover *h)
{
	struct job *job = h->job;
	const struct job_rcpt *rcpt = &job->ends[0].rcpt;
	int theirs[2] = {-1, -1};
	h->line_len = 0;
	h->filled = 0;
	h->all = false;
	h->promised = job->plain_len + job->late_len;
	body_init(&h->body, job);
	uint64_t raw = htobe64(h->promised);
	int rc = open_ends(h, theirs);
	if (rc < 0)
		return rc;
	rc = evbuffer_add(h->out, &raw, LOCAL_LENGTH_BYTES) < 0 ? -ENOMEM : watch(h);
	if (!rc)
		rc = CHAN_SEND(hops_qmgr(), deliver_local, .user = job->user,
		    .kind = job->mailbox_kind, .mailbox = job->mailbox, .past = job->past,
		    .sender = job->sender, .recipient = rcpt->address, .original = rcpt->orcpt,
		    .pipe = theirs[0], .result = theirs[1]);
	close(theirs[0]);
	close(theirs[1]);
	return rc;
}

/* begin_next - the next job, if there is one and nothing is under way */
static void begin_next(struct handover *h)
{
	if (h->job || !(h->job = hop_next(h->hop)))
		return;
	job_to_wire(h->job);
	h->job->began = clock_ms();
	int rc = begin(h);
	if (rc < 0)
		fail(h, "local delivery can't begin", rc);
}

/* handover_open - always there */
static void handover_open(struct hop *hop, const struct msg_deliver_open *msg)
{
	struct handover *h = calloc(1, sizeof(*h));
	(void)msg;
	if (!h || !(h->out = evbuffer_new()))
		log_fatal("out of memory for a hop");
	h->hop = hop;
	h->pipe = h->result = -1;
	hop->carrier = h;
	str_copy(hop->host, sizeof(hop->host), "local");
	hop_opened(hop);
}

/* handover_feed - a job came */
static void handover_feed(struct hop *hop)
{
	begin_next(hop->carrier);
}

/* handover_close - the delivery under way is finished */
static void handover_close(struct hop *hop)
{
	struct handover *h = hop->carrier;
	if (!h->job)
		end_hop(h);
}

const struct hop_transport handover_transport = {
    .open = handover_open, .feed = handover_feed, .close = handover_close};
