/* SPDX-License-Identifier: ISC */
/*
 * The SMTP client, line by line: the exact order of bytes, big bodies, damage, time-outs, what the
 * kernel still holds after a reset. test_stages.c has the matrix of stages and answers.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "deliver/client.h"
#include "lib/envelope.h"
#include "lib/loop.h"
#include "t/unit/owner.h"

/* said - what the client wrote since the last call */
static const char *said(int fd)
{
	static char buf[8192];
	turn();
	turn();
	ssize_t n = recv(fd, buf, sizeof(buf) - 1, MSG_DONTWAIT);
	buf[n > 0 ? n : 0] = '\0';
	return buf;
}

static void say(int fd, const char *text)
{
	assert_int_equal(send(fd, text, strlen(text), MSG_NOSIGNAL), strlen(text));
}

static void test_helo(void **state)
{
	(void)state;
	int fd = begin_with(CONF_PIPELINING_FULL, 0);
	say(fd, "220 old\r\n");
	assert_string_equal(said(fd), "EHLO me.example\r\n");
	say(fd, "500 what?\r\n");
	assert_string_equal(said(fd), "HELO me.example\r\n");
	add_job(0, 1, "", "zero\r\n", ENVF_8BIT);
	say(fd, "250 fine\r\n");
	assert_string_equal(said(fd), "MAIL FROM:<s@example.org>\r\n");
	over(fd);
}

/* -- the order of bytes --------------------------------------------------------------------------
 */

static int open_session(enum conf_pipelining mode, uint32_t max)
{
	int fd = begin_with(mode, max);
	say(fd, "220 there\r\n");
	assert_string_equal(said(fd), "EHLO me.example\r\n");
	say(fd, "250-there\r\n250-PIPELINING\r\n250-SIZE 100\r\n250 8BITMIME\r\n");
	assert_string_equal(said(fd), "");
	assert_int_equal(seen.ready, 1);
	return fd;
}

#define ENVELOPE(n) "MAIL FROM:<s@example.org> SIZE=6\r\nRCPT TO:<r" n ".0@example.net>\r\nDATA\r\n"

static void test_full_pipelining(void **state)
{
	(void)state;
	int fd = open_session(CONF_PIPELINING_FULL, 0);
	add_job(0, 1, "", "zero\r\n", 0);
	add_job(1, 1, "", "onee\r\n", 0);
	add_job(2, 1, "", "twoo\r\n", 0);
	assert_string_equal(said(fd), ENVELOPE("0"));
	say(fd, "250 ok\r\n250 ok\r\n354 go\r\n");
	/* Nothing went well on this connection yet: nothing is sent ahead. */
	assert_string_equal(said(fd), "zero\r\n.\r\n");
	say(fd, "250 ok\r\n");
	assert_string_equal(said(fd), ENVELOPE("1"));
	say(fd, "250 ok\r\n250 ok\r\n354 go\r\n");
	assert_string_equal(said(fd), "onee\r\n.\r\nRSET\r\n" ENVELOPE("2"));
	say(fd, "250 ok\r\n250 ok\r\n250 ok\r\n250 ok\r\n354 go\r\n");
	assert_int_equal(seen.done, 1);
	assert_string_equal(said(fd), "twoo\r\n.\r\n");
	/* A job that comes late is still sent ahead. */
	add_job(3, 1, "", "thre\r\n", 0);
	assert_string_equal(said(fd), "RSET\r\n" ENVELOPE("3"));
	client_close(client);
	add_job(4, 1, "", "four\r\n", 0);
	say(fd, "550 5.6.0 no\r\n250 ok\r\n250 ok\r\n250 ok\r\n354 go\r\n");
	assert_string_equal(said(fd), "thre\r\n.\r\n");
	assert_int_equal(seen.outcome[2][0], OUT_FAILED);
	say(fd, "250 2.0.0 ok as 7\r\n");
	assert_string_equal(said(fd), "QUIT\r\n");
	assert_int_equal(seen.outcome[3][0], OUT_SENT);
	assert_string_equal(seen.text[3][0], "ok as 7");
	assert_int_equal(seen.outcome[4][0], -1);
	assert_int_equal(seen.ended, 1);
	assert_int_equal(seen.why, OPEN_IDLE);
	over(fd);
}

