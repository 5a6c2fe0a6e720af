/* SPDX-License-Identifier: ISC */
/*
 * SMTP sessions without sockets: bytes in, replies out, records in a segment of the test's own.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "lib/envelope.h"
#include "lib/qid.h"
#include "lib/record.h"
#include "smtpd/commands.h"
#include "smtpd_world.h"

#define ARRAY(a) (sizeof(a) / sizeof((a)[0]))

/* dialogue - each line of the client must get a reply that begins so */
static void dialogue(struct talk *t, const char *const (*lines)[2], size_t n)
{
	for (size_t i = 0; i < n; i++) {
		const char *reply = talk_say(t, lines[i][0]);
		if (strncmp(reply, lines[i][1], strlen(lines[i][1])) != 0)
			fail_msg("to %.60s: %s instead of %s", lines[i][0], reply, lines[i][1]);
	}
}

/* -- tests -- */

/* One message, its record, its envelope and Received line. */
static void transaction(void **state)
{
	static const char *const lines[][2] = {
	    {"EHLO me.test\r\n", "250-mx.test\r\n250-PIPELINING\r\n250-SIZE "},
	    {"MAIL FROM:<A@Example.ORG> SIZE=100 BODY=8BITMIME\r\n", "250 2.1.0 "},
	    {"RCPT TO:<c@example.net>\r\n", "250 2.1.5 "},
	    {"DATA\r\n", "354 "},
	    {"Subject: hi\r\nMessage-ID: <1@x>\r\n\r\n..dot \xe4\r\n.\r\n",
		"250 2.0.0 queued as ########"},
	    {"QUIT\r\n", "221 2.0.0 "},
	};
	struct peer peer = peer_of("127.0.0.1");
	unsigned char envelope[4096];
	struct envelope env;
	struct talk t;
	char body[4096];
	(void)state;
	talk_begin(&t, &peer);
	session_greet(t.s);
	assert_string_equal(talk_said(&t), "220 mx.test ESMTP Baton\r\n");
	dialogue(&t, lines, ARRAY(lines));
	assert_int_equal(t.s->state, SMTP_CLOSING);
	talk_end(&t);
	world_stored(&env, body, sizeof(body), envelope);
	assert_memory_equal(env.sender.data, "A@example.org", 13);
	assert_memory_equal(env.client.data, "127.0.0.1", 9);
	assert_memory_equal(env.message_id.data, "<1@x>", 5);
	assert_int_equal(env.flags, ENVF_8BIT | ENVF_BODY_8BIT);
	assert_int_equal(env.nrcpts, 1);
	static const char received[] = "Received: from me.test ([127.0.0.1])\r\n\tby mx.test "
				       "with ESMTP id ";
	char qid[QID_TEXT_MAX];
	qid_format(qid, FIRST);
	assert_memory_equal(body, received, sizeof(received) - 1);
	assert_memory_equal(body + sizeof(received) - 1, qid, QID_WIDTH);
	assert_non_null(strstr(body, "\r\n\tfor <c@example.net>;\r\n\t"));
	const char *rest = strstr(body, "Subject:");
	assert_string_equal(rest, "Subject: hi\r\nMessage-ID: <1@x>\r\n\r\n..dot \xe4\r\n");
}

/* to_state - a session in that state */
static void to_state(struct talk *t, enum smtp_state state)
{
	static const char *const way[] = {
	    [SMTP_GREET] = "",
	    [SMTP_READY] = "EHLO x\r\n",
	    [SMTP_MAIL] = "EHLO x\r\nMAIL FROM:<>\r\n",
	    [SMTP_RCPT] = "EHLO x\r\nMAIL FROM:<>\r\nRCPT TO:<a@b.test>\r\n",
	    [SMTP_CHUNKED] = "EHLO x\r\nMAIL FROM:<>\r\nRCPT TO:<a@b.test>\r\nBDAT 1\r\nx",
	};
	struct peer peer = peer_of("127.0.0.1");
	talk_begin(t, &peer);
	talk_say(t, way[state]);
	assert_int_equal(t->s->state, state);
}

