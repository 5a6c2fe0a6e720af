/* SPDX-License-Identifier: ISC */
/*
 * From a whole message to PARCEL_DONE: records that a reader accepts, SUBMIT before the answer,
 * batches, segments that fill up or fail, large messages that stream. The test is qmgr: the other
 * end of a channel, with segments in memory files.
 */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "lib/chan.h"
#include "lib/envelope.h"
#include "lib/loop.h"
#include "lib/qid.h"
#include "smtpd/intake.h"
#include "smtpd/segments.h"
#include "smtpd/stream.h"
#include "smtpd/syncer.h"

#define NONCE 0x1234567890abcdefull
#define FIRST 1700000000000000ull

/* -- the fake qmgr -- */

static struct {
	struct chan *mine, *theirs; /* theirs: the end that smtpd's modules use */
	unsigned wanted[2];
	uint64_t submitted, sealed, sealed_segment;
	unsigned submits, seals, repeated;
} q;

static void on_want(struct chan *chan, union msg_any *msg, void *arg)
{
	(void)chan, (void)arg;
	q.wanted[msg->smtpd_want.kind] += msg->smtpd_want.count;
}

static void on_submit(struct chan *chan, union msg_any *msg, void *arg)
{
	(void)chan, (void)arg;
	q.submits++;
	q.submitted = msg->smtpd_submit.end;
}

static void on_sealed(struct chan *chan, union msg_any *msg, void *arg)
{
	(void)chan, (void)arg;
	q.seals++;
	q.sealed = msg->smtpd_sealed.end;
	q.sealed_segment = msg->smtpd_sealed.segment;
}

static void on_repeated(struct chan *chan, union msg_any *msg, void *arg)
{
	(void)chan, (void)arg, (void)msg;
	q.repeated++;
}

static const struct chan_handlers as_qmgr = {
    .on = {[MSG_smtpd_want] = on_want,
	[MSG_smtpd_submit] = on_submit,
	[MSG_smtpd_sealed] = on_sealed,
	[MSG_smtpd_repeated] = on_repeated},
};
static const struct chan_handlers as_smtpd = {
    .on = {[MSG_qmgr_segment] = segments_granted, [MSG_qmgr_taken] = segments_taken},
};

/* link_up - a new qmgr */
static void link_up(void)
{
	int fds[2];
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK, 0, fds), 0);
	memset(&q, 0, sizeof(q));
	q.mine = chan_new(fds[0], ROLE_QMGR, ROLE_SMTPD, 1, &as_qmgr, NULL);
	q.theirs = chan_new(fds[1], ROLE_SMTPD, ROLE_QMGR, 1, &as_smtpd, NULL);
	segments_linked(q.theirs);
	while (!q.repeated)
		loop_turn();
}

static void link_down(void)
{
	segments_unlinked(q.theirs);
	chan_free(q.theirs);
	chan_free(q.mine);
	q.mine = q.theirs = NULL;
}

/* grant - a segment in memory; returns a descriptor of the test's own */
static int grant_file(int fd, uint64_t name, enum segment_kind kind, uint64_t limit)
{
	assert_true(fd >= 0);
	assert_int_equal(
	    CHAN_SEND(q.mine, qmgr_segment, .segment = name, .nonce = NONCE, .first_id = name,
		.ids = 1000, .size = 0, .limit = limit, .kind = (uint8_t)kind, .file = fd),
	    0);
	return fd;
}

static int grant(uint64_t name, enum segment_kind kind, uint64_t limit)
{
	return grant_file(memfd_create("segment", MFD_CLOEXEC), name, kind, limit);
}

/* -- the messages -- */

static struct {
	unsigned done, failed, room;
	int error;
	uint64_t ids[64];
	uint64_t submitted_then; /* what qmgr had been told at the last PARCEL_DONE */
} got;

static void on_parcel(struct parcel *p, enum parcel_event event, int error)
{
	if (event == PARCEL_ROOM) {
		got.room++;
		return;
	}
	got.error = error;
	if (error)
		got.failed++;
	else
		got.ids[got.done++ % 64] = p->id;
	parcel_free(p);
}

static const char lines[] = "Received: by test id 00000000000; now\r\n";
#define ID_AT 21