static void test_last_message(void **state)
{
	(void)state;
	int fd = open_session(CONF_PIPELINING_FULL, 2);
	for (unsigned i = 0; i < 3; i++)
		add_job(i, 1, "", "zero\r\n", 0);
	said(fd);
	say(fd, "250 ok\r\n250 ok\r\n354 go\r\n");
	said(fd);
	say(fd, "250 ok\r\n");
	said(fd);
	say(fd, "250 ok\r\n250 ok\r\n354 go\r\n");
	assert_string_equal(said(fd), "zero\r\n.\r\n");
	say(fd, "250 ok\r\n");
	assert_string_equal(said(fd), "QUIT\r\n");
	assert_int_equal(seen.done, 2);
	assert_int_equal(seen.why, OPEN_IDLE);
	over(fd);
}

static void test_recipients(void **state)
{
	(void)state;
	int fd = open_session(CONF_PIPELINING_RFC2920, 0);
	add_job(0, 4, "L: ate\r\n", "zero\r\n", ENVF_8BIT);
	assert_string_equal(said(fd), "MAIL FROM:<s@example.org> SIZE=14 BODY=8BITMIME\r\n"
				      "RCPT TO:<r0.0@example.net>\r\n"
				      "RCPT TO:<r0.1@example.net>\r\n"
				      "RCPT TO:<r0.2@example.net>\r\n"
				      "RCPT TO:<r0.3@example.net>\r\nDATA\r\n");
	say(fd, "250 ok\r\n250 ok\r\n550-5.1.1 no\r\n550 5.1.1 such one\r\n250 ok\r\n"
		"452 4.5.3 enough\r\n");
	assert_string_equal(said(fd), "");
	say(fd, "354 go\r\n");
	assert_string_equal(said(fd), "L: ate\r\nzero\r\n.\r\n");
	say(fd, "250 2.6.0 taken\r\n");
	said(fd);
	assert_int_equal(seen.outcome[0][0], OUT_SENT);
	assert_int_equal(seen.outcome[0][1], OUT_FAILED);
	assert_string_equal(seen.text[0][1], "no such one");
	assert_int_equal(seen.outcome[0][2], OUT_SENT);
	assert_int_equal(seen.code[0][2], 250);
	assert_int_equal(seen.outcome[0][3], OUT_TOO_MANY);
	over(fd);
}

/* RFC 2920 §3.1: 354 although nobody was accepted wants an end of data, and it counts for none. */
static void test_354_without_recipient(void **state)
{
	(void)state;
	int fd = open_session(CONF_PIPELINING_FULL, 0);
	add_job(0, 2, "", "zero\r\n", 0);
	add_job(1, 1, "", "onee\r\n", 0);
	said(fd);
	say(fd, "250 ok\r\n550 5.1.1 no\r\n450 4.2.0 later\r\n354 go\r\n");
	assert_string_equal(said(fd), ".\r\n");
	say(fd, "250 thanks for nothing\r\n");
	assert_string_equal(said(fd), ENVELOPE("1"));
	assert_int_equal(seen.outcome[0][0], OUT_FAILED);
	assert_int_equal(seen.outcome[0][1], OUT_DEFERRED);
	over(fd);
}

static void test_mail_refused_rcpt_accepted(void **state)
{
	(void)state;
	int fd = open_session(CONF_PIPELINING_FULL, 0);
	add_job(0, 1, "", "zero\r\n", 0);
	said(fd);
	say(fd, "450 4.1.8 no sender\r\n250 ok\r\n354 go\r\n");
	assert_string_equal(said(fd), ".\r\n");
	say(fd, "250 whatever\r\n");
	said(fd);
	assert_int_equal(seen.outcome[0][0], OUT_DEFERRED);
	assert_int_equal(seen.code[0][0], 450);
	over(fd);
}

static void test_size(void **state)
{
	static char big[200];
	(void)state;
	memset(big, 'x', sizeof(big) - 3);
	memcpy(big + sizeof(big) - 3, "\r\n", 3);
	int fd = open_session(CONF_PIPELINING_FULL, 0);
	add_job(0, 1, "", big, 0);
	add_job(1, 1, "", "onee\r\n", 0);
	assert_string_equal(said(fd), ENVELOPE("1"));
	assert_int_equal(seen.outcome[0][0], OUT_FAILED);
	assert_int_equal(seen.code[0][0], 552);
	over(fd);
}