/* Every verb in every state: legal ones do something, others get 503 and change nothing. */
static void states_and_verbs(void **state)
{
	static const char *const line[COMMANDS] = {
	    [CMD_EHLO] = "EHLO x\r\n",
	    [CMD_HELO] = "helo x\r\n",
	    [CMD_MAIL] = "Mail From:<a@b.test>\r\n",
	    [CMD_RCPT] = "RCPT TO:<c@d.test>\r\n",
	    [CMD_DATA] = "DATA\r\n",
	    [CMD_RSET] = "RSET\r\n",
	    [CMD_NOOP] = "NOOP ignored\r\n",
	    [CMD_VRFY] = "VRFY bob\r\n",
	    [CMD_HELP] = "HELP\r\n",
	    [CMD_QUIT] = "QUIT\r\n",
	    [CMD_STARTTLS] = "STARTTLS\r\n",
	    [CMD_AUTH] = "AUTH PLAIN AGFubgBzZWNyZXQ=\r\n",
	    [CMD_BDAT] = "BDAT 4\r\nQUIT",
	};
	static const enum smtp_state states[] = {
	    SMTP_GREET, SMTP_READY, SMTP_MAIL, SMTP_RCPT, SMTP_CHUNKED};
	(void)state;
	for (size_t i = 0; i < ARRAY(states); i++) {
		enum smtp_state from = states[i];
		for (int cmd = 0; cmd < COMMANDS; cmd++) {
			struct talk t;
			to_state(&t, from);
			const char *reply = talk_say(&t, line[cmd]);
			if ((cmd == CMD_STARTTLS || cmd == CMD_AUTH) &&
			    from == SMTP_READY) /* not offered */
				assert_memory_equal(reply, "502 5.5.1", 9);
			else if (commands_legal((enum command)cmd, from)) {
				assert_true(reply[0] == '2' || reply[0] == '3');
			} else {
				assert_memory_equal(reply, "503 5.5.1", 9);
				bool ends = cmd == CMD_BDAT && from == SMTP_MAIL;
				assert_int_equal(t.s->state, ends ? SMTP_READY : from);
			}
			talk_end(&t);
		}
	}
}

static const char whole[] =
    "EHLO x\r\nMAIL FROM:<a@b.test>\r\nRCPT TO:<bob@localhost>\r\nRCPT TO:<nobody@localhost>\r\n"
    "RCPT TO:<c@d.test>\r\nDATA\r\nSubject: x\r\n\r\n.\r.\r\n\r\n.\r\n"
    "MAIL FROM:<>\r\nRCPT TO:<c@d.test>\r\nDATA\r\n.\r\nNOOP\r\nRSET\r\nBAD\r\nQUIT\r\n";

/* The replies are the same wherever the stream is cut, and when it comes byte by byte. */
static void split_anywhere(void **state)
{
	struct peer peer = peer_of("127.0.0.1");
	char want[4096];
	struct talk t;
	(void)state;
	talk_begin(&t, &peer);
	snprintf(want, sizeof(want), "%s", talk_say(&t, whole));
	assert_non_null(strstr(want, "550 5.1.1 User unknown\r\n250 2.1.5"));
	assert_non_null(strstr(want, "554 5.6.0 ")); /* a bare CR in the first body */
	assert_non_null(strstr(want, "354 End data with <CR><LF>.<CR><LF>\r\n250 2.0.0 queued"));
	assert_non_null(strstr(want, "221 2.0.0"));
	talk_end(&t);
	for (size_t i = 0; i < sizeof(whole); i++) {
		talk_begin(&t, &peer);
		talk_feed(&t, whole, i);
		talk_feed(&t, whole + i, sizeof(whole) - 1 > i ? sizeof(whole) - 1 - i : 0);
		assert_string_equal(talk_said(&t), want);
		talk_end(&t);
	}
	talk_begin(&t, &peer);
	for (size_t i = 0; i < sizeof(whole) - 1; i++)
		talk_feed(&t, whole + i, 1);
	assert_string_equal(talk_said(&t), want);
	talk_end(&t);
}