static size_t make_envelope(unsigned char *out, uint32_t flags)
{
	struct envelope_writer w;
	envelope_writer_init(&w, RECORD_ENVELOPE_MAX);
	envelope_put_u32(&w, ENV_FLAGS, flags);
	envelope_put_bytes(&w, ENV_SENDER, "a@b", 3);
	envelope_put_u64(&w, ENV_ARRIVAL, 1);
	envelope_put_rcpt(
	    &w, &(struct envelope_rcpt){.address = msg_str("c@d"), .parent = UINT32_MAX});
	assert_int_equal(w.error, 0);
	size_t len = w.len;
	memcpy(out, w.data, len);
	envelope_writer_free(&w);
	return len;
}

/* message - a parcel with a body, front put, ready to be committed */
static struct parcel *message(const char *body)
{
	unsigned char envelope[256];
	struct parcel *p = parcel_new(1024, 0, on_parcel, NULL);
	assert_non_null(p);
	size_t len = strlen(body);
	assert_true(parcel_room(p) >= (ssize_t)len);
	parcel_add(p, body, len);
	size_t n = make_envelope(envelope, 0);
	assert_int_equal(parcel_front(p, envelope, n, lines, sizeof(lines) - 1, ID_AT), 0);
	p->plain_len = sizeof(lines) - 1 + len;
	return p;
}

/* check_record - a reader finds the message at *at; moves behind it */
static void check_record(int fd, uint64_t name, uint64_t *at, const char *body, uint64_t id)
{
	static unsigned char buf[64 << 10];
	struct record_place place = {.segment = name, .nonce = NONCE, .offset = *at};
	char text[4096], qid[QID_TEXT_MAX];
	struct record rec;
	assert_int_equal(record_check(fd, &place, buf, sizeof(buf), &rec), 0);
	if (id)
		assert_true(rec.id == id);
	assert_int_equal(rec.body_len, sizeof(lines) - 1 + strlen(body));
	assert_int_equal(pread(fd, text, rec.body_len, (off_t)record_body_at(&rec)), rec.body_len);
	qid_format(qid, rec.id);
	assert_memory_equal(text + ID_AT, qid, QID_WIDTH);
	assert_memory_equal(text + sizeof(lines) - 1, body, strlen(body));
	struct envelope env;
	assert_int_equal(
	    pread(fd, text, rec.envelope_len, (off_t)record_envelope_at(&rec)), rec.envelope_len);
	assert_int_equal(envelope_read(text, rec.envelope_len, &env), 0);
	*at += record_len(&rec);
}

static int setup(void **state)
{
	(void)state;
	memset(&got, 0, sizeof(got));
	intake_start();
	link_up();
	while (q.wanted[SEGMENT_SHARED] < 2)
		loop_turn();
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	link_down();
	intake_reset();
	segments_reset();
	return 0;
}

/* -- tests -- */

/* Messages that complete in one turn are one batch; records follow each other; SUBMIT says so. */
static void batch(void **state)
{
	int fd = dup(grant(FIRST, SEGMENT_SHARED, SEGMENT_SIZE));
	uint64_t at = 0;
	(void)state;
	for (int i = 0; i < 10; i++)
		intake_commit(message("Subject: x\r\n\r\nhello\r\n"), 0);
	assert_int_equal(intake_pending(), 10);
	while (got.done < 10)
		loop_turn();
	while (!q.submitted)
		loop_turn();
	for (int i = 0; i < 10; i++) {
		assert_true(got.ids[i] == FIRST + (uint64_t)i);
		check_record(fd, FIRST, &at, "Subject: x\r\n\r\nhello\r\n", got.ids[i]);
	}
	assert_int_equal(q.submits, 1);
	assert_true(q.submitted == at);
	assert_int_equal(intake_pending(), 0);
	close(fd);
}