static void test_damaged(void **state)
{
	static const struct {
		const char *late, *body;
	} t[] = {
	    {"", ".\r\n"},
	    {"", "a\r\n.\r\nb\r\n"},
	    {"A: b\r\n", ".\r\nb\r\n"},
	    {"", "a\r\n.\r\n"},
	    {"", "no line end"},
	    {"", "only lf\n"},
	};
	(void)state;
	for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		int fd = open_session(CONF_PIPELINING_FULL, 0);
		add_job(0, 1, t[i].late, t[i].body, 0);
		add_job(1, 1, "", "onee\r\n", 0);
		said(fd);
		say(fd, "250 ok\r\n250 ok\r\n354 go\r\n");
		/* Not a byte of it, and no end of data either. */
		assert_string_equal(said(fd), "");
		assert_int_equal(seen.outcome[0][0], OUT_DAMAGED);
		assert_int_equal(seen.outcome[1][0], -1);
		assert_int_equal(seen.ended, 1);
		assert_int_equal(seen.why, OPEN_LOCAL_LIMIT);
		over(fd);
	}
}

static void test_empty_body(void **state)
{
	(void)state;
	int fd = open_session(CONF_PIPELINING_FULL, 0);
	add_job(0, 1, "", "", 0);
	said(fd);
	say(fd, "250 ok\r\n250 ok\r\n354 go\r\n");
	assert_string_equal(said(fd), ".\r\n");
	over(fd);
}

static void test_big_body(void **state)
{
	const size_t size = 3 << 20;
	char *body = malloc(size + 1), *got = malloc(size + 100);
	size_t len = 0;
	(void)state;
	for (size_t i = 0; i < size; i++)
		body[i] = i % 80 == 78 ? '\r' : i % 80 == 79 ? '\n' : (char)('a' + i % 23);
	memcpy(body + size - 2, "\r\n", 3);
	int fd = begin_with(CONF_PIPELINING_FULL, 0);
	say(fd, "220 there\r\n");
	said(fd);
	say(fd, "250 PIPELINING\r\n");
	add_job(0, 1, "", body, 0);
	said(fd);
	say(fd, "250 ok\r\n250 ok\r\n354 go\r\n");
	for (unsigned quiet = 0; quiet < 5;) {
		turn();
		ssize_t n = recv(fd, got + len, size + 100 - len, MSG_DONTWAIT);
		quiet = n > 0 ? 0 : quiet + 1;
		len += n > 0 ? (size_t)n : 0;
	}
	assert_int_equal(len, size + 3);
	assert_memory_equal(got, body, size);
	assert_memory_equal(got + size, ".\r\n", 3);
	say(fd, "250 ok\r\n");
	said(fd);
	assert_int_equal(seen.outcome[0][0], OUT_SENT);
	over(fd);
	free(body);
	free(got);
}

/* A server that has had enough in the middle of a body: its words are the answer. */
static void test_refused_in_the_body(void **state)
{
	static const struct {
		const char *said;
		enum outcome outcome;
	} t[] = {
	    {"552 5.3.4 too big\r\n", OUT_FAILED},
	    {"451 4.3.0 disk\r\n", OUT_DEFERRED},
	    {"421 4.3.0 bye\r\n", OUT_DEFERRED},
	    {"250 2.0.0 fine\r\n", OUT_DEFERRED},
	    {NULL, OUT_DEFERRED},
	};
	const size_t size = 4 << 20;
	char *body = malloc(size + 1);
	(void)state;
	memset(body, 'x', size);
	memcpy(body + size - 2, "\r\n", 3);
	for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		int fd = begin_with(CONF_PIPELINING_FULL, 0);
		say(fd, "220 there\r\n");
		said(fd);
		say(fd, "250 PIPELINING\r\n");
		add_job(0, 1, "", body, 0);
		said(fd);
		say(fd, "250 ok\r\n250 ok\r\n354 go\r\n");
		said(fd);
		if (t[i].said)
			say(fd, t[i].said);
		close(fd);
		turn();
		turn();
		turn();
		assert_int_equal(seen.ended, 1);
		if (seen.outcome[0][0] != (int)t[i].outcome)
			fail_msg("row %zu: %d", i, seen.outcome[0][0]);
		over(-1);
	}
	free(body);
}

