/* SPDX-License-Identifier: ISC */
/*
 * LMTP (RFC 2033): a reply for each recipient behind the end of data, and how a Unix socket comes
 * from master to deliver.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "deliver/unix_ask.h"
#include "lib/loop.h"
#include "lib/unix_hop.h"
#include "master/config.h"
#include "master/reach.h"
#include "t/unit/conffile.h"
#include "t/unit/owner.h"

/* -- replies ------------------------------------------------------------------------- */

/* talk - say something, return what the client says to it */
static const char *talk(int fd, const char *text)
{
	static char buf[8192];
	assert_int_equal(send(fd, text, strlen(text), MSG_NOSIGNAL), strlen(text));
	turn();
	turn();
	ssize_t n = recv(fd, buf, sizeof(buf) - 1, MSG_DONTWAIT);
	buf[n > 0 ? n : 0] = '\0';
	return buf;
}

/* open_session - to where jobs may go */
static int open_session(void)
{
	int fd = begin_lmtp();
	assert_string_equal(talk(fd, "220 there\r\n"), "LHLO me.example\r\n");
	assert_string_equal(talk(fd, "250-there\r\n250 PIPELINING\r\n"), "");
	assert_int_equal(seen.ready, 1);
	return fd;
}

/* carried - a first message, so that the next ones go ahead of each other */
static void carry_one(int fd)
{
	add_job(7, 1, "", "zero\r\n", 0);
	talk(fd, "");
	assert_string_equal(talk(fd, "250 ok\r\n250 ok\r\n354 go\r\n"), "zero\r\n.\r\n");
	talk(fd, "250 ok\r\n");
	assert_int_equal(seen.outcome[7][0], OUT_SENT);
}

static void test_each_recipient(void **state)
{
	(void)state;
	int fd = open_session();
	carry_one(fd);
	add_job(0, 4, "", "zero\r\n", 0);
	add_job(1, 2, "", "onee\r\n", 0);
	talk(fd, "");
	/* the second of four is refused at RCPT and has no reply at the end */
	assert_non_null(strstr(
	    talk(fd, "250 ok\r\n250 ok\r\n550 5.1.1 who\r\n250 ok\r\n250 ok\r\n354 go\r\n"),
	    "zero\r\n.\r\nRSET\r\nMAIL FROM:<s@example.org>\r\n"));
	talk(fd, "250 2.1.5 first\r\n452 4.2.2 full\r\n");
	assert_int_equal(seen.done, 1);
	/* the last one comes with the replies to what was sent ahead */
	assert_string_equal(talk(fd, "554 5.7.1 no\r\n250 ok\r\n250 ok\r\n250 ok\r\n250 ok\r\n"
				     "354 go\r\n"),
	    "onee\r\n.\r\n");
	assert_int_equal(seen.done, 2);
	assert_int_equal(seen.outcome[0][0], OUT_SENT);
	assert_string_equal(seen.text[0][0], "first");
	assert_int_equal(seen.outcome[0][1], OUT_FAILED);
	assert_string_equal(seen.text[0][1], "who");
	assert_int_equal(seen.outcome[0][2], OUT_DEFERRED);
	assert_string_equal(seen.text[0][2], "full");
	assert_int_equal(seen.outcome[0][3], OUT_FAILED);
	assert_string_equal(seen.text[0][3], "no");
	talk(fd, "250 a\r\n250 b\r\n");
	assert_string_equal(seen.text[1][0], "a");
	assert_string_equal(seen.text[1][1], "b");
	over(fd);
}

static void test_lost_between(void **state)
{
	(void)state;
	int fd = open_session();
	add_job(0, 3, "", "zero\r\n", 0);
	talk(fd, "");
	talk(fd, "250 ok\r\n250 ok\r\n250 ok\r\n250 ok\r\n354 go\r\n");
	talk(fd, "250 ok\r\n");
	assert_int_equal(seen.done, 0);
	close(fd);
	turn();
	turn();
	assert_int_equal(seen.outcome[0][0], OUT_SENT);
	assert_int_equal(seen.outcome[0][1], OUT_DEFERRED);
	assert_int_equal(seen.outcome[0][2], OUT_DEFERRED);
	assert_int_equal(seen.why, OPEN_LOST);
	over(-1);
}