/* What a user gets wrong, and what it is told. */
static void bad_input(void **state)
{
	static char long_address[400], big[1 << 20];
	static const char *const lines[][2] = {
	    {"MAIL FROM:<a@b>\r\n", "503 5.5.1 Send EHLO"},
	    {"EHLO\r\n", "501 5.5.4"},
	    {"EHLO a<b\r\n", "501 5.5.4"},
	    {"EHLO x\r\n", "250-"},
	    {"RCPT TO:<c@d.test>\r\n", "503 5.5.1 Need MAIL"},
	    {"DATA\r\n", "503 5.5.1 Need MAIL"},
	    {"MAIL FROM:<a@b@c>\r\n", "501 5.1.7"},
	    {"MAIL FROM:a b c\r\n", "501 5.5.4"},
	    {"MAIL TO:<a@b>\r\n", "501 5.5.4"},
	    {"MAIL FROM:<a@b> FOO=1\r\n", "555 5.5.4"},
	    {"MAIL FROM:<a@b> SIZE=x\r\n", "501 5.5.4"},
	    {"MAIL FROM:<a@b> BODY=9BIT\r\n", "501 5.5.4"},
	    {"MAIL FROM:<a@b> SIZE=99999999999999999999\r\n", "552 5.3.4"},
	    {"MAIL FROM:<a@b> SIZE=999999999999\r\n", "552 5.3.4"},
	    {long_address, "501 5.1.7 Address too long"},
	    {"MAIL FROM:<a@b>\r\n", "250 2.1.0"},
	    {"DATA\r\n", "503 5.5.1 Need RCPT"},
	    {"RCPT TO:<>\r\n", "501 5.1.3"},
	    {"RCPT TO:<busy@localhost>\r\n", "451 4.3.0"},
	    {"RCPT TO:<c@d.test> FOO=1\r\n", "555 5.5.4"},
	    {"RSET now\r\n", "501 5.5.4"},
	    {"QUITE\r\n", "500 5.5.2"},
	    {"VRFY\r\n", "501 5.5.4"},
	};
	struct peer peer = peer_of("127.0.0.1");
	struct talk t;
	(void)state;
	world.conf->limits.errors = 100;
	memset(big, 'a', sizeof(big));
	snprintf(long_address, sizeof(long_address), "MAIL FROM:<%.300s@b>\r\n", big);
	talk_begin(&t, &peer);
	dialogue(&t, lines, ARRAY(lines));
	/* A line of 1 MB: one reply, and the session goes on behind it. */
	talk_feed(&t, big, sizeof(big));
	assert_string_equal(
	    talk_say(&t, "\r\nNOOP\r\n"), "500 5.5.2 Line too long\r\n250 2.0.0 Ok\r\n");
	assert_true(evbuffer_get_length(t.in) == 0);
	/* A bare LF ends no line; who sends one is told and left. */
	assert_memory_equal(talk_say(&t, "NOOP\nRSET\r\n"), "500 5.5.2 Bare CR or LF", 23);
	assert_int_equal(t.s->state, SMTP_CLOSING);
	talk_end(&t);
}

/* A bare LF in the body: refused behind the end of data, and never an end of data itself. */
static void bare_lf_in_body(void **state)
{
	static const char start[] = "EHLO x\r\nMAIL FROM:<>\r\nRCPT TO:<c@d.test>\r\nDATA\r\n";
	static const char *const bodies[] = {
	    "a\nb\r\n.\r\n",
	    "a\n.\nMAIL FROM:<x@y>\r\n.\r\n",
	    "a\r\n.\nMAIL FROM:<x@y>\r\n.\r\n",
	    "a\n.\r\nMAIL FROM:<x@y>\r\n.\r\n",
	    "a\r.\rMAIL FROM:<x@y>\r\n.\r\n",
	};
	struct peer peer = peer_of("127.0.0.1");
	struct talk t;
	(void)state;
	for (size_t i = 0; i < ARRAY(bodies); i++) {
		talk_begin(&t, &peer);
		talk_say(&t, start);
		const char *reply = talk_say(&t, bodies[i]);
		assert_memory_equal(reply, "554 5.6.0 ", 10);
		assert_null(strstr(reply, "\r\n2"));
		assert_int_equal(t.s->state, SMTP_READY);
		assert_memory_equal(talk_say(&t, "MAIL FROM:<>\r\n"), "250 2.1.0", 9);
		talk_end(&t);
	}
}