/* A segment that is full is sealed, the spare goes on; TAKEN lets it be forgotten. */
static void full_segment(void **state)
{
	int one = dup(grant(FIRST, SEGMENT_SHARED, 500)), two = -1;
	uint64_t at = 0;
	(void)state;
	for (int i = 0; i < 3; i++)
		intake_commit(message("body\r\n"), 0);
	while (got.done < 3 && !q.seals)
		loop_turn();
	assert_true(got.done >= 1 && got.done < 3);
	two = dup(grant(FIRST + 5000, SEGMENT_SHARED, SEGMENT_SIZE));
	while (got.done < 3)
		loop_turn();
	assert_true(q.sealed_segment == FIRST);
	for (unsigned i = 0; at < q.sealed; i++)
		check_record(one, FIRST, &at, "body\r\n", got.ids[i]);
	assert_true(at == q.sealed);
	at = 0;
	check_record(two, FIRST + 5000, &at, "body\r\n", 0);
	assert_int_equal(segments_count(), 2);
	CHAN_SEND(q.mine, qmgr_taken, .segment = FIRST, .end = q.sealed);
	while (segments_count() == 2)
		loop_turn();
	close(one);
	close(two);
}

/* A write that fails: all of the batch refused, SEALED at the last good end, no record behind it.
 */
static void failed_write(void **state)
{
	char path[] = "/tmp/test_intake.XXXXXX";
	int file = mkstemp(path), fd = dup(file);
	uint64_t at = 0;
	struct rlimit limit;
	(void)state;
	unlink(path);
	grant_file(file, FIRST, SEGMENT_SHARED, SEGMENT_SIZE);
	intake_commit(message("good\r\n"), 0);
	while (got.done < 1)
		loop_turn();
	check_record(fd, FIRST, &at, "good\r\n", FIRST);
	/* The file may grow by one whole record and a bit. */
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &limit), 0);
	rlim_t before = limit.rlim_cur;
	limit.rlim_cur = at + at + 50;
	signal(SIGXFSZ, SIG_IGN);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
	for (int i = 0; i < 3; i++)
		intake_commit(message("lost\r\n"), 0);
	while (got.failed < 3)
		loop_turn();
	limit.rlim_cur = before;
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
	while (!q.seals)
		loop_turn();
	assert_int_equal(got.error, -EFBIG);
	assert_true(q.sealed == at);
	/* One record of the failed batch was written whole: a scan must not find it. */
	static unsigned char buf[64 << 10];
	struct record_place place = {.segment = FIRST, .nonce = NONCE, .offset = at};
	struct record rec;
	assert_int_equal(record_check(fd, &place, buf, sizeof(buf), &rec), -ENOENT);
	/* The next message goes into another segment. */
	grant(FIRST + 5000, SEGMENT_SHARED, SEGMENT_SIZE);
	intake_commit(message("more\r\n"), 0);
	while (got.done < 2)
		loop_turn();
	assert_true(got.ids[1] == FIRST + 5000);
	close(fd);
}

/* A new qmgr is told again what the old one had not taken. */
static void relink(void **state)
{
	(void)state;
	grant(FIRST, SEGMENT_SHARED, SEGMENT_SIZE);
	intake_commit(message("body\r\n"), 0);
	while (!q.submitted)
		loop_turn();
	uint64_t end = q.submitted;
	link_down();
	/* Without qmgr a message is taken all the same: the segment is there. */
	intake_commit(message("body\r\n"), 0);
	while (got.done < 2)
		loop_turn();
	link_up();
	assert_int_equal(q.submits, 1);
	assert_true(q.submitted > end);
	assert_int_equal(q.wanted[SEGMENT_SHARED], 1);
}