/* Over TCP: the server's last words and a reset right behind them. */
static void test_words_before_a_reset(void **state)
{
	struct sockaddr_in addr = {
	    .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof(addr);
	struct client_setup setup = {.hello = "me", .connect_ms = 5000, .reply_ms = 5000};
	struct linger reset = {.l_onoff = 1};
	(void)state;
	int listener = socket(AF_INET, SOCK_STREAM, 0);
	assert_int_equal(bind(listener, (struct sockaddr *)&addr, sizeof(addr)), 0);
	assert_int_equal(listen(listener, 1), 0);
	getsockname(listener, (struct sockaddr *)&addr, &len);
	owner_reset();
	client = client_connect(&setup, (struct sockaddr *)&addr, len, NULL, 0, &owner_ops, NULL);
	assert_non_null(client);
	turn();
	int fd = accept(listener, NULL, NULL);
	add_job(0, 1, "", "zero\r\n", 0);
	add_job(1, 1, "", "onee\r\n", 0);
	say(fd, "220 there\r\n");
	said(fd);
	say(fd, "250 PIPELINING\r\n");
	said(fd);
	say(fd, "250 ok\r\n250 ok\r\n354 go\r\n");
	assert_string_equal(said(fd), "zero\r\n.\r\n");
	say(fd, "250 ok\r\n");
	setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
	close(fd);
	turn();
	turn();
	turn();
	assert_int_equal(seen.outcome[0][0], OUT_SENT);
	/* On a connection that had carried mail, nothing of it was answered: untouched. */
	assert_true(seen.outcome[1][0] == OUT_NOT_TRIED || seen.queue);
	assert_int_equal(seen.ended, 1);
	close(listener);
	over(-1);
}

static void test_timeouts(void **state)
{
	(void)state;
	int pair[2];
	struct client_setup setup = {.hello = "me", .reply_ms = 20, .idle_ms = 20};
	for (unsigned stop = 0; stop < 4; stop++) {
		assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair), 0);
		owner_reset();
		client = client_adopt(&setup, pair[0], &owner_ops, NULL);
		if (stop > 0) {
			say(pair[1], "220 hi\r\n");
			said(pair[1]);
			say(pair[1], "250 PIPELINING\r\n");
		}
		if (stop > 1)
			add_job(0, 1, "", "zero\r\n", 0);
		if (stop > 2) {
			said(pair[1]);
			say(pair[1], "250 ok\r\n250 ok\r\n354 go\r\n");
		}
		while (!seen.ended)
			loop_turn();
		assert_int_equal(seen.why, ((const enum open_verdict[]){OPEN_UNREACHABLE, OPEN_IDLE,
					       OPEN_LOST, OPEN_LOST})[stop]);
		assert_int_equal(seen.outcome[0][0], stop > 1 ? OUT_DEFERRED : -1);
		over(pair[1]);
	}
}

static void test_idle_goodbye(void **state)
{
	(void)state;
	int fd = open_session(CONF_PIPELINING_FULL, 0);
	say(fd, "421 4.4.2 idle too long\r\n");
	said(fd);
	assert_int_equal(seen.ended, 1);
	assert_int_equal(seen.why, OPEN_IDLE);
	over(fd);
	fd = open_session(CONF_PIPELINING_FULL, 0);
	say(fd, "250 what\r\n");
	said(fd);
	assert_int_equal(seen.why, OPEN_LOST);
	over(fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_helo),
	    cmocka_unit_test(test_full_pipelining),
	    cmocka_unit_test(test_last_message),
	    cmocka_unit_test(test_recipients),
	    cmocka_unit_test(test_354_without_recipient),
	    cmocka_unit_test(test_mail_refused_rcpt_accepted),
	    cmocka_unit_test(test_size),
	    cmocka_unit_test(test_damaged),
	    cmocka_unit_test(test_empty_body),
	    cmocka_unit_test(test_big_body),
	    cmocka_unit_test(test_refused_in_the_body),
	    cmocka_unit_test(test_words_before_a_reset),
	    cmocka_unit_test(test_timeouts),
	    cmocka_unit_test(test_idle_goodbye),
	};
	return cmocka_run_group_tests(tests, make_loop, free_loop);
}
