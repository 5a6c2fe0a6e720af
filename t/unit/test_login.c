/* SPDX-License-Identifier: ISC */
/* What logins rest on: base64, secrets of the users file, counts of failures. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "lib/base64.h"
#include "lib/secret.h"
#include "master/failures.h"
#include "smtpd/auth.h"

/* There and back; nothing that another reader might take otherwise. */
static void base64(void **state)
{
	static const char *const bad[] = {
	    "A", "AA", "AAA", "A===", "AA=A", "====", "AB==", "AAB=", "AA==AA==", "AA A", "AA\n="};
	char text[32], back[16];
	(void)state;
	for (size_t n = 0; n < sizeof(back); n++) {
		int len = base64_encode(text, sizeof(text), "0123456789abcdef", n);
		assert_int_equal(len, BASE64_LEN(n));
		assert_int_equal(base64_decode(back, sizeof(back), text, (size_t)len), n);
		assert_memory_equal(back, "0123456789abcdef", n);
	}
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(
		    base64_decode(back, sizeof(back), bad[i], strlen(bad[i])), -EINVAL);
	assert_int_equal(base64_decode(back, 2, "AAAA", 4), -EMSGSIZE);
	assert_int_equal(base64_encode(text, 4, "abc", 3), -EMSGSIZE);
}

/* What is made is read, and checked by either half; what makes no sense isn't taken. */
static void secrets(void **state)
{
	static const char *const bad[] = {"", "x", "*", "!", "$", "{SCRAM-SHA-256}", "$y$a b",
	    "{SCRAM-SHA-256}0,AAAA,AAAA,AAAA", "{SCRAM-SHA-256}4096,AAAA,AAAA,AAAA", "$6$a:$6$b"};
	char text[SECRET_TEXT_SIZE];
	struct secret s;
	(void)state;
	assert_int_equal(secret_make("pencil", text, sizeof(text)), 0);
	assert_int_equal(secret_parse(text, strlen(text), &s), 0);
	assert_int_equal(s.iterations, SECRET_ITERATIONS);
	assert_int_equal(secret_check(&s, "pencil"), 1);
	assert_int_equal(secret_check(&s, "Pencil"), 0);
	const char *verifier = strchr(text, '{');
	assert_int_equal(secret_parse(verifier, strlen(verifier), &s), 0);
	assert_int_equal(secret_check(&s, "pencil"), 1);
	assert_int_equal(secret_check(&s, ""), 0);
	assert_int_equal(secret_make("h\xc3\xa9", text, sizeof(text)), 0);
	assert_null(strchr(text, '{'));
	assert_int_equal(secret_make("", text, sizeof(text)), -EINVAL);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(secret_parse(bad[i], strlen(bad[i]), &s), -EINVAL);
}

/* Some wrong answers come at once, then they wait, and only a few at a time. */
static void failures(void **state)
{
	struct failures_try t, more[FAILURES_WAITING];
	int64_t now = 1000;
	unsigned last = 0;
	(void)state;
	for (int i = 0; i < 12; i++) {
		assert_true(failures_begin(&t, "192.0.2.1", "ann", now));
		unsigned ms = failures_wrong(&t, now);
		failures_end(&t);
		assert_int_equal(ms == 0, i < FAILURES_FREE);
		assert_true(ms >= last && ms <= FAILURES_MAX_MS);
		last = ms;
	}
	assert_int_equal(last, FAILURES_MAX_MS);
	for (int i = 0; i < FAILURES_WAITING; i++)
		assert_true(failures_begin(&more[i], "192.0.2.1", "bob", now));
	assert_false(failures_begin(&t, "192.0.2.1", "bob", now));
	assert_true(failures_begin(&t, "192.0.2.2", "bob", now)); /* another client */
	failures_end(&t);
	for (int i = 0; i < FAILURES_WAITING; i++)
		failures_end(&more[i]);
	assert_true(failures_begin(&t, "192.0.2.1", "bob", now));
	failures_end(&t);
	now += FAILURES_FORGET_MS + 1;
	assert_true(failures_begin(&t, "192.0.2.1", "ann", now));
	assert_int_equal(failures_wrong(&t, now), 0);
	failures_end(&t);
	failures_reset();
}

/* Who is known for a user isn't held up by what others do to him; IPv6 counts by the /64. */
static void known_clients(void **state)
{
	struct failures_try t, many[FAILURES_WAITING];
	char client[64];
	(void)state;
	assert_true(failures_begin(&t, "192.0.2.9", "ann", 0));
	failures_right(&t, 0);
	failures_end(&t);
	for (int i = 0; i < 20; i++) {
		snprintf(client, sizeof(client), "198.51.100.%d", i);
		if (failures_begin(&t, client, "ann", 1)) {
			failures_wrong(&t, 1);
			failures_end(&t);
		}
	}
	for (int i = 0; i < FAILURES_WAITING; i++)
		assert_true(failures_begin(&many[i], "203.0.113.1", "ann", 2));
	assert_false(failures_begin(&t, "203.0.113.2", "ann", 2));
	assert_true(failures_begin(&t, "192.0.2.9", "ann", 2));
	failures_reset();
	for (int i = 0; i < 9; i++) {
		snprintf(client, sizeof(client), "2001:db8::%d", i);
		assert_true(failures_begin(&t, client, "", 3));
		assert_int_equal(failures_wrong(&t, 3) == 0, i < FAILURES_FREE);
		failures_end(&t);
	}
	failures_reset();
}

/* PLAIN's three parts. */
static void plain(void **state)
{
	struct auth_plain p;
	(void)state;
	assert_int_equal(auth_read_plain("\0ann\0pw", 7, &p), 0);
	assert_memory_equal(p.user, "ann", 3);
	assert_memory_equal(p.password, "pw", 2);
	assert_int_equal(auth_read_plain("ann\0ann\0pw", 10, &p), 0);
	assert_int_equal(auth_read_plain("bob\0ann\0pw", 10, &p), -EINVAL);
	assert_int_equal(auth_read_plain("\0ann\0pw\0", 8, &p), -EINVAL);
	assert_int_equal(auth_read_plain("\0ann", 4, &p), -EINVAL);
	assert_int_equal(auth_read_plain("\0\0pw", 4, &p), -EINVAL);
	assert_int_equal(auth_read_plain("\0ann\0", 5, &p), -EINVAL);
	assert_int_equal(auth_read_plain("", 0, &p), -EINVAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(base64),
	    cmocka_unit_test(secrets),
	    cmocka_unit_test(failures),
	    cmocka_unit_test(known_clients),
	    cmocka_unit_test(plain),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