static const char lf_mail[] = "MAIL FROM:<>\nRCPT TO:<c@d.test>\nDATA\n..x\n\ny\n.\n";

/* A listener that normalises takes LF for CRLF, in commands and bodies, and stores CRLF. */
static void normalise(void **state)
{
	struct peer peer;
	unsigned char envelope[4096];
	struct envelope env;
	struct talk t;
	char body[4096];
	(void)state;
	world.listener.line_endings = CONF_LINES_NORMALISE;
	peer = peer_of("127.0.0.1");
	talk_begin(&t, &peer);
	talk_say(&t, "EHLO x\nMAIL FROM:<>\nRCPT TO:<c@d.test>\nDATA\n");
	assert_memory_equal(talk_say(&t, "one\r\n..two\n.\nthree\r\n.\r\n"), "250 2.0.0", 9);
	/* A client that knows no CR ends with LF, wherever the stream is cut. */
	for (size_t cut = 0; cut < sizeof(lf_mail) - 1; cut++) {
		talk_feed(&t, lf_mail, cut);
		talk_feed(&t, lf_mail + cut, sizeof(lf_mail) - 1 - cut);
		assert_non_null(strstr(talk_said(&t), "\r\n250 2.0.0 queued as"));
		assert_int_equal(t.s->state, SMTP_READY);
	}
	talk_end(&t);
	world.listener.line_endings = CONF_LINES_REFUSE;
	world_stored(&env, body, sizeof(body), envelope);
	assert_non_null(strstr(body, "\r\none\r\n..two\r\n..\r\nthree\r\n"));
	world_stored(&env, body, sizeof(body), envelope);
	assert_non_null(strstr(body, "\r\n..x\r\n\r\ny\r\n"));
}

/* Who may send where. */
static void relaying(void **state)
{
	static const struct {
		const char *client, *to, *want;
	} cases[] = {
	    {"127.0.0.1", "c@d.test", "250 2.1.5"},
	    {"192.0.2.1", "c@d.test", "550 5.7.1 Relaying denied"},
	    {"192.0.2.1", "bob@LocalHost", "250 2.1.5"},
	    {"192.0.2.1", "\"bob\"@localhost", "250 2.1.5"},
	    {"192.0.2.1", "bob", "250 2.1.5"},
	    {"192.0.2.1", "PostMaster", "550 5.1.1"},
	    {"192.0.2.1", "postmaster", "250 2.1.5"},
	    {"192.0.2.1", "nobody@localhost", "550 5.1.1"},
	    {"192.0.2.1", "busy@localhost", "451 4.3.0"},
	    {"192.0.2.1", "x@gateway.test", "250 2.1.5"},
	    {"192.0.2.1", "bob%localhost@d.test", "550 5.7.1"},
	    {"192.0.2.1", "@localhost:c@d.test", "550 5.7.1"},
	};
	(void)state;
	for (size_t i = 0; i < ARRAY(cases); i++) {
		struct peer peer = peer_of(cases[i].client);
		char line[256];
		struct talk t;
		talk_begin(&t, &peer);
		talk_say(&t, "EHLO x\r\nMAIL FROM:<>\r\n");
		snprintf(line, sizeof(line), "RCPT TO:<%s>\r\n", cases[i].to);
		const char *reply = talk_say(&t, line);
		if (strncmp(reply, cases[i].want, strlen(cases[i].want)) != 0)
			fail_msg("%s to %s: %s", cases[i].client, cases[i].to, reply);
		talk_end(&t);
	}
	/* Answers are kept: the second question isn't world.asked. */
	assert_true(world.asked < 8);
}

