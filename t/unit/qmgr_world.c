/* SPDX-License-Identifier: ISC */
/* The neighbours live in the same loop as the queue, at the other ends of its channels. */
#include "qmgr_world.h"

#include <dirent.h>
#include <fcntl.h>
#include <linux/kcmp.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "lib/child.h"
#include "lib/clock.h"
#include "lib/envelope.h"
#include "lib/log.h"
#include "lib/loop.h"
#include "qmgr/links.h"
#include "qmgr/queue.h"
#include "qmgr/segments.h"

struct world_segment world_seg;
struct chan *world_smtpd, *world_deliver;
struct world_job world_jobs[WORLD_JOBS];
unsigned world_njobs, world_opens, world_released, world_takens;
uint64_t world_committed, world_seq;
enum open_verdict world_verdict = OPEN_OK;
bool world_answers;
enum outcome world_outcome = OUT_SENT;
uint16_t world_code = 250;

static char dir[64];
struct child_self world_self;

void world_fail(const char *file, int line, const char *what)
{
	log_flush();
	fprintf(stderr, "%s:%d: %s\n", file, line, what);
	_exit(1);
}

void world_make(const char *conf)
{
	char path[128];
	snprintf(dir, sizeof(dir), "/tmp/baton-qmgr.XXXXXX");
	assert_non_null(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/baton.conf", dir);
	FILE *f = fopen(path, "w");
	assert_non_null(f);
	fprintf(f,
	    "hostname = \"relay.example.test\"\nspool = \"%s\"\nsites = \"\"\nlog = \"stderr\"\n"
	    "spool_min_free = \"0\"\naliases = \"\"\n%s\n",
	    dir, conf);
	assert_int_equal(fclose(f), 0);
}

void world_clean(void)
{
	char cmd[128];
	snprintf(cmd, sizeof(cmd), "rm -rf %s", dir);
	assert_int_equal(system(cmd), 0);
}

const char *world_dir(void)
{
	return dir;
}

void world_remove_index(void)
{
	char cmd[128];
	snprintf(cmd, sizeof(cmd), "rm -rf %s/index", dir);
	check(system(cmd) == 0);
}

void world_flip(uint64_t segment, uint64_t at)
{
	char path[128];
	unsigned char c;
	snprintf(path, sizeof(path), "%s/segments/%016llx", dir, (unsigned long long)segment);
	int fd = open(path, O_RDWR);
	check(fd >= 0 && pread(fd, &c, 1, (off_t)at) == 1);
	c ^= 0x40;
	check(pwrite(fd, &c, 1, (off_t)at) == 1);
	close(fd);
}

void world_run(void (*fn)(void))
{
	int status;
	fflush(NULL);
	pid_t pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		fn();
		log_flush();
		_exit(0); /* killed, as far as the queue can tell */
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

struct punch_pace world_pace = {PUNCH_CHECK_MS, PUNCH_QUIET_MS};

void world_open(void)
{
	char path[128];
	struct conf *conf;
	struct conf_messages msgs = {0};
	snprintf(path, sizeof(path), "%s/baton.conf", dir);
	if (conf_load(path, &conf, &msgs)) {
		conf_messages_print(&msgs, stderr);
		world_fail(__FILE__, __LINE__, "conf_load");
	}
	world_self = (struct child_self){.role = ROLE_QMGR, .conf = conf};
	log_set(LOG_FORMAT_TEXT, getenv("WORLD_LOG") ? LOG_DEBUG : LOG_ERROR);
	loop_init();
	check(queue_open(world_pace) == 0);
}

/* tick - so that a turn ends now and then */
static void tick(evutil_socket_t fd, short what, void *arg)
{
	(void)fd, (void)what, (void)arg;
}

bool world_until(bool (*cond)(void), unsigned ms)
{
	static struct event *ticker;
	if (!ticker) {
		ticker = event_new(loop_base(), -1, EV_PERSIST, tick, NULL);
		event_add(ticker, &(struct timeval){.tv_usec = 2000});
	}
	int64_t until = clock_ms() + (cond ? WORLD_PATIENCE * (int64_t)ms : ms);
	while (!(cond && cond()) && clock_ms() < until)
		loop_turn();
	return cond && cond();
}

void world_for(unsigned ms)
{
	world_until(NULL, ms);
}

/* -- smtpd */

/* on_segment - granted */
static void on_segment(struct chan *chan, union msg_any *m, void *arg)
{
	(void)chan, (void)arg;
	world_seg = (struct world_segment){.name = m->qmgr_segment.segment,
	    .nonce = m->qmgr_segment.nonce,
	    .first_id = m->qmgr_segment.first_id,
	    .ids = m->qmgr_segment.ids,
	    .size = m->qmgr_segment.size,
	    .limit = m->qmgr_segment.limit,
	    .fd = m->qmgr_segment.file,
	    .got = true};
	m->qmgr_segment.file = -1;
}

/* on_taken - how far */
static void on_taken(struct chan *chan, union msg_any *m, void *arg)
{
	(void)chan, (void)arg;
	world_takens++;
	if (m->qmgr_taken.segment == world_seg.name)
		world_seg.taken = m->qmgr_taken.end;
}

/* ignore - not looked at */
static void ignore(struct chan *chan, union msg_any *m, void *arg)
{
	(void)chan, (void)m, (void)arg;
}

/* on_closed - the queue has closed a channel */
static void on_closed(struct chan *chan, void *arg)
{
	struct chan **mine = arg;
	chan_free(chan);
	*mine = NULL;
}

static const struct chan_handlers smtpd_handlers = {
    .on = {[MSG_qmgr_segment] = on_segment,
	[MSG_qmgr_taken] = on_taken,
	[MSG_qmgr_pressure] = ignore},
    .closed = on_closed,
};

/* pair - a link; the other end is the queue's */
static struct chan *pair(
    enum role role, const struct chan_handlers *handlers, struct chan **mine, unsigned expect)
{
	int fds[2];
	check(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds) == 0);
	links_add(role, 1, LINK_CHANNEL, expect, fds[0]);
	return chan_new(fds[1], role, ROLE_QMGR, 1, handlers, mine);
}

void world_link_smtpd(unsigned expect)
{
	world_smtpd = pair(ROLE_SMTPD, &smtpd_handlers, &world_smtpd, expect);
}

void world_repeated(void)
{
	CHAN_SEND(world_smtpd, smtpd_repeated);
}

void world_smtpd_dies(void)
{
	chan_flush(world_smtpd);
	chan_free(world_smtpd);
	world_smtpd = NULL;
}

void world_want(enum segment_kind kind)
{
	world_seg.got = false;
	CHAN_SEND(world_smtpd, smtpd_want, .kind = (uint8_t)kind, .count = 1);
}

bool world_granted(void)
{
	return world_seg.got;
}

uint64_t world_record(uint64_t id, const char *sender, const char *const *rcpts, unsigned n)
{
	static const char body[] = "Subject: x\r\n\r\nbody\r\n";
	unsigned char header[RECORD_HEADER], trailer[RECORD_TRAILER];
	struct envelope_writer w;
	envelope_writer_init(&w, RECORD_ENVELOPE_MAX);
	envelope_put_bytes(&w, ENV_SENDER, sender, strlen(sender));
	envelope_put_u64(&w, ENV_ARRIVAL, (uint64_t)clock_wall_ms());
	for (unsigned i = 0; i < n; i++) {
		const struct envelope_rcpt rcpt = {
		    .address = msg_str(rcpts[i]), .parent = UINT32_MAX};
		envelope_put_rcpt(&w, &rcpt);
	}
	check(w.error == 0);
	const struct record rec = {
	    .place = {.segment = world_seg.name, .nonce = world_seg.nonce, .offset = world_seg.end},
	    .id = id,
	    .envelope_len = (uint32_t)w.len,
	    .body_len = sizeof(body) - 1,
	    .plain_len = sizeof(body) - 1};
	struct record_sum *sum = record_sum_new(world_seg.nonce);
	record_put_header(&rec, w.data, header);
	record_sum_add(sum, body, sizeof(body) - 1);
	record_put_trailer(&rec, header, sum, trailer);
	record_sum_free(sum);
	off_t at = (off_t)world_seg.end;
	check(pwrite(world_seg.fd, header, sizeof(header), at) == sizeof(header));
	at += sizeof(header);
	check(pwrite(world_seg.fd, w.data, w.len, at) == (ssize_t)w.len);
	at += (off_t)w.len;
	check(pwrite(world_seg.fd, body, sizeof(body) - 1, at) == sizeof(body) - 1);
	at += sizeof(body) - 1;
	check(pwrite(world_seg.fd, trailer, sizeof(trailer), at) == sizeof(trailer));
	envelope_writer_free(&w);
	uint64_t offset = world_seg.end;
	world_seg.end += record_len(&rec);
	return offset;
}

void world_submit(void)
{
	CHAN_SEND(world_smtpd, smtpd_submit, .segment = world_seg.name, .end = world_seg.end);
}

/* -- deliver */

/* on_open - OPEN */
static void on_open(struct chan *chan, union msg_any *m, void *arg)
{
	(void)arg;
	world_opens++;
	CHAN_SEND(chan, deliver_opened, .conn = m->deliver_open.conn,
	    .verdict = (uint8_t)world_verdict, .host = msg_str("sink"),
	    .address = msg_str("127.0.0.1"), .status = msg_str(""),
	    .text = msg_str(world_verdict == OPEN_OK ? "" : "connection refused"));
}

void world_answer(struct world_job *job, enum outcome outcome, uint16_t code, const char *text)
{
	unsigned char buf[8192];
	struct job_list list;
	job_list_init(&list, buf, sizeof(buf));
	for (unsigned i = 0; i < job->n; i++) {
		const struct job_result result = {.number = job->number[i],
		    .outcome = (uint8_t)outcome,
		    .code = code,
		    .status = msg_str(""),
		    .text = msg_str(text)};
		check(job_put_result(&list, &result) == 0);
	}
	job->answered = true;
	CHAN_SEND(world_deliver, deliver_result, .seq = ++world_seq, .conn = job->conn,
	    .kind = job->kind, .segment = job->segment, .offset = job->offset,
	    .host = msg_str("sink"), .address = msg_str(""), .tls = msg_str(""),
	    .results = job_list_bytes(&list));
}

/* on_job - JOB */
static void on_job(struct chan *chan, union msg_any *m, void *arg)
{
	struct world_job *job = &world_jobs[world_njobs++ % WORLD_JOBS];
	struct job_rcpt rcpt;
	size_t pos = 0;
	(void)chan, (void)arg;
	*job = (struct world_job){.conn = m->deliver_job.conn,
	    .kind = m->deliver_job.kind,
	    .id = m->deliver_job.id,
	    .segment = m->deliver_job.segment,
	    .offset = m->deliver_job.offset};
	snprintf(job->sender, sizeof(job->sender), "%.*s", (int)m->deliver_job.sender.len,
	    m->deliver_job.sender.data);
	while (job_next_rcpt(m->deliver_job.recipients, &pos, &rcpt) == 1 && job->n < 8) {
		job->number[job->n] = rcpt.number;
		snprintf(job->address[job->n++], sizeof(job->address[0]), "%.*s",
		    (int)rcpt.address.len, rcpt.address.data);
	}
	if (world_answers)
		world_answer(job, world_outcome, world_code, "as told");
}

/* on_committed - COMMITTED */
static void on_committed(struct chan *chan, union msg_any *m, void *arg)
{
	(void)chan, (void)arg;
	world_committed = m->deliver_committed.seq;
}

/* on_descriptor - SEGMENT: what a worker may do to its description isn't done to qmgr's */
static void on_descriptor(struct chan *chan, union msg_any *m, void *arg)
{
	const struct segment *seg = segment_find(m->deliver_segment.segment);
	(void)chan, (void)arg;
	check(seg && syscall(SYS_kcmp, getpid(), getpid(), KCMP_FILE, m->deliver_segment.file,
			 seg->fd) != 0);
}

/* on_release - RELEASE */
static void on_release(struct chan *chan, union msg_any *m, void *arg)
{
	(void)chan, (void)m, (void)arg;
	world_released++;
}

static const struct chan_handlers deliver_handlers = {
    .on = {[MSG_deliver_open] = on_open,
	[MSG_deliver_job] = on_job,
	[MSG_deliver_segment] = on_descriptor,
	[MSG_deliver_release] = on_release,
	[MSG_deliver_committed] = on_committed,
	[MSG_deliver_close] = ignore},
    .closed = on_closed,
};

void world_link_deliver(unsigned expect)
{
	world_deliver = pair(ROLE_DELIVER, &deliver_handlers, &world_deliver, expect);
}

void world_inflight_end(void)
{
	CHAN_SEND(world_deliver, deliver_inflight, .places = msg_bytes("", 0), .last = 1);
}

void world_inflight(uint64_t segment, uint64_t offset, uint32_t number)
{
	unsigned char buf[256];
	struct job_list list;
	const struct job_place place = {.segment = segment, .offset = offset, .number = number};
	job_list_init(&list, buf, sizeof(buf));
	check(job_put_place(&list, &place) == 0);
	CHAN_SEND(world_deliver, deliver_inflight, .places = job_list_bytes(&list), .last = 0);
}

void world_repeat(
    uint8_t kind, uint64_t segment, uint64_t offset, uint32_t number, enum outcome outcome)
{
	struct world_job job = {
	    .kind = kind, .segment = segment, .offset = offset, .n = 1, .number = {number}};
	world_answer(&job, outcome, 0, "said before");
}

void world_deliver_dies(void)
{
	chan_flush(world_deliver);
	chan_free(world_deliver);
	world_deliver = NULL;
}

void world_link(void)
{
	world_link_smtpd(1);
	world_link_deliver(1);
	world_repeated();
	world_inflight_end();
}

unsigned world_files(const char *suffix)
{
	char path[128];
	unsigned n = 0;
	struct dirent *e;
	snprintf(path, sizeof(path), "%s/segments", dir);
	DIR *d = opendir(path);
	while (d && (e = readdir(d)))
		n += strlen(e->d_name) == 16 + strlen(suffix) && !strcmp(e->d_name + 16, suffix);
	if (d)
		closedir(d);
	return n;
}
