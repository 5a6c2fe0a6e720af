/* SPDX-License-Identifier: ISC */
/*
 * BDAT: what comes in chunks is stored as if it had come by DATA, whatever the cuts; what is
 * refused is thrown away to its last byte, so that nothing of it is ever read as a command.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "lib/record.h"
#include "smtpd/session.h"
#include "smtpd_world.h"

static const char start[] = "EHLO x\r\nMAIL FROM:<>\r\nRCPT TO:<c@d.test>\r\n";
enum { HELLO = 8 }; /* bytes of its EHLO */

/* begin - a client with a recipient */
static void begin(struct talk *t)
{
	struct peer peer = peer_of("127.0.0.1");
	talk_begin(t, &peer);
	talk_say(t, start);
	assert_int_equal(t->s->state, SMTP_RCPT);
}

/* chunk - one BDAT and its bytes; the reply */
static const char *chunk(struct talk *t, const char *bytes, size_t n, bool last)
{
	char line[64];
	snprintf(line, sizeof(line), "BDAT %zu%s\r\n", n, last ? " LAST" : "");
	talk_feed(t, line, strlen(line));
	talk_feed(t, bytes, n);
	return talk_said(t);
}

/* says - the reply begins so */
static void says(const char *reply, const char *want)
{
	if (strncmp(reply, want, strlen(want)) != 0)
		fail_msg("%s instead of %s", reply, want);
}

static const char text[] = "Subject: x\r\n\r\n.\r\n..a\r\nb\r\n.\r\nQUIT\r\n";
static const char stored[] = "Subject: x\r\n\r\n..\r\n...a\r\nb\r\n..\r\nQUIT\r\n";

/* Cut anywhere into two chunks, in one, with an empty last one: the same is stored. */
static void cut_anywhere(void **state)
{
	unsigned char envelope[4096];
	struct envelope env;
	struct talk t;
	char body[4096];
	size_t n = sizeof(text) - 1;
	(void)state;
	begin(&t);
	for (size_t cut = 0; cut <= n; cut++) {
		says(chunk(&t, text, cut, false), "250 2.0.0 ");
		says(chunk(&t, text + cut, n - cut, true), "250 2.0.0 queued as ########");
		world_stored(&env, body, sizeof(body), envelope);
		assert_string_equal(strstr(body, "Subject:"), stored);
		assert_int_equal(t.s->state, SMTP_READY);
		says(talk_say(&t, start + HELLO), "250 2.1.0");
	}
	/* Without a line end at the end it gets one. */
	says(chunk(&t, text, n - 2, true), "250 2.0.0 queued");
	world_stored(&env, body, sizeof(body), envelope);
	assert_string_equal(strstr(body, "Subject:"), stored);
	talk_end(&t);
}

/* Everything in one packet and byte by byte says the same. */
static void pipelined(void **state)
{
	static const char all[] = "EHLO x\r\nMAIL FROM:<>\r\nRCPT TO:<c@d.test>\r\nBDAT 3\r\na\r\n"
				  "BDAT 6 LAST\r\n.\r\nb\r\nMAIL FROM:<>\r\nBDAT 6 last\r\nQUIT\r\n"
				  "NOOP\r\nQUIT\r\n";
	static const char taken[] =
	    "250 2.1.5 Ok\r\n250 2.0.0 3 bytes are here\r\n250 2.0.0 queued";
	static const char dropped[] =
	    "250 2.1.0 Ok\r\n503 5.5.1 Need RCPT first, there is no valid "
	    "recipient\r\n250 2.0.0 Ok\r\n221 2.0.0 Bye\r\n";
	char want[4096];
	struct peer peer = peer_of("127.0.0.1");
	struct talk t;
	(void)state;
	talk_begin(&t, &peer);
	snprintf(want, sizeof(want), "%s", talk_say(&t, all));
	assert_non_null(strstr(want, "250-CHUNKING\r\n"));
	assert_null(strstr(want, "BINARYMIME"));
	says(strstr(want, "250 2.1.5") ? strstr(want, "250 2.1.5") : want,
	    "250 2.1.5 Ok\r\n250 2.0.0 3");
	if (!strstr(want, dropped) || !strstr(want, taken))
		fail_msg("%s", want);
	talk_end(&t);
	talk_begin(&t, &peer);
	for (size_t i = 0; i < sizeof(all) - 1; i++)
		talk_feed(&t, all + i, 1);
	assert_string_equal(talk_said(&t), want);
	talk_end(&t);
}

/* What is refused takes its bytes along, and the transaction. */
static void refused(void **state)
{
	struct talk t;
	(void)state;
	begin(&t);
	says(talk_say(&t, "BDAT 6 FIRST\r\nQUIT\r\nNOOP\r\n"),
	    "501 5.5.4 Syntax: BDAT size [LAST]\r\n250 2.0.0");
	says(talk_say(&t, "BDAT 6 LAST\r\nQUIT\r\nNOOP\r\n"),
	    "503 5.5.1 Need MAIL first\r\n250 2.0.0");
	talk_say(&t, start);
	says(talk_say(&t, "BDAT 0\r\nDATA\r\nRCPT TO:<x@y.test>\r\nMAIL FROM:<>\r\n"),
	    "250 2.0.0 0 bytes are here\r\n503 5.5.1 BDAT is under way\r\n503 5.5.1 BDAT is under "
	    "way\r\n503 5.5.1 BDAT is under way\r\n");
	says(talk_say(&t, "NOOP\r\nRSET\r\nBDAT 2\r\nx\n"),
	    "250 2.0.0 Ok\r\n250 2.0.0 Ok\r\n503 5.5.1 ");
	assert_int_equal(t.s->state, SMTP_READY);
	talk_end(&t);
	begin(&t);
	says(talk_say(&t, "BDAT 2x LAST\r\nQUIT\r\n"), "501 5.5.4 ");
	assert_int_equal(t.s->state, SMTP_CLOSING);
	assert_string_equal(talk_said(&t), "");
	talk_end(&t);
	begin(&t);
	says(talk_say(&t, "BDAT 99999999999\r\n"), "552 5.3.4 ");
	assert_int_equal(t.s->state, SMTP_CLOSING);
	talk_end(&t);
}

