/* SPDX-License-Identifier: ISC */
/*
 * Fix-ups in a session: whose mail gets them and whose doesn't, in memory and streamed, and that
 * the record is whole and its plain length right afterwards.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "lib/dot_form.h"
#include "lib/envelope.h"
#include "lib/record.h"
#include "smtpd/fold.h"
#include "smtpd_world.h"

#define LARGE (1u << 20)

static uint64_t segment_end;
static struct conf_listen printers = {.title = (char *)"printers",
    .line_endings = CONF_LINES_NORMALISE,
    .privacy = true,
    .tls = CONF_LISTEN_TLS_NONE};

/* setup - a world with an empty segment */
static int setup(void **state)
{
	segment_end = 0;
	return world_setup(state);
}

/* stored - the body of the record at a place, whose plain length must be right; freed by the next
 */
static const char *stored(int fd, uint64_t segment, uint64_t offset, uint64_t *end)
{
	static unsigned char buf[64 << 10];
	static char *body, *plain;
	struct record_place place = {.segment = segment, .nonce = NONCE, .offset = offset};
	struct record rec;
	struct dot_plain unform;
	free(body);
	free(plain);
	assert_int_equal(record_check(fd, &place, buf, sizeof(buf), &rec), 0);
	body = malloc(rec.body_len + 1);
	plain = malloc(rec.body_len + 1);
	assert_int_equal(pread(fd, body, rec.body_len, (off_t)record_body_at(&rec)), rec.body_len);
	body[rec.body_len] = '\0';
	dot_plain_init(&unform, false);
	assert_int_equal(dot_plain(&unform, body, rec.body_len, plain), rec.plain_len);
	if (end)
		*end = offset + record_len(&rec);
	return body;
}

/* sent - what is stored of a message from that client; mail is in wire form, with its end */
static const char *sent(const struct peer *peer, const char *from, const char *mail)
{
	struct talk t;
	char line[300];
	talk_begin(&t, peer);
	snprintf(line, sizeof(line),
	    "HELO x\r\nMAIL FROM:<%s>\r\nRCPT TO:<c@gateway.test>\r\nDATA\r\n", from);
	talk_say(&t, line);
	assert_memory_equal(talk_say(&t, mail), "250 ", 4);
	talk_end(&t);
	return stored(world.segment, FIRST, segment_end, &segment_end);
}

/* behind_received - what follows our first line */
static const char *behind_received(const char *body)
{
	const char *at = strstr(body, "\r\n");
	assert_memory_equal(body, "Received: ", 10);
	while (at && at[2] == '\t')
		at = strstr(at + 2, "\r\n");
	assert_non_null(at);
	return at + 2;
}

static const char rough[] = "From: root\r\nBcc: secret@x.test\r\nX-Mailer: m\r\n\r\n..x\r\n.\r\n";

/* A stranger's mail passes as it is, a friend's is mended. */
static void whose(void **state)
{
	struct peer peer = peer_of("192.0.2.1");
	(void)state;
	const char *body = behind_received(sent(&peer, "root@x.lan", rough));
	assert_string_equal(body, "From: root\r\nBcc: secret@x.test\r\nX-Mailer: m\r\n\r\n..x\r\n");
	peer = peer_of("127.0.0.1");
	body = behind_received(sent(&peer, "root@x.lan", rough));
	assert_memory_equal(body, "Date: ", 6);
	assert_non_null(strstr(body, "\r\nMessage-ID: <"));
	assert_non_null(
	    strstr(body, "@mx.test>\r\nFrom: root@localhost\r\nX-Mailer: m\r\n\r\n..x\r\n"));
	assert_null(strstr(body, "secret"));
	policy_peer_local(1000, &peer);
	body = behind_received(sent(&peer, "root@x.lan", "no header at all\r\n.\r\n"));
	assert_non_null(strstr(body, "@mx.test>\r\nFrom: root@x.lan\r\n\r\nno header at all\r\n"));
	body = behind_received(sent(&peer, "", ".\r\n"));
	assert_non_null(strstr(body, "\r\nFrom: MAILER-DAEMON@localhost\r\n"));
	policy_peer_notice(&peer);
	body = behind_received(
	    sent(&peer, "", "Date: x\r\nMessage-ID: <x>\r\nFrom: root\r\n\r\n.\r\n"));
	assert_string_equal(body, "Date: x\r\nMessage-ID: <x>\r\nFrom: root\r\n\r\n");
}

