/* SPDX-License-Identifier: ISC */
/* Channels over a real socket pair: packets, descriptors, the gate, and the end of a peer. */
#include "lib/chan.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "lib/loop.h"

static struct {
	unsigned submits, closed, segments;
	uint64_t last_end;
	int kept_fd;
	bool free_on_submit, refuse;
	size_t packets;
} seen;

static void on_submit(struct chan *chan, union msg_any *msg, void *arg)
{
	(void)arg;
	seen.submits++;
	seen.last_end = msg->smtpd_submit.end;
	if (seen.free_on_submit)
		chan_free(chan);
}

static void on_segment(struct chan *chan, union msg_any *msg, void *arg)
{
	(void)chan, (void)arg;
	seen.segments++;
	seen.kept_fd = msg->qmgr_segment.file;
	msg->qmgr_segment.file = -1;
}

static bool may(struct chan *chan, unsigned type, const union msg_any *msg, void *arg)
{
	(void)chan, (void)arg;
	assert_int_equal(type, MSG_smtpd_submit);
	seen.last_end = msg->smtpd_submit.end;
	return !seen.refuse;
}

static void on_closed(struct chan *chan, void *arg)
{
	(void)chan, (void)arg;
	seen.closed++;
}

static const struct chan_handlers qmgr_side = {
    .on = {[MSG_smtpd_submit] = on_submit}, .may = may, .closed = on_closed};
static const struct chan_handlers smtpd_side = {
    .on = {[MSG_qmgr_segment] = on_segment}, .closed = on_closed};

/* Two channels that face each other, or one channel and a bare socket. */
static void pair(struct chan **smtpd, struct chan **qmgr, int *bare)
{
	int fds[2];

	memset(&seen, 0, sizeof(seen));
	seen.kept_fd = -1;
	assert_int_equal(
	    socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds), 0);
	*qmgr = chan_new(fds[0], ROLE_QMGR, ROLE_SMTPD, 1, &qmgr_side, NULL);
	assert_non_null(*qmgr);
	if (bare)
		*bare = fds[1];
	else
		*smtpd = chan_new(fds[1], ROLE_SMTPD, ROLE_QMGR, 0, &smtpd_side, NULL);
}

/* Turns until nothing is left to do; a timer keeps the loop from waiting for ever. */
static void turns(int n)
{
	const struct timeval soon = {0, 1000};

	while (n-- > 0) {
		event_base_loopexit(loop_base(), &soon);
		loop_turn();
	}
}

static void test_a_turn_is_one_packet(void **state)
{
	struct chan *qmgr;
	char buf[MSG_PACKET_MAX];
	int bare;

	(void)state;
	pair(NULL, &qmgr, &bare);
	for (unsigned i = 0; i < 100; i++)
		assert_int_equal(CHAN_SEND(qmgr, qmgr_taken, .segment = 1, .end = i), 0);
	assert_int_equal(recv(bare, buf, sizeof(buf), MSG_DONTWAIT), -1);
	turns(1);
	assert_int_equal(recv(bare, buf, sizeof(buf), MSG_DONTWAIT), 100 * (MSG_HEADER + 16));
	assert_int_equal(recv(bare, buf, sizeof(buf), MSG_DONTWAIT), -1);
	assert_int_equal(chan_backlog(qmgr), 0);
	close(bare);
	chan_free(qmgr);
	turns(1);
}

static void test_messages_and_descriptors(void **state)
{
	struct chan *smtpd, *qmgr;
	int pipefd[2];

	(void)state;
	pair(&smtpd, &qmgr, NULL);
	assert_int_equal(pipe2(pipefd, O_CLOEXEC), 0);
	CHAN_SEND(qmgr, qmgr_segment, .segment = 7, .file = pipefd[1]);
	for (unsigned i = 1; i <= 5000; i++)
		assert_int_equal(CHAN_SEND(smtpd, smtpd_submit, .segment = 7, .end = i), 0);
	close(pipefd[1]);
	turns(6);
	assert_int_equal(seen.submits, 5000);
	assert_int_equal(seen.last_end, 5000);
	assert_int_equal(seen.segments, 1);
	assert_int_equal(write(seen.kept_fd, "x", 1), 1);
	close(seen.kept_fd);
	close(pipefd[0]);
	chan_free(smtpd);
	chan_free(qmgr);
	turns(1);
	assert_int_equal(seen.closed, 0);
}

