/* SPDX-License-Identifier: ISC */
/* See owner.h. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "t/unit/owner.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/hash.h"
#include "lib/loop.h"

/* -- what the owner of a client sees ----------------------------------------------------------- */

struct owner seen;
struct client *client;

static void on_ready(void *arg)
{
	(void)arg;
	seen.ready++;
}

static struct job *on_next(void *arg)
{
	struct job *job = seen.queue;
	(void)arg;
	if (job)
		DL_DELETE(seen.queue, job);
	return job;
}

static void on_done(void *arg, struct job *job)
{
	(void)arg;
	for (uint32_t i = 0; i < job->nends; i++) {
		const struct job_end *end = &job->ends[i];
		seen.outcome[job->id][i] = end->outcome;
		if (end->words) {
			seen.code[job->id][i] = end->words->code;
			snprintf(seen.text[job->id][i], 80, "%.*s", (int)end->words->len,
			    end->words->text);
		}
	}
	seen.done++;
	job_free(job);
}

static void on_ended(void *arg, enum open_verdict why, const struct words *words)
{
	(void)arg;
	seen.ended++;
	seen.why = why;
	seen.words = *words;
	seen.ahead = client_ahead(client);
	client_free(client);
	client = NULL;
}

const struct client_ops owner_ops = {
    .ready = on_ready, .next = on_next, .done = on_done, .ended = on_ended};

/* owner_reset - forget what was seen */
void owner_reset(void)
{
	memset(&seen, 0, sizeof(seen));
	for (unsigned i = 0; i < JOBS_MAX; i++)
		for (unsigned j = 0; j < 4; j++)
			seen.outcome[i][j] = -1;
}

/* add_job - a message of one segment of its own */
void add_job(unsigned id, unsigned nrcpts, const char *late, const char *body, uint32_t flags)
{
	static uint64_t segment = 1;
	static unsigned char buf[4096];
	struct job_list list;
	struct job *job;
	char address[40];
	int fd = memfd_create("segment", MFD_CLOEXEC);
	size_t len = strlen(body), late_len = strlen(late);
	assert_int_equal(pwrite(fd, body, len, 100), len);
	assert_int_equal(pwrite(fd, late, late_len, (off_t)(100 + len)), late_len);
	segments_add(++segment, fd);
	job_list_init(&list, buf, sizeof(buf));
	for (unsigned i = 0; i < nrcpts; i++) {
		snprintf(address, sizeof(address), "r%u.%u@example.net", id, i);
		struct job_rcpt rcpt = {.number = i,
		    .address = msg_str(address),
		    .orcpt = msg_str(""),
		    .status = msg_str(""),
		    .text = msg_str(""),
		    .host = msg_str("")};
		assert_int_equal(job_put_rcpt(&list, &rcpt), 0);
	}
	struct msg_deliver_job msg = {.conn = 1,
	    .id = id,
	    .segment = segment,
	    .body = 100,
	    .body_len = len,
	    .late_len = (uint32_t)late_len,
	    .plain_len = len,
	    .flags = flags,
	    .sender = msg_str("s@example.org"),
	    .envid = msg_str(""),
	    .user = msg_str(""),
	    .mailbox = msg_str(""),
	    .recipients = job_list_bytes(&list)};
	assert_int_equal(job_new(&msg, &job), 0);
	segments_release(segment);
	DL_APPEND(seen.queue, job);
	if (client)
		client_feed(client);
}

static void nothing(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	(void)arg;
}

/* turn - one turn that waits for nothing */
void turn(void)
{
	static const struct timeval now = {0, 0};
	event_base_once(loop_base(), -1, EV_TIMEOUT, nothing, NULL, &now);
	loop_turn();
}

/* begin - a client on one end of a pair; returns the other */
static int begin(enum conf_pipelining pipelining, uint32_t max_messages, bool lmtp)
{
	int pair[2];
	struct client_setup setup = {.hello = "me.example",
	    .reply_ms = 5000,
	    .idle_ms = 5000,
	    .max_messages = max_messages,
	    .lmtp = lmtp,
	    .pipelining = pipelining};
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair), 0);
	owner_reset();
	client = client_adopt(&setup, pair[0], &owner_ops, NULL);
	assert_non_null(client);
	return pair[1];
}

int begin_with(enum conf_pipelining pipelining, uint32_t max_messages)
{
	return begin(pipelining, max_messages, false);
}

int begin_lmtp(void)
{
	return begin(CONF_PIPELINING_FULL, 0, true);
}

/* over - the client is gone and nothing of it is left */
void over(int fd)
{
	struct job *job, *next;
	client_free(client);
	client = NULL;
	if (fd >= 0)
		close(fd);
	turn();
	DL_FOREACH_SAFE (seen.queue, job, next) {
		DL_DELETE(seen.queue, job);
		job_free(job);
	}
	assert_int_equal(jobs_on_wire(), 0);
}

int make_loop(void **state)
{
	(void)state;
	signal(SIGPIPE, SIG_IGN);
	loop_init();
	return 0;
}

int free_loop(void **state)
{
	(void)state;
	event_base_free(loop_base());
	return 0;
}