/* A message of 1 MiB streams into a segment of its own, with its flags known at the end. */
static void large(void **state)
{
	static char chunk[65536], text[65536];
	unsigned char envelope[256];
	static unsigned char buf[64 << 10];
	struct parcel *p = parcel_new(1024, 0, on_parcel, NULL);
	size_t sent = 0, total = 1 << 20;
	int fd = -1;
	(void)state;
	memset(chunk, 'x', sizeof(chunk));
	while (sent < total) {
		ssize_t room = parcel_room(p);
		if (room == -EFBIG) {
			size_t n = make_envelope(envelope, 0);
			assert_int_equal(
			    parcel_front(p, envelope, n, lines, sizeof(lines) - 1, ID_AT), 0);
			assert_int_equal(stream_begin(p, 6), 0);
			continue;
		}
		if (room == 0) {
			if (fd < 0) { /* both buffers are full, it waits for its segment */
				while (!q.wanted[SEGMENT_SINGLE])
					loop_turn();
				fd = dup(grant(FIRST, SEGMENT_SINGLE, 64 << 20));
			}
			unsigned before = got.room;
			while (got.room == before)
				loop_turn();
			continue;
		}
		assert_true(room > 0);
		size_t n = (size_t)room < sizeof(chunk) ? (size_t)room : sizeof(chunk);
		if (n > total - sent)
			n = total - sent;
		parcel_add(p, chunk, n);
		sent += n;
	}
	p->plain_len = sizeof(lines) - 1 + total;
	intake_commit(p, ENVF_8BIT);
	while (got.done < 1 || !q.seals)
		loop_turn();
	struct record_place place = {.segment = FIRST, .nonce = NONCE};
	struct record rec;
	struct envelope env;
	assert_int_equal(record_check(fd, &place, buf, sizeof(buf), &rec), 0);
	assert_true(rec.id == FIRST && q.sealed == record_len(&rec));
	assert_int_equal(rec.body_len, sizeof(lines) - 1 + total);
	assert_int_equal(
	    pread(fd, text, rec.envelope_len, (off_t)record_envelope_at(&rec)), rec.envelope_len);
	assert_int_equal(envelope_read(text, rec.envelope_len, &env), 0);
	assert_int_equal(env.flags, ENVF_8BIT);
	assert_int_equal(pread(fd, text, 1000, (off_t)record_body_at(&rec)), 1000);
	assert_memory_equal(text + sizeof(lines) - 1, chunk, 1000 - sizeof(lines) + 1);
	close(fd);
	assert_int_equal(parcel_bytes(), 0);
}

/* expect_byte - of the body at a place */
static char expect_byte(size_t at)
{
	return (char)('a' + at * 31 / 7 % 26);
}

/* pump_body - so many bytes, in pieces of many sizes */
static void pump_body(struct parcel *p, size_t total)
{
	static char piece[70000];
	size_t sent = 0, step = 1;
	while (sent < total) {
		ssize_t room = parcel_room(p);
		unsigned char envelope[256];
		if (room == -EFBIG) {
			size_t n = make_envelope(envelope, 0);
			assert_int_equal(
			    parcel_front(p, envelope, n, lines, sizeof(lines) - 1, ID_AT), 0);
			assert_int_equal(stream_begin(p, 6), 0);
			continue;
		}
		assert_true(room >= 0);
		if (room == 0) {
			unsigned before = got.room;
			while (got.room == before)
				loop_turn();
			continue;
		}
		step = step * 7 % 69997;
		size_t n = (size_t)room < step ? (size_t)room : step;
		if (n > total - sent)
			n = total - sent;
		for (size_t i = 0; i < n; i++)
			piece[i] = expect_byte(sent + i);
		parcel_add(p, piece, n);
		sent += n;
	}
	p->plain_len = sizeof(lines) - 1 + total;
}

/* check_stored - the record in the file is the one that was sent */
static void check_stored(int fd, uint64_t name, size_t total)
{
	static unsigned char buf[64 << 10];
	struct record_place place = {.segment = name, .nonce = NONCE};
	struct record rec;
	assert_int_equal(record_check(fd, &place, buf, sizeof(buf), &rec), 0);
	assert_int_equal(rec.body_len, sizeof(lines) - 1 + total);
	assert_true(q.sealed == record_len(&rec));
	uint64_t at = record_body_at(&rec) + sizeof(lines) - 1;
	for (size_t done = 0; done < total;) {
		ssize_t n = pread(fd, buf, sizeof(buf), (off_t)(at + done));
		assert_true(n > 0);
		for (ssize_t i = 0; i < n && done < total; i++, done++)
			assert_int_equal((char)buf[i], expect_byte(done));
	}
	/* Nothing behind it can be taken for a record. */
	place.offset = record_len(&rec);
	assert_int_equal(record_check(fd, &place, buf, sizeof(buf), &rec), -ENOENT);
}

/* temp_file - its own disk space, written past the page cache where that is possible */
static int temp_file(bool direct, int *reader)
{
	char path[] = "/tmp/baton-intake-XXXXXX";
	int fd = mkstemp(path);
	assert_true(fd >= 0);
	*reader = open(path, O_RDONLY);
	assert_true(*reader >= 0);
	unlink(path);
	if (direct)
		fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_DIRECT);
	return fd;
}