/* The size limit counts all chunks; a declared one is refused before it is stored. */
static void size_limit(void **state)
{
	static char big[3000];
	struct talk t;
	(void)state;
	memset(big, 'x', sizeof(big));
	world.conf->message_size = 2000;
	begin(&t);
	says(chunk(&t, big, 1000, false), "250 2.0.0 1000 bytes");
	says(chunk(&t, big, 1001, true), "552 5.3.4 ");
	says(chunk(&t, big, 10, true), "503 5.5.1 Need MAIL");
	talk_say(&t, start);
	says(chunk(&t, big, 2001, true), "552 5.3.4 ");
	talk_say(&t, start);
	says(chunk(&t, big, 1998, true), "250 2.0.0 queued");
	talk_end(&t);
}

/* Bare CR and LF, also across chunks: refused, or mended where the listener does that. */
static void bare(void **state)
{
	static const struct {
		const char *one, *two;
		bool at_first; /* the first chunk shows it */
		const char *mended;
	} cases[] = {
	    {"a\n", "b\r\n", true, "a\r\nb\r\n"},
	    {"a\r", "b\r\n", false, "a b\r\n"},
	    {"a\r", "\nb\r\n", false, NULL},
	    {"a\r\n", "\nb\r\n", false, "a\r\n\r\nb\r\n"},
	    {"a\r\n.\r", "\rb\r\n", false, "a\r\n.. b\r\n"},
	    {"a\r\n.", "\nQUIT\r\n", false, "a\r\n..\r\nQUIT\r\n"},
	    {"a", "b\r", false, "ab\r\n"},
	    {"a\rb", "c\r\n", true, "a bc\r\n"},
	};
	unsigned char envelope[4096];
	struct envelope env;
	struct talk t;
	char body[4096];
	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const char *one = cases[i].one, *two = cases[i].two;
		bool good = !cases[i].mended;
		begin(&t);
		says(chunk(&t, one, strlen(one), false), cases[i].at_first ? "554 5.6.0 " : "250 ");
		says(chunk(&t, two, strlen(two), true), good                ? "250 "
							: cases[i].at_first ? "503 5.5.1 "
									    : "554 5.6.0 ");
		talk_end(&t);
		if (good)
			world_stored(&env, body, sizeof(body), envelope);
		world.listener.line_endings = CONF_LINES_NORMALISE;
		begin(&t);
		says(chunk(&t, one, strlen(one), false), "250 ");
		says(chunk(&t, two, strlen(two), true), "250 2.0.0 queued");
		talk_end(&t);
		world.listener.line_endings = CONF_LINES_REFUSE;
		world_stored(&env, body, sizeof(body), envelope);
		const char *want = good ? "a\r\nb\r\n" : cases[i].mended;
		size_t n = strlen(want), len = strlen(body);
		assert_true(len > n);
		assert_string_equal(body + len - n, want);
	}
}

/* 3 MiB in chunks of an odd size go into a segment of its own, every line stuffed. */
static void large(void **state)
{
	static const char line[] = ".0123456789 0123456789 0123456789 0123456789 0123456789\r\n";
	static unsigned char buf[64 << 10];
	struct record_place place = {.segment = FIRST + 9000, .nonce = NONCE};
	size_t step = 70001, lines = (3 << 20) / (sizeof(line) - 1);
	size_t n = lines * (sizeof(line) - 1);
	struct record rec;
	struct talk t;
	(void)state;
	int single = world_grant(FIRST + 9000, SEGMENT_SINGLE);
	char *whole = malloc(n);
	for (size_t i = 0; i < lines; i++)
		memcpy(whole + i * (sizeof(line) - 1), line, sizeof(line) - 1);
	begin(&t);
	for (size_t at = 0; at < n; at += step)
		says(chunk(&t, whole + at, n - at < step ? n - at : step, n - at <= step),
		    n - at <= step ? "250 2.0.0 queued" : "250 2.0.0 70001");
	talk_end(&t);
	assert_int_equal(record_check(single, &place, buf, sizeof(buf), &rec), 0);
	assert_true(rec.body_len - rec.plain_len == lines);
	char *got = malloc(rec.body_len);
	assert_int_equal(
	    pread(single, got, rec.body_len, (off_t)record_body_at(&rec)), rec.body_len);
	const char *at = got + rec.body_len - lines * sizeof(line);
	for (size_t i = 0; i < lines; i++, at += sizeof(line)) {
		assert_int_equal(at[0], '.');
		assert_memory_equal(at + 1, line, sizeof(line) - 1);
	}
	free(got);
	free(whole);
	close(single);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, world_setup, world_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(cut_anywhere),
	    TEST(pipelined),
	    TEST(refused),
	    TEST(size_limit),
	    TEST(bare),
	    TEST(large),
	};
	world_begin();
	int failed = cmocka_run_group_tests(tests, NULL, NULL);
	world_end();
	return failed;
}