static void test_backlog_when_the_peer_sleeps(void **state)
{
	struct chan *qmgr;
	char buf[MSG_PACKET_MAX];
	unsigned long total = 0;
	ssize_t n;
	int bare;

	(void)state;
	pair(NULL, &qmgr, &bare);
	for (unsigned i = 0; i < 50000; i++)
		assert_int_equal(CHAN_SEND(qmgr, qmgr_taken, .segment = 1, .end = i), 0);
	turns(1);
	assert_true(chan_backlog(qmgr) > 0);
	for (int i = 0; i < 200 && total < 50000ul * 24; i++) {
		while ((n = recv(bare, buf, sizeof(buf), MSG_DONTWAIT)) > 0)
			total += (unsigned long)n;
		turns(1);
	}
	assert_int_equal(total, 50000ul * 24);
	assert_int_equal(chan_backlog(qmgr), 0);
	close(bare);
	chan_free(qmgr);
	turns(1);
}

static void test_a_peer_that_never_reads_is_given_up(void **state)
{
	struct chan *qmgr;
	int bare, r = 0;

	(void)state;
	pair(NULL, &qmgr, &bare);
	for (unsigned i = 0; i < 2000000 && r == 0; i++)
		r = CHAN_SEND(qmgr, qmgr_taken, .segment = 1, .end = i);
	assert_int_equal(r, -ENOBUFS);
	turns(3);
	assert_int_equal(seen.closed, 1);
	close(bare);
	chan_free(qmgr);
	turns(1);
}

static void test_everything_sent_before_death_is_handled(void **state)
{
	struct chan *qmgr;
	unsigned char buf[256];
	int bare, fds[MSG_FDS_MAX], n;
	unsigned nfds;

	(void)state;
	pair(NULL, &qmgr, &bare);
	/* Unread packets at the dead end make the kernel report ECONNRESET here first. */
	for (unsigned i = 0; i < 10; i++)
		CHAN_SEND(qmgr, qmgr_taken, .segment = 1, .end = i);
	chan_flush(qmgr);
	for (unsigned i = 1; i <= 20; i++) {
		n = msg_encode(MSG_smtpd_submit, &(struct msg_smtpd_submit){.segment = 1, .end = i},
		    buf, sizeof(buf), fds, &nfds);
		assert_int_equal(send(bare, buf, (size_t)n, 0), n);
	}
	close(bare);
	CHAN_SEND(qmgr, qmgr_taken, .segment = 1, .end = 99);
	turns(30);
	assert_int_equal(seen.submits, 20);
	assert_int_equal(seen.closed, 1);
	assert_int_equal(CHAN_SEND(qmgr, qmgr_taken, .segment = 1, .end = 1), -EPIPE);
	chan_free(qmgr);
	turns(1);
	assert_int_equal(seen.closed, 1);
}

static void test_handler_may_free(void **state)
{
	struct chan *smtpd, *qmgr;

	(void)state;
	pair(&smtpd, &qmgr, NULL);
	seen.free_on_submit = true;
	for (unsigned i = 1; i <= 3; i++)
		CHAN_SEND(smtpd, smtpd_submit, .segment = 1, .end = i);
	turns(3);
	assert_int_equal(seen.submits, 1);
	assert_int_equal(seen.closed, 1); /* the other side saw the end */
	chan_free(smtpd);
	turns(1);
}

/* A handler sees nothing that the receiver won't have of this peer; the channel stays. */
static void test_not_every_peer_may(void **state)
{
	struct chan *smtpd, *qmgr;

	(void)state;
	pair(&smtpd, &qmgr, NULL);
	seen.refuse = true;
	CHAN_SEND(smtpd, smtpd_submit, .segment = 1, .end = 5);
	turns(2);
	assert_true(seen.submits == 0 && seen.last_end == 5 && seen.closed == 0);
	seen.refuse = false;
	CHAN_SEND(smtpd, smtpd_submit, .segment = 1, .end = 6);
	turns(2);
	assert_true(seen.submits == 1 && seen.last_end == 6 && seen.closed == 0);
	chan_free(smtpd);
	chan_free(qmgr);
	turns(1);
}

