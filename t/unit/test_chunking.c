/* SPDX-License-Identifier: ISC */
/*
 * Transactions by BDAT: the order of bytes, how the window grows, what becomes of each message when
 * something in the middle of the window goes wrong; and what is held against a peer afterwards.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "deliver/chunk.h"
#include "deliver/client.h"
#include "deliver/pipeline.h"
#include "lib/loop.h"
#include "t/unit/owner.h"

/* said - what the client wrote since the last call */
static const char *said(int fd)
{
	static char buf[200000];
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

/* count - how often a text is there */
static unsigned count(const char *in, const char *what)
{
	unsigned n = 0;
	for (; (in = strstr(in, what)); in += strlen(what))
		n++;
	return n;
}

static int open_session(enum conf_pipelining mode, uint32_t max)
{
	int fd = begin_with(mode, max);
	say(fd, "220 there\r\n");
	assert_string_equal(said(fd), "EHLO me.example\r\n");
	say(fd, "250-there\r\n250-PIPELINING\r\n250 CHUNKING\r\n");
	assert_string_equal(said(fd), "");
	return fd;
}

#define ENVELOPE(n) "MAIL FROM:<s@example.org>\r\nRCPT TO:<r" n ".0@example.net>\r\n"
#define WHOLE(n)    "RSET\r\n" ENVELOPE(n) "BDAT 6 LAST\r\nxxxx\r\n"
#define OK4         "250 r\r\n250 m\r\n250 t\r\n250 taken\r\n"

/* proved - the first one is carried: from now on whole transactions are sent ahead */
static int proved(uint32_t max)
{
	int fd = open_session(CONF_PIPELINING_FULL, max);
	add_job(0, 1, "", "xxxx\r\n", 0);
	assert_string_equal(said(fd), ENVELOPE("0"));
	say(fd, "250 ok\r\n250 ok\r\n");
	assert_string_equal(said(fd), "BDAT 6 LAST\r\nxxxx\r\n");
	say(fd, "250 ok\r\n");
	said(fd);
	assert_int_equal(seen.outcome[0][0], OUT_SENT);
	return fd;
}

static void test_order(void **state)
{
	(void)state;
	int fd = proved(0);
	for (unsigned i = 1; i < 7; i++)
		add_job(i, 1, "", "xxxx\r\n", 0);
	/* Two at first; the first of them has nothing in front of it that a RSET had to end. */
	assert_string_equal(said(fd), ENVELOPE("1") "BDAT 6 LAST\r\nxxxx\r\n" WHOLE("2"));
	say(fd, "250 m\r\n250 t\r\n250 taken\r\n");
	assert_string_equal(said(fd), WHOLE("3"));
	say(fd, "250 r\r\n250 m\r\n550 5.1.1 no\r\n503 5.5.1 no recipients\r\n");
	assert_string_equal(said(fd), WHOLE("4"));
	assert_int_equal(seen.outcome[2][0], OUT_FAILED);
	/* One that went ahead and well: the window grows. */
	say(fd, OK4);
	assert_string_equal(said(fd), WHOLE("5") WHOLE("6"));
	say(fd, OK4 "250 r\r\n452 4.3.1 full\r\n503 no\r\n503 no\r\n");
	assert_int_equal(*said(fd), 0);
	assert_int_equal(seen.outcome[5][0], OUT_DEFERRED);
	assert_int_equal(seen.code[5][0], 452);
	say(fd, "250 r\r\n250 m\r\n250 t\r\n554 5.6.0 not this one\r\n");
	said(fd);
	assert_int_equal(seen.outcome[6][0], OUT_FAILED);
	assert_int_equal(seen.code[6][0], 554);
	/* Behind a BDAT that was refused the peer's state is unknown. */
	add_job(7, 1, "", "xxxx\r\n", 0);
	assert_string_equal(said(fd), WHOLE("7"));
	say(fd, OK4);
	said(fd);
	assert_int_equal(seen.outcome[7][0], OUT_SENT);
	client_close(client);
	assert_string_equal(said(fd), "QUIT\r\n");
	assert_int_equal(seen.ahead, AHEAD_FINE);
	over(fd);
}

/* Dots are as they were before the message was stored; the length is that of what is sent. */
static void test_dots(void **state)
{
	(void)state;
	int fd = open_session(CONF_PIPELINING_FULL, 0);
	add_job(0, 1, "L: ate\r\n", "..\r\n...a\r\nb.\r\n", 0);
	said(fd);
	say(fd, "250 ok\r\n250 ok\r\n");
	assert_string_equal(said(fd), "BDAT 20 LAST\r\nL: ate\r\n.\r\n..a\r\nb.\r\n");
	say(fd, "250 ok\r\n");
	add_job(1, 1, "", "", 0);
	assert_string_equal(said(fd), ENVELOPE("1") "BDAT 0 LAST\r\n");
	over(fd);
}

/* The content follows the answers as long as nothing went well there; a refusal saves it. */
static void test_first_refused(void **state)
{
	(void)state;
	int fd = open_session(CONF_PIPELINING_FULL, 0);
	add_job(0, 1, "", "xxxx\r\n", 0);
	add_job(1, 1, "", "xxxx\r\n", 0);
	assert_string_equal(said(fd), ENVELOPE("0"));
	say(fd, "250 ok\r\n550 5.1.1 no\r\n");
	assert_string_equal(said(fd), "RSET\r\n" ENVELOPE("1"));
	say(fd, "250 ok\r\n550 5.1.8 no\r\n503 no\r\n");
	assert_string_equal(said(fd), "");
	assert_int_equal(seen.outcome[0][0], OUT_FAILED);
	assert_int_equal(seen.outcome[1][0], OUT_FAILED);
	over(fd);
}

static void test_growth(void **state)
{
	(void)state;
	int fd = proved(0);
	unsigned id = 1, flying = 0, most = 0;
	for (unsigned round = 0; round < 20; round++) {
		/* Numbers may come again: what became of them isn't looked at here. */
		for (unsigned i = 0; i < 10; i++)
			add_job(id++ % JOBS_MAX, 1, "", "xxxx\r\n", 0);
		flying += count(said(fd), "MAIL FROM");
		most = flying > most ? flying : most;
		/* the head's answer; only the very first one has no RSET */
		say(fd, round ? OK4 : "250 m\r\n250 t\r\n250 taken\r\n");
		flying--;
	}
	assert_int_equal(most, PIPELINE_WINDOW_MAX);
	assert_int_equal(client_wants(client), PIPELINE_WINDOW_MAX + 1);
	over(fd);
}

/* Nothing is sent behind the last message that a connection may carry. */
static void test_last(void **state)
{
	(void)state;
	int fd = proved(3);
	for (unsigned i = 1; i < 5; i++)
		add_job(i, 1, "", "xxxx\r\n", 0);
	assert_int_equal(count(said(fd), "MAIL FROM"), 2);
	say(fd, "250 m\r\n250 t\r\n250 taken\r\n");
	assert_string_equal(said(fd), "");
	say(fd, OK4);
	assert_string_equal(said(fd), "QUIT\r\n");
	assert_int_equal(seen.done, 3);
	over(fd);
}

/* One that can't be read stops nobody else. */
static void test_damaged(void **state)
{
	(void)state;
	int fd = proved(0);
	add_job(1, 1, "", "xxxx\r\n", 0);
	add_job(2, 1, "", "a\r\n.\r\nMAIL FROM:<evil@example.org>\r\n", 0);
	add_job(3, 1, "", "xxxx\r\n", 0);
	assert_string_equal(said(fd), ENVELOPE("1") "BDAT 6 LAST\r\nxxxx\r\n" WHOLE("3"));
	say(fd, "250 m\r\n250 t\r\n250 taken\r\n" OK4);
	said(fd);
	assert_int_equal(seen.outcome[1][0], OUT_SENT);
	assert_int_equal(seen.outcome[2][0], OUT_DAMAGED);
	assert_int_equal(seen.outcome[3][0], OUT_SENT);
	over(fd);
}

/* What is too big for the window goes by DATA, with small ones in front of it and behind. */
static void test_big(void **state)
{
	char *big = malloc(CHUNK_MAX + 3);
	(void)state;
	memset(big, 'x', CHUNK_MAX);
	memcpy(big + CHUNK_MAX, "\r\n", 3);
	int fd = proved(0);
	add_job(1, 1, "", "xxxx\r\n", 0);
	add_job(2, 1, "", big, 0);
	add_job(3, 1, "", "xxxx\r\n", 0);
	assert_string_equal(
	    said(fd), ENVELOPE("1") "BDAT 6 LAST\r\nxxxx\r\nRSET\r\n" ENVELOPE("2") "DATA\r\n");
	say(fd, "250 m\r\n250 t\r\n250 taken\r\n250 r\r\n250 m\r\n250 t\r\n");
	assert_string_equal(said(fd), "");
	say(fd, "354 go\r\n");
	const char *sent = said(fd);
	assert_int_equal(strlen(sent), CHUNK_MAX + 2 + 3 + strlen(WHOLE("3")));
	assert_string_equal(sent + CHUNK_MAX + 2, ".\r\n" WHOLE("3"));
	say(fd, "250 taken\r\n" OK4);
	said(fd);
	for (unsigned i = 1; i < 4; i++)
		assert_int_equal(seen.outcome[i][0], OUT_SENT);
	over(fd);
	free(big);
}

/* Without PIPELINING, or where less is configured, DATA is as good. */
static void test_data_otherwise(void **state)
{
	(void)state;
	int fd = open_session(CONF_PIPELINING_RFC2920, 0);
	add_job(0, 1, "", "xxxx\r\n", 0);
	assert_string_equal(said(fd), ENVELOPE("0") "DATA\r\n");
	over(fd);
	fd = begin_with(CONF_PIPELINING_FULL, 0);
	say(fd, "220 there\r\n");
	said(fd);
	say(fd, "250-there\r\n250 CHUNKING\r\n");
	said(fd);
	add_job(0, 1, "", "xxxx\r\n", 0);
	said(fd);
	say(fd, "250 ok\r\n");
	said(fd);
	say(fd, "250 ok\r\n");
	assert_string_equal(said(fd), "DATA\r\n");
	over(fd);
}

/* -- what is held against a peer ----------------------------------------------------------------
 */

/* Four jobs: 0 is carried, 1 and 2 are whole on the wire, 3 waits. Then this is said. */
static const struct {
	const char *said;
	bool closes;
	int first, second;
	enum ahead_verdict ahead;
} ends[] = {
    /* nothing at all of two that may have been taken: both go again */
    {"", true, OUT_NOT_TRIED, OUT_NOT_TRIED, AHEAD_LOST},
    {"250 m\r\n", true, OUT_DEFERRED, OUT_NOT_TRIED, AHEAD_LOST},
    {"250 m\r\n250 t\r\n250 taken\r\n", true, OUT_SENT, OUT_NOT_TRIED, AHEAD_LOST},
    {"250 m\r\n250 t\r\n250 taken\r\n250 r\r\n250 m\r\n250 t\r\n", true, OUT_SENT, OUT_DEFERRED,
	AHEAD_LOST},
    /* the second one went ahead and well: a connection that is lost now is a lost connection */
    {"250 m\r\n250 t\r\n250 taken\r\n" OK4, true, OUT_SENT, OUT_SENT, AHEAD_FINE},
    {"421 4.3.2 bye\r\n", true, OUT_NOT_TRIED, OUT_NOT_TRIED, AHEAD_UNKNOWN},
    /* it forgot what it was told */
    {"503 5.5.1 what\r\n", false, OUT_DEFERRED, OUT_NOT_TRIED, AHEAD_CONFUSED},
    {"250 m\r\n250 t\r\n503 what\r\n", false, OUT_DEFERRED, OUT_NOT_TRIED, AHEAD_CONFUSED},
    {"250 m\r\n250 t\r\n250 taken\r\n500 RSET?\r\n", false, OUT_SENT, OUT_DEFERRED, AHEAD_CONFUSED},
    {"250 m\r\n250 t\r\n354 go on\r\n", false, OUT_DEFERRED, OUT_NOT_TRIED, AHEAD_CONFUSED},
    {"250 m\r\n250 t\r\n250 taken\r\n250 r\r\n503 mail?\r\n", false, OUT_SENT, OUT_DEFERRED,
	AHEAD_CONFUSED},
};

static void test_ends(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(ends) / sizeof(ends[0]); i++) {
		int fd = proved(4);
		for (unsigned k = 1; k < 4; k++)
			add_job(k, 1, "", "xxxx\r\n", 0);
		said(fd);
		if (*ends[i].said)
			say(fd, ends[i].said);
		if (ends[i].closes)
			shutdown(fd, SHUT_WR);
		said(fd);
		said(fd);
		if (seen.outcome[1][0] != ends[i].first || seen.outcome[2][0] != ends[i].second ||
		    seen.ahead != ends[i].ahead)
			fail_msg("row %zu: %d %d, ahead %d (%s)", i, seen.outcome[1][0],
			    seen.outcome[2][0], seen.ahead, seen.words.text);
		assert_int_equal(seen.ended, 1);
		over(fd);
	}
}

