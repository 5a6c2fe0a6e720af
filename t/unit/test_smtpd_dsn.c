/* SPDX-License-Identifier: ISC */
/*
 * The parameters of RFC 3461 as smtpd reads and stores them; how a session refuses broken ones is
 * t/dialogue/dsn_*.dlg.
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
#include "lib/record.h"
#include "smtpd/dsn.h"
#include "smtpd_world.h"

static unsigned char envelope[64 << 10];

/* stored - the envelope of the first record */
static void stored(struct envelope *env, size_t *len)
{
	static unsigned char buf[64 << 10];
	struct record_place place = {.segment = FIRST, .nonce = NONCE};
	struct record rec;
	assert_int_equal(record_check(world.segment, &place, buf, sizeof(buf), &rec), 0);
	*len = rec.envelope_len;
	assert_true(*len <= sizeof(envelope));
	assert_int_equal(
	    pread(world.segment, envelope, *len, (off_t)record_envelope_at(&rec)), (ssize_t)*len);
	assert_int_equal(envelope_read(envelope, *len, env), 0);
}

/* take - one message of that MAIL and RCPT lines, every reply to which begins with 2 or 354 */
static void take(const struct peer *peer, const char *mail, const char *rcpts)
{
	char lines[8192];
	struct talk t;
	talk_begin(&t, peer);
	snprintf(lines, sizeof(lines), "EHLO x\r\n%s\r\n%sDATA\r\n", mail, rcpts);
	const char *said = talk_say(&t, lines);
	if (strstr(said, "\n5") || !strstr(said, "\n354"))
		fail_msg("%s%s", lines, said);
	assert_non_null(strstr(talk_say(&t, "\r\n.\r\n"), "queued as"));
	talk_end(&t);
}

/* next - the next recipient is that one */
static void next(size_t len, size_t *pos, const char *address, unsigned notify, const char *orcpt)
{
	struct envelope_rcpt r;
	assert_int_equal(envelope_next_rcpt(envelope, len, pos, &r), 1);
	assert_int_equal(r.address.len, strlen(address));
	assert_memory_equal(r.address.data, address, r.address.len);
	assert_int_equal(r.notify, notify);
	assert_int_equal(r.orcpt.len, strlen(orcpt));
	if (r.orcpt.len)
		assert_memory_equal(r.orcpt.data, orcpt, r.orcpt.len);
}

static void test_stored(void **state)
{
	struct peer peer = peer_of("127.0.0.1");
	struct envelope env;
	size_t len, pos = 0;
	(void)state;
	take(&peer, "MAIL FROM:<a@b.test> RET=hdrs ENVID=QQ+2B314+20x",
	    "RCPT TO:<a@d.test> NOTIFY=NEVER\r\n"
	    "RCPT TO:<b@d.test> NOTIFY=success,DELAY ORCPT=rfc822;B+2b+41@d.test\r\n"
	    "RCPT TO:<c@d.test>\r\n");
	stored(&env, &len);
	assert_int_equal(env.ret, RET_HDRS);
	assert_int_equal(env.envid.len, 8);
	assert_memory_equal(env.envid.data, "QQ+314 x", 8);
	assert_int_equal(env.nrcpts, 3);
	next(len, &pos, "a@d.test", NOTIFY_NEVER, "");
	next(len, &pos, "b@d.test", NOTIFY_SUCCESS | NOTIFY_DELAY, "rfc822;B+2BA@d.test");
	next(len, &pos, "c@d.test", 0, "");
}

/* One delivery to an address that is given twice; what either wants to hear of is told. */
static void test_twice(void **state)
{
	struct peer peer = peer_of("127.0.0.1");
	struct envelope env;
	size_t len, pos = 0;
	(void)state;
	take(&peer, "MAIL FROM:<a@b.test>",
	    "RCPT TO:<a@d.test> NOTIFY=NEVER ORCPT=rfc822;one@d.test\r\n"
	    "RCPT TO:<b@d.test>\r\n"
	    "RCPT TO:<a@d.test> NOTIFY=SUCCESS ORCPT=rfc822;two@d.test\r\n"
	    "RCPT TO:<b@d.test> NOTIFY=SUCCESS\r\n");
	stored(&env, &len);
	assert_int_equal(env.nrcpts, 2);
	next(len, &pos, "a@d.test", NOTIFY_SUCCESS, "rfc822;one@d.test");
	next(len, &pos, "b@d.test", NOTIFY_SUCCESS | NOTIFY_DEFAULT, "");
	assert_int_equal(dsn_merge(NOTIFY_NEVER, NOTIFY_NEVER), NOTIFY_NEVER);
	assert_int_equal(dsn_merge(NOTIFY_NEVER, 0), NOTIFY_DEFAULT);
	assert_int_equal(dsn_merge(0, 0), 0);
}

/* The longest of everything, many times, goes into the room that DATA has reckoned. */
static void test_largest(void **state)
{
	static char rcpts[7000];
	char one[1000], long_envid[101], mail[300];
	struct peer peer = peer_of("127.0.0.1");
	struct envelope env;
	size_t len, n = 0;
	(void)state;
	memset(long_envid, 'e', 100);
	long_envid[100] = '\0';
	snprintf(mail, sizeof(mail), "MAIL FROM:<a@b.test> RET=FULL ENVID=%s", long_envid);
	for (int i = 0; i < 10; i++) {
		int k = snprintf(one, sizeof(one),
		    "RCPT TO:<%d@d.test> NOTIFY=SUCCESS,FAILURE,DELAY ORCPT=rfc822;", i);
		memset(one + k, 'o', 493);
		memcpy(one + k + 493, "\r\n", 3);
		memcpy(rcpts + n, one, (size_t)k + 495);
		n += (size_t)k + 495;
	}
	rcpts[n] = '\0';
	take(&peer, mail, rcpts);
	stored(&env, &len);
	assert_int_equal(env.nrcpts, 10);
	assert_int_equal(env.envid.len, 100);
	assert_int_equal(env.ret, RET_FULL);
}

/* deliver marks a notice about a notice so; nobody else can. */
static void test_double(void **state)
{
	struct peer peer;
	struct envelope env;
	size_t len;
	(void)state;
	policy_peer_notice(&peer);
	take(&peer, "MAIL FROM:<> ENVID=double-bounce", "RCPT TO:<a@d.test> NOTIFY=NEVER\r\n");
	stored(&env, &len);
	assert_int_equal(env.flags, ENVF_NOTICE | ENVF_DOUBLE);
	assert_int_equal(env.envid.len, 0);
}

static void test_not_double(void **state)
{
	struct peer peer = peer_of("127.0.0.1");
	struct envelope env;
	size_t len;
	(void)state;
	take(&peer, "MAIL FROM:<> ENVID=double-bounce", "RCPT TO:<a@d.test>\r\n");
	stored(&env, &len);
	assert_int_equal(env.flags, 0);
	assert_int_equal(env.envid.len, 13);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, world_setup, world_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(test_stored),
	    TEST(test_twice),
	    TEST(test_largest),
	    TEST(test_double),
	    TEST(test_not_double),
	};
	world_begin();
	int failed = cmocka_run_group_tests_name("smtpd_dsn", tests, NULL, NULL);
	world_end();
	return failed;
}