/* What the gate refuses, each as raw bytes. */
static void test_the_gate(void **state)
{
	static const struct {
		const char *what;
		unsigned char bytes[32];
		size_t len;
	} bad[] = {
	    {"unknown type", {0, 99, 0, 0, 0, 0, 0, 0}, 8},
	    {"huge type", {255, 255, 0, 0, 0, 0, 0, 0}, 8},
	    {"not for smtpd to say", {0, MSG_qmgr_taken, 0, 0, 0, 0, 0, 16}, 24},
	    {"allowed, but nobody here handles it", {0, MSG_smtpd_sealed, 0, 0, 0, 0, 0, 16}, 24},
	    {"short body", {0, MSG_smtpd_submit, 0, 0, 0, 0, 0, 15}, 23},
	    {"left-over bytes", {0, MSG_smtpd_submit, 0, 0, 0, 0, 0, 17}, 25},
	    {"cut header", {0, MSG_smtpd_submit, 0}, 3},
	    {"length beyond the packet", {0, MSG_smtpd_submit, 0, 0, 0, 0, 1, 0}, 24},
	    {"descriptor promised", {0, MSG_smtpd_submit, 1, 0, 0, 0, 0, 16}, 24},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct chan *qmgr;
		int bare;

		pair(NULL, &qmgr, &bare);
		assert_int_equal(send(bare, bad[i].bytes, bad[i].len, 0), bad[i].len);
		turns(2);
		if (seen.closed != 1 || seen.submits != 0)
			fail_msg(
			    "%s: closed %u, handled %u", bad[i].what, seen.closed, seen.submits);
		close(bare);
		chan_free(qmgr);
		turns(1);
	}
}

static void test_uninvited_descriptors_are_closed(void **state)
{
	struct chan *qmgr;
	int bare, before, fd, fds[MSG_FDS_MAX], n;
	unsigned nfds;
	unsigned char buf[64];
	union {
		struct cmsghdr align;
		char room[CMSG_SPACE(sizeof(int))];
	} control = {0};
	struct iovec iov = {buf, 0};
	struct msghdr mh = {.msg_iov = &iov,
	    .msg_iovlen = 1,
	    .msg_control = control.room,
	    .msg_controllen = sizeof(control.room)};

	(void)state;
	pair(NULL, &qmgr, &bare);
	n = msg_encode(MSG_smtpd_submit, &(struct msg_smtpd_submit){.segment = 1, .end = 1}, buf,
	    sizeof(buf), fds, &nfds);
	iov.iov_len = (size_t)n;
	CMSG_FIRSTHDR(&mh)->cmsg_level = SOL_SOCKET;
	CMSG_FIRSTHDR(&mh)->cmsg_type = SCM_RIGHTS;
	CMSG_FIRSTHDR(&mh)->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(CMSG_FIRSTHDR(&mh)), &bare, sizeof(int));
	assert_int_equal(sendmsg(bare, &mh, 0), n);
	before = open("/dev/null", O_RDONLY | O_CLOEXEC);
	close(before);
	turns(2);
	fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
	assert_int_equal(fd, before);
	close(fd);
	assert_int_equal(seen.submits, 1);
	close(bare);
	chan_free(qmgr);
	turns(1);
}

static int setup(void **state)
{
	(void)state;
	loop_init();
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_a_turn_is_one_packet),
	    cmocka_unit_test(test_messages_and_descriptors),
	    cmocka_unit_test(test_backlog_when_the_peer_sleeps),
	    cmocka_unit_test(test_a_peer_that_never_reads_is_given_up),
	    cmocka_unit_test(test_everything_sent_before_death_is_handled),
	    cmocka_unit_test(test_handler_may_free),
	    cmocka_unit_test(test_not_every_peer_may),
	    cmocka_unit_test(test_the_gate),
	    cmocka_unit_test(test_uninvited_descriptors_are_closed),
	};

	return cmocka_run_group_tests(tests, setup, NULL);
}