/* Limits: errors, recipients, size, hops, space. */
static void limits(void **state)
{
	struct peer peer = peer_of("127.0.0.1");
	struct talk t;
	(void)state;
	world.conf->limits.errors = 3;
	world.conf->limits.recipients = 2;
	world.conf->limits.hops = 5;
	world.conf->message_size = 1000;
	talk_begin(&t, &peer);
	assert_string_equal(talk_say(&t, "A\r\nB\r\nC\r\nNOOP\r\n"),
	    "500 5.5.2 Command not recognized\r\n500 5.5.2 Command not recognized\r\n"
	    "500 5.5.2 Command not recognized\r\n421 4.7.0 Too many errors\r\n");
	assert_int_equal(t.s->state, SMTP_CLOSING);
	talk_end(&t);
	talk_begin(&t, &peer);
	talk_say(&t, "EHLO x\r\nMAIL FROM:<>\r\nRCPT TO:<a@b.test>\r\nRCPT TO:<a@b.test>\r\n");
	assert_memory_equal(
	    talk_say(&t, "RCPT TO:<c@b.test>\r\n"), "250", 3); /* the first came twice */
	assert_memory_equal(talk_say(&t, "RCPT TO:<d@b.test>\r\n"), "452 4.5.3", 9);
	talk_say(&t, "DATA\r\n");
	char text[1200];
	memset(text, 'x', sizeof(text));
	talk_feed(&t, text, sizeof(text));
	assert_string_equal(talk_said(&t), "");
	assert_memory_equal(talk_say(&t, "\r\n.\r\n"), "552 5.3.4", 9);
	talk_say(&t, "MAIL FROM:<>\r\nRCPT TO:<a@b.test>\r\nDATA\r\n");
	for (int i = 0; i < 6; i++)
		talk_feed(&t, "Received: by x\r\n", 16);
	assert_memory_equal(talk_say(&t, "\r\nbody\r\n.\r\n"), "554 5.4.6", 9);
	union msg_any pressed = {.qmgr_pressure = {.level = PRESSURE_LOW, .free_bytes = 500}};
	segments_pressed(world.keeper, &pressed, NULL);
	assert_memory_equal(talk_say(&t, "MAIL FROM:<>\r\n"), "452 4.3.1", 9);
	talk_end(&t);
}

/* sendmail(1)'s socket: the kernel's word for the user, what lacks is added. */
static void local_submission(void **state)
{
	unsigned char envelope[4096];
	struct envelope env;
	struct peer peer;
	struct talk t;
	char body[4096];
	(void)state;
	policy_peer_local(1000, &peer);
	talk_begin(&t, &peer);
	talk_say(&t, "EHLO x\r\nMAIL FROM:<me>\r\nRCPT TO:<c@d.test>\r\nDATA\r\n");
	assert_memory_equal(talk_say(&t, "Subject: x\r\n\r\nhi\r\n.\r\n"), "250 2.0.0", 9);
	talk_end(&t);
	world_stored(&env, body, sizeof(body), envelope);
	assert_int_equal(env.uid, 1000);
	assert_int_equal(env.user.len, 2);
	assert_memory_equal(env.user.data, "me", 2);
	assert_int_equal(env.flags, 0);
	assert_memory_equal(body, "Received: from local (uid 1000)\r\n\tby mx.test", 44);
	assert_non_null(strstr(body, "\r\nDate: "));
	assert_non_null(strstr(body, "\r\nMessage-ID: <"));
	assert_non_null(
	    strstr(body, "@mx.test>\r\nFrom: me@localhost\r\nSubject: x\r\n\r\nhi\r\n"));
	policy_peer_notice(&peer);
	talk_begin(&t, &peer);
	talk_say(&t, "EHLO x\r\nMAIL FROM:<>\r\nRCPT TO:<c@d.test>\r\nDATA\r\nFrom: x\r\n");
	assert_memory_equal(talk_say(&t, "Date: y\r\nMessage-Id: z\r\n\r\nhi\r\n.\r\n"), "250", 3);
	talk_end(&t);
	world_stored(&env, body, sizeof(body), envelope);
	assert_int_equal(env.flags, ENVF_NOTICE);
	assert_memory_equal(body, "Received: by mx.test with ESMTP id ", 35);
	assert_non_null(strstr(body, "\r\nFrom: x\r\nDate: y\r\nMessage-Id: z\r\n\r\nhi\r\n"));
}