static void test_data_without_recipient(void **state)
{
	(void)state;
	int fd = open_session();
	add_job(0, 1, "", "zero\r\n", 0);
	talk(fd, "");
	/* no reply to the end of data would ever come */
	assert_string_equal(talk(fd, "250 ok\r\n550 5.1.1 no\r\n354 go\r\n"), "");
	assert_int_equal(seen.outcome[0][0], OUT_FAILED);
	assert_int_equal(seen.why, OPEN_LOST);
	over(fd);
}

static void test_no_lhlo(void **state)
{
	(void)state;
	int fd = begin_lmtp();
	talk(fd, "220 a mail relay\r\n");
	assert_string_equal(talk(fd, "500 5.5.1 what?\r\n"), "");
	assert_int_equal(seen.why, OPEN_REFUSED);
	over(fd);
}

/* -- the Unix socket ----------------------------------------------------------------- */

static char folder[] = "/tmp/lmtpXXXXXX", path[64], other[64];
static int listener = -1, answered;

/* listen_at - a server */
static int listen_at(const char *where)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	snprintf(addr.sun_path, sizeof(addr.sun_path), "%s", where);
	assert_int_equal(bind(fd, (struct sockaddr *)&addr, sizeof(addr)), 0);
	assert_int_equal(listen(fd, 4), 0);
	return fd;
}

/* on_connect - qmgr's part and master's in one */
static void on_connect(struct chan *chan, union msg_any *any, void *arg)
{
	union msg_any order = {.qmgr_connect = {.path = any->deliver_connect.path,
				   .answer = any->deliver_connect.answer}};
	(void)arg;
	reach_order(chan, &order, NULL);
}

static void on_answer(void *arg, int fd)
{
	(void)arg;
	answered = fd;
}

/* ask - what deliver gets for a path */
static int ask(struct chan *chan, const char *what)
{
	answered = -1;
	assert_non_null(unix_ask(chan, msg_str(what), on_answer, NULL));
	for (unsigned i = 0; i < 100 && answered == -1; i++)
		turn();
	return answered;
}

static void test_unix_socket(void **state)
{
	static const struct chan_handlers none = {.closed = NULL},
					  qmgr = {.on = {[MSG_deliver_connect] = on_connect}};
	int pair[2];
	char text[300];
	conffile_setup(state);
	assert_non_null(mkdtemp(folder));
	snprintf(path, sizeof(path), "%s/lmtp", folder);
	snprintf(other, sizeof(other), "%s/other", folder);
	snprintf(text, sizeof(text), "route \"a.b\" { to = \"lmtp:unix:%s\" }\n", path);
	config_use(conffile_good(text));
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK, 0, pair), 0);
	struct chan *deliver = chan_new(pair[0], ROLE_DELIVER, ROLE_QMGR, 1, &none, NULL);
	struct chan *there = chan_new(pair[1], ROLE_QMGR, ROLE_DELIVER, 1, &qmgr, NULL);
	assert_int_equal(ask(deliver, path), -ENOENT);
	listener = listen_at(path);
	int unnamed = listen_at(other), fd = ask(deliver, path);
	assert_true(fd >= 0);
	int peer = accept(listener, NULL, NULL);
	assert_int_equal(write(peer, "220", 3), 3);
	assert_int_equal(read(fd, text, sizeof(text)), 3);
	close(fd);
	close(peer);
	/* a socket that no route names is nobody's next hop */
	assert_int_equal(ask(deliver, other), -EACCES);
	close(listener);
	assert_int_equal(ask(deliver, path), -ECONNREFUSED);
	close(unnamed);
	unlink(path);
	unlink(other);
	rmdir(folder);
	conffile_teardown(state);
	chan_free(deliver);
	chan_free(there);
	turn();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_each_recipient),
	    cmocka_unit_test(test_lost_between),
	    cmocka_unit_test(test_data_without_recipient),
	    cmocka_unit_test(test_no_lhlo),
	    cmocka_unit_test(test_unix_socket),
	};
	return cmocka_run_group_tests(tests, make_loop, free_loop);
}