/* Whatever its length, and whether or not the file takes whole pages only. */
static void large_sizes(void **state)
{
	static const size_t sizes[] = {
	    262145, 300000, 520000, 1048000, 1048576, 1050000, 2097152, 3500001};
	uint64_t name = FIRST;
	(void)state;
	for (unsigned i = 0; i < 2 * sizeof(sizes) / sizeof(*sizes) + 64; i++) {
		/* The last ones end at each of 64 places around the end of a page. */
		size_t total = i / 2 < sizeof(sizes) / sizeof(*sizes)
				   ? sizes[i / 2]
				   : 303104 - (i - 2 * sizeof(sizes) / sizeof(*sizes)) * 11;
		int reader,
		    fd = grant_file(temp_file(i % 2, &reader), name, SEGMENT_SINGLE, 64 << 20);
		close(fd);
		while (segments_count() == 0)
			loop_turn();
		memset(&got, 0, sizeof(got));
		q.seals = 0;
		struct parcel *p = parcel_new(1024, i % 3 ? total : 0, on_parcel, NULL);
		pump_body(p, total);
		intake_commit(p, 0);
		while (got.done < 1 || !q.seals)
			loop_turn();
		assert_int_equal(got.error, 0);
		check_stored(reader, name, total);
		close(reader);
		CHAN_SEND(q.mine, qmgr_taken, .segment = name, .end = q.sealed);
		while (segments_count() > 0)
			loop_turn();
		name += 1000;
	}
	assert_int_equal(parcel_bytes(), 0);
}

/* done - a job came back */
static void job_done(struct sync_job *job)
{
	job->wipe_at = 1;
}

/* A file system that takes direct writes of other sizes only: the same through the page cache. */
static void crooked(void **state)
{
	char text[100];
	struct iovec iov = {.iov_base = text + 1, .iov_len = 99};
	int reader, fd = temp_file(true, &reader);
	struct sync_job job = {.fd = fd,
	    .write[0] = {.iov = &iov, .iovs = 1, .offset = 77},
	    .how = SYNC_DATA,
	    .done = job_done};
	(void)state;
	memset(text, 'y', sizeof(text));
	syncer_put(&job);
	while (!job.wipe_at)
		loop_turn();
	assert_int_equal(job.error, 0);
	assert_int_equal(pread(reader, text, 99, 77), 99);
	assert_int_equal(text[98], 'y');
	close(fd);
	close(reader);
}

/* A client that leaves in the middle: the segment goes back empty, nothing leaks. */
static void large_given_up(void **state)
{
	static char chunk[65536];
	unsigned char envelope[256];
	struct parcel *p = parcel_new(1024, 0, on_parcel, NULL);
	(void)state;
	grant(FIRST, SEGMENT_SINGLE, 64 << 20);
	while (segments_count() == 0)
		loop_turn();
	for (ssize_t room; (room = parcel_room(p)) != -EFBIG;)
		parcel_add(p, chunk, (size_t)room < sizeof(chunk) ? (size_t)room : sizeof(chunk));
	size_t n = make_envelope(envelope, 0);
	assert_int_equal(parcel_front(p, envelope, n, lines, sizeof(lines) - 1, ID_AT), 0);
	assert_int_equal(stream_begin(p, 6), 0);
	assert_true(parcel_room(p) > 0); /* the first buffer is with the sync thread now */
	parcel_free(p);
	while (!q.seals)
		loop_turn();
	assert_int_equal(q.sealed, 0);
	assert_int_equal(parcel_bytes(), 0);
	assert_int_equal(got.done + got.failed, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(batch, setup, teardown),
	    cmocka_unit_test_setup_teardown(full_segment, setup, teardown),
	    cmocka_unit_test_setup_teardown(failed_write, setup, teardown),
	    cmocka_unit_test_setup_teardown(relink, setup, teardown),
	    cmocka_unit_test_setup_teardown(large, setup, teardown),
	    cmocka_unit_test_setup_teardown(large_sizes, setup, teardown),
	    cmocka_unit_test_setup_teardown(crooked, setup, teardown),
	    cmocka_unit_test_setup_teardown(large_given_up, setup, teardown),
	};
	loop_init();
	syncer_start();
	syncer_listen();
	int failed = cmocka_run_group_tests(tests, NULL, NULL);
	syncer_stop();
	return failed;
}