/* A peer that drops what comes behind a final dot says nothing more. */
static void test_swallowed(void **state)
{
	struct client_setup setup = {.hello = "me", .reply_ms = 30, .idle_ms = 1000};
	int pair[2];
	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair), 0);
	owner_reset();
	client = client_adopt(&setup, pair[0], &owner_ops, NULL);
	for (unsigned i = 0; i < 3; i++)
		add_job(i, 1, "", "xxxx\r\n", 0);
	say(pair[1], "220 hi\r\n");
	said(pair[1]);
	say(pair[1], "250 PIPELINING\r\n");
	said(pair[1]);
	say(pair[1], "250 ok\r\n250 ok\r\n354 go\r\n");
	said(pair[1]);
	say(pair[1], "250 ok\r\n");
	said(pair[1]);
	say(pair[1], "250 ok\r\n250 ok\r\n354 go\r\n");
	said(pair[1]);
	say(pair[1], "250 ok\r\n");
	while (!seen.ended)
		loop_turn();
	assert_int_equal(seen.outcome[1][0], OUT_SENT);
	assert_int_equal(seen.outcome[2][0], OUT_NOT_TRIED);
	assert_int_equal(seen.ahead, AHEAD_CONFUSED);
	over(pair[1]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_order),
	    cmocka_unit_test(test_dots),
	    cmocka_unit_test(test_first_refused),
	    cmocka_unit_test(test_growth),
	    cmocka_unit_test(test_last),
	    cmocka_unit_test(test_damaged),
	    cmocka_unit_test(test_big),
	    cmocka_unit_test(test_data_otherwise),
	    cmocka_unit_test(test_ends),
	    cmocka_unit_test(test_swallowed),
	};
	return cmocka_run_group_tests(tests, make_loop, free_loop);
}