/* The envelope's sender as others shall see it, and the Message-ID that we made, in the envelope.
 */
static void envelope(void **state)
{
	static unsigned char buf[64 << 10], text[4096];
	struct record_place place = {.segment = FIRST, .nonce = NONCE};
	char *entry = (char *)"*@x.lan=*@example.org", **was = world.conf->masquerade.v;
	struct peer peer = peer_of("127.0.0.1");
	struct envelope env;
	struct record rec;
	(void)state;
	world.conf->masquerade.v = &entry;
	world.conf->masquerade.n = 1;
	sent(&peer, "al@X.lan", rough);
	assert_int_equal(record_check(world.segment, &place, buf, sizeof(buf), &rec), 0);
	assert_int_equal(
	    pread(world.segment, text, rec.envelope_len, (off_t)record_envelope_at(&rec)),
	    rec.envelope_len);
	assert_int_equal(envelope_read(text, rec.envelope_len, &env), 0);
	assert_int_equal(env.sender.len, 14);
	assert_memory_equal(env.sender.data, "al@example.org", 14);
	assert_memory_equal(env.message_id.data + env.message_id.len - 9, "@mx.test>", 9);
	assert_non_null(
	    strstr(stored(world.segment, FIRST, 0, NULL), "\r\nFrom: root@localhost\r\n"));
	peer = peer_of("192.0.2.1");
	assert_memory_equal(sent(&peer, "al@x.lan", rough), "Received: ", 10);
	world.conf->masquerade.v = was;
	world.conf->masquerade.n = 0;
}

/* A device that knows neither EHLO nor CR, on a listener for it that keeps things to itself. */
static void printer(void **state)
{
	struct peer peer = peer_of("127.0.0.1");
	(void)state;
	peer.listen = &printers;
	const char *body = sent(&peer, "scan", "X-Mailer: MFP\nTo: office\n\nscan\n..\n.\n");
	assert_memory_equal(body, "Received: by mx.test with SMTP id ", 34);
	assert_null(strstr(body, "127.0.0.1"));
	assert_non_null(
	    strstr(body, "\r\nFrom: scan@localhost\r\nTo: office@localhost\r\n\r\nscan\r\n..\r\n"));
	assert_null(strstr(body, "MFP"));
}

/* What comes in chunks is mended as well, its long lines too. */
static void chunks(void **state)
{
	static char head[] = "To: office\r\nBcc: s@x.test\r\n\r\n.\r\n", line[3002];
	struct peer peer = peer_of("127.0.0.1");
	struct talk t;
	char command[100];
	(void)state;
	memset(line, 'x', 3000);
	memcpy(line + 3000, "\r\n", 2);
	talk_begin(&t, &peer);
	snprintf(command, sizeof(command),
	    "EHLO x\r\nMAIL FROM:<a@b.test>\r\nRCPT TO:<c@d.test>\r\nBDAT %zu\r\n",
	    sizeof(head) - 1);
	talk_say(&t, command);
	talk_say(&t, head);
	talk_say(&t, "BDAT 3002 LAST\r\n");
	talk_feed(&t, line, sizeof(line));
	assert_memory_equal(talk_said(&t), "250 ", 4);
	talk_end(&t);
	const char *body = stored(world.segment, FIRST, 0, &segment_end);
	const char *end =
	    strstr(body, "\r\nFrom: a@b.test\r\nTo: office@localhost\r\n\r\n..\r\nxxx");
	assert_non_null(end);
	assert_int_equal(strlen(strstr(end, "\r\nxxx")), 2 + 3002 + 9);
}

