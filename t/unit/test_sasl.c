/* SPDX-License-Identifier: ISC */
/* Logins as a client: the order of mechanisms, known answers, what is refused, what shows a secret.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "deliver/sasl.h"
#include "lib/base64.h"

static struct credential login(const char *user, const char *secret)
{
	return (struct credential){
	    .user = user, .user_len = strlen(user), .secret = secret, .secret_len = strlen(secret)};
}

static void test_choose(void **state)
{
	static const struct {
		const char *offered, *after, *want;
	} rows[] = {{"LOGIN PLAIN CRAM-MD5 SCRAM-SHA-256", NULL, "SCRAM-SHA-256"},
	    {" plain  login", NULL, "PLAIN"},
	    {"LOGIN PLAIN CRAM-MD5 SCRAM-SHA-256", "PLAIN", "LOGIN"},
	    {"LOGIN PLAIN", "LOGIN", NULL}, {"LOGIN PLAIN", "SCRAM-SHA-256", "PLAIN"},
	    {"XOAUTH2 GSSAPI PLAINTEXT", NULL, NULL}, {"", NULL, NULL},
	    {"SCRAM-SHA-256-PLUS SCRAM-SHA-1 LOGIN", NULL, "LOGIN"}};
	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const char *got = sasl_choose(rows[i].offered, rows[i].after);
		if (rows[i].want)
			assert_string_equal(got, rows[i].want);
		else
			assert_null(got);
	}
}

/* step - one step, with what is to be said */
static enum sasl_verdict step(struct sasl *s, const char *challenge, const char *want)
{
	char *say = NULL;
	enum sasl_verdict r = sasl_step(s, challenge, &say);
	if (want)
		assert_string_equal(say, want);
	sasl_wipe(say);
	return r;
}

static void test_known_answers(void **state)
{
	struct credential tim = login("tim", "tanstaaftanstaaf");
	(void)state;
	/* RFC 2195 §3 */
	struct sasl *s = sasl_new("CRAM-MD5", &tim);
	assert_false(sasl_begins(s));
	assert_int_equal(step(s, "PDE4OTYuNjk3MTcwOTUyQHBvc3RvZmZpY2UucmVzdG9uLm1jaS5uZXQ+",
			     "dGltIGI5MTNhNjAyYzdlZGE3YTQ5NWI0ZTZlNzMzNGQzODkw"),
	    SASL_DONE);
	sasl_free(s);
	s = sasl_new("PLAIN", &tim);
	assert_true(sasl_begins(s));
	assert_int_equal(step(s, "", "AHRpbQB0YW5zdGFhZnRhbnN0YWFm"), SASL_DONE);
	assert_int_equal(step(s, "", NULL), SASL_BROKEN);
	assert_true(sasl_error(s)[0]);
	sasl_free(s);
	s = sasl_new("LOGIN", &tim);
	assert_false(sasl_begins(s));
	assert_int_equal(step(s, "VXNlcm5hbWU6", "dGlt"), SASL_MORE);
	assert_int_equal(step(s, "UGFzc3dvcmQ6", "dGFuc3RhYWZ0YW5zdGFhZg=="), SASL_DONE);
	sasl_free(s);
	assert_null(sasl_new("NTLMX", &tim));
}

/* scram - its second step, after a first challenge of so many rounds */
static enum sasl_verdict scram(unsigned long rounds, bool own_nonce)
{
	struct credential user = login("user", "pencil");
	struct sasl *s = sasl_new("SCRAM-SHA-256", &user);
	char *say = NULL, first[256] = "", challenge[512], text[512];
	assert_int_equal(sasl_step(s, "", &say), SASL_MORE);
	assert_true(base64_decode(first, sizeof(first) - 1, say, strlen(say)) > 0);
	sasl_wipe(say);
	const char *nonce = strstr(first, ",r=");
	assert_non_null(nonce);
	snprintf(text, sizeof(text),
	    "r=%s%%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=%lu",
	    own_nonce ? nonce + 3 : "other", rounds);
	base64_encode(challenge, sizeof(challenge), text, strlen(text));
	enum sasl_verdict r = sasl_step(s, challenge, &say);
	sasl_wipe(say);
	assert_false(sasl_complete(s)); /* 235 now would prove nothing */
	sasl_free(s);
	return r;
}

static void test_scram(void **state)
{
	(void)state;
	assert_int_equal(scram(4096, true), SASL_MORE);
	assert_int_equal(scram(4096, false), SASL_BROKEN);
	assert_int_equal(scram(SASL_ITERATIONS_MAX + 1, true), SASL_BROKEN);
	assert_int_equal(scram(4294967295UL, true), SASL_BROKEN);
}

static void test_shows(void **state)
{
	struct credential user = login("joe", "hunter22");
	struct credential brief = login("joe", "a");
	struct sasl *s = sasl_new("LOGIN", &user);
	(void)state;
	assert_true(sasl_shows(s, "not hunter22!", 13));
	assert_false(sasl_shows(s, "not hunter2", 11));
	step(s, "", NULL);
	step(s, "", "aHVudGVyMjI=");
	assert_true(sasl_shows(s, "bad aHVudGVyMjI=", 16));
	assert_false(sasl_shows(s, "", 0));
	sasl_free(s);
	s = sasl_new("PLAIN", &brief);
	assert_false(sasl_shows(s, "a bad login", 11));
	sasl_free(s);
	sasl_free(NULL);
}

static void test_nonsense(void **state)
{
	static const char *const challenges[] = {"", "=", "!!!", "AAAA", "cj0=", "cj14LHM9LGk9",
	    "cj0scz0saT05OTk5OTk5OTk5OTk5OTk5OTk5OTk5OTk5"};
	static const char *const names[] = {"SCRAM-SHA-256", "CRAM-MD5", "PLAIN", "LOGIN"};
	struct credential user = login("u", "\xff\xfe");
	(void)state;
	for (size_t i = 0; i < sizeof(challenges) / sizeof(challenges[0]); i++)
		for (size_t j = 0; j < 4; j++) {
			struct sasl *s = sasl_new(names[j], &user);
			for (int n = 0; n < 3; n++) {
				char *say;
				if (sasl_step(s, n || !sasl_begins(s) ? challenges[i] : "", &say) ==
				    SASL_BROKEN)
					assert_true(sasl_error(s)[0]);
				sasl_wipe(say);
			}
			sasl_free(s);
		}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_choose),
	    cmocka_unit_test(test_known_answers),
	    cmocka_unit_test(test_scram),
	    cmocka_unit_test(test_shows),
	    cmocka_unit_test(test_nonsense),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