/* A client that leaves while it waits: for world.keeper, for the sync; its message is taken all the
 * same.
 */
static void gone_while_waiting(void **state)
{
	static const char mail[] =
	    "EHLO x\r\nMAIL FROM:<>\r\nRCPT TO:<c@d.test>\r\nDATA\r\nx\r\n.\r\n";
	struct peer peer = peer_of("127.0.0.1");
	unsigned char envelope[4096];
	struct envelope env;
	unsigned budget = 100;
	struct talk t;
	char body[4096];
	(void)state;
	world.keeper_silent = true;
	talk_begin(&t, &peer);
	evbuffer_add_printf(t.in, "EHLO x\r\nMAIL FROM:<>\r\nRCPT TO:<bob@localhost>\r\n");
	session_feed(t.s, t.in, &budget);
	assert_int_equal(t.s->wait, WAIT_RECIPIENT);
	talk_end(&t);
	talk_begin(&t, &peer);
	evbuffer_add(t.in, mail, sizeof(mail) - 1);
	session_feed(t.s, t.in, &budget);
	assert_int_equal(t.s->wait, WAIT_SYNC);
	talk_end(&t);
	world_stored(&env, body, sizeof(body), envelope);
	assert_non_null(strstr(body, "\r\nx\r\n"));
}

/* A message of 3 MiB goes into a segment of its own, byte for byte. */
static void large_message(void **state)
{
	static const char line[] = "..0123456789 0123456789 0123456789 0123456789 0123456789\r\n";
	static unsigned char buf[64 << 10];
	struct record_place place = {.segment = FIRST + 9000, .nonce = NONCE};
	struct peer peer = peer_of("127.0.0.1");
	struct record rec;
	struct talk t;
	(void)state;
	int single = world_grant(FIRST + 9000, SEGMENT_SINGLE);
	talk_begin(&t, &peer);
	talk_say(&t, "EHLO x\r\nMAIL FROM:<>\r\nRCPT TO:<c@d.test>\r\nDATA\r\nSubject: x\r\n\r\n");
	size_t n = (3 << 20) / (sizeof(line) - 1), used = 0;
	for (size_t i = 0; i < n; i++)
		talk_feed(&t, line, sizeof(line) - 1);
	assert_memory_equal(talk_say(&t, ".\r\nNOOP\r\n"), "250 2.0.0 queued", 16);
	talk_end(&t);
	assert_int_equal(record_check(single, &place, buf, sizeof(buf), &rec), 0);
	assert_true(rec.body_len - rec.plain_len == n);
	char *text = malloc(rec.body_len);
	assert_int_equal(
	    pread(single, text, rec.body_len, (off_t)record_body_at(&rec)), rec.body_len);
	used = rec.body_len - n * (sizeof(line) - 1);
	assert_memory_equal(text + used - 14, "Subject: x\r\n\r\n", 14);
	for (size_t i = 0; i < n; i++)
		assert_memory_equal(text + used + i * (sizeof(line) - 1), line, sizeof(line) - 1);
	free(text);
	close(single);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, world_setup, world_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(transaction),
	    TEST(states_and_verbs),
	    TEST(split_anywhere),
	    TEST(bad_input),
	    TEST(bare_lf_in_body),
	    TEST(normalise),
	    TEST(relaying),
	    TEST(limits),
	    TEST(local_submission),
	    TEST(gone_while_waiting),
	    TEST(large_message),
	};
	world_begin();
	int failed = cmocka_run_group_tests(tests, NULL, NULL);
	world_end();
	return failed;
}