/* A header that grows by more than there is room for in front of it. */
static void much_growth(void **state)
{
	static char mail[200000], want[300000];
	struct peer peer = peer_of("127.0.0.1");
	size_t n = 0, w = 0;
	(void)state;
	for (int i = 0; i < 10000; i++) {
		n += (size_t)snprintf(mail + n, 100, "%s u%d", i ? ",\r\n" : "Date: x\r\nTo:", i);
		w += (size_t)snprintf(
		    want + w, 100, "%s u%d@localhost", i ? ",\r\n" : "Date: x\r\nTo:", i);
	}
	snprintf(mail + n, 100, "\r\n\r\nbody\r\n.\r\n");
	snprintf(want + w, 100, "\r\n\r\nbody\r\n");
	const char *body = behind_received(sent(&peer, "a@b.test", mail));
	assert_memory_equal(body, "Message-ID: ", 12);
	assert_non_null(strstr(body, want));
}

/* feed_lines - a megabyte of body with a long line now and then */
static void feed_lines(struct talk *t)
{
	static char line[3002];
	memset(line, 'x', sizeof(line));
	for (size_t n = 0, i = 0; n < LARGE; i++) {
		size_t len = i % 100 ? 72 : 3000;
		memcpy(line + len, "\r\n", 2);
		talk_feed(t, line, len + 2);
		memset(line + len, 'x', 2);
		n += len + 2;
	}
}

/* check_lines - what became of them */
static void check_lines(const char *body)
{
	for (const char *at = body; *at;) {
		const char *end = strstr(at, "\r\n");
		assert_non_null(end);
		assert_true(end - at <= 998);
		at = end + 2;
	}
}

/* streamed - a large message, what its header becomes; NULL: refused with `reply` */
static const char *streamed(uint64_t name, const char *header, const char *reply)
{
	struct peer peer = peer_of("127.0.0.1");
	struct talk t;
	int single = world_grant(name, SEGMENT_SINGLE);
	talk_begin(&t, &peer);
	talk_say(&t, "EHLO x\r\nMAIL FROM:<a@b.test>\r\nRCPT TO:<c@d.test>\r\nDATA\r\n");
	talk_feed(&t, header, strlen(header));
	feed_lines(&t);
	const char *said = talk_say(&t, ".\r\n");
	if (strncmp(said, reply, strlen(reply)) != 0)
		fail_msg("%s instead of %s", said, reply);
	talk_end(&t);
	const char *body = reply[0] == '2' ? stored(single, name, 0, NULL) : NULL;
	close(single);
	return body;
}

/* Streamed messages are mended as others are, if the header is over before that begins. */
static void large(void **state)
{
	static char header[400000];
	(void)state;
	const char *body = streamed(FIRST + 9000, "To: bob\r\nBcc: secret\r\n\r\n", "250 ");
	assert_non_null(strstr(body, "\r\nFrom: a@b.test\r\nTo: bob@localhost\r\n\r\nxxx"));
	check_lines(body);
	body = streamed(FIRST + 10000, "Date: x\r\nno header\r\n", "250 ");
	assert_non_null(strstr(body, "\r\nDate: x\r\n\r\nno header\r\nxxx"));
	check_lines(body);
	for (size_t n = 0; n < sizeof(header) - 100;)
		n += (size_t)snprintf(header + n, 100, "X-Much: of it\r\n");
	streamed(FIRST + 11000, header, "552 5.3.4 Message header too big");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, world_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(whose),
	    TEST(envelope),
	    TEST(printer),
	    TEST(chunks),
	    TEST(much_growth),
	    TEST(large),
	};
	world_begin();
	int failed = cmocka_run_group_tests(tests, NULL, NULL);
	world_end();
	return failed;
}
