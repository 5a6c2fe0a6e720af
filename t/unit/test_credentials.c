/* SPDX-License-Identifier: ISC */
/* Logins for next hops: lines, what is skipped, what makes no sense. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "lib/credentials.h"
#include "t/unit/conffile.h"

static const char file[] = "# name user secret\n"
			   "\n"
			   "  one\tjoe@example.org   pass word # with all\t \r\n"
			   "half user\n"
			   "two u s\n"
			   "one other second\n"
			   "last u p";

static void is(const char *text, size_t len, const char *want)
{
	assert_int_equal(len, strlen(want));
	assert_memory_equal(text, want, len);
}

static void test_find(void **state)
{
	struct credential c;
	(void)state;
	assert_int_equal(credentials_find(file, sizeof(file) - 1, "one", &c), 0);
	is(c.user, c.user_len, "joe@example.org");
	is(c.secret, c.secret_len, "pass word # with all");
	assert_int_equal(credentials_find(file, sizeof(file) - 1, "last", &c), 0);
	is(c.secret, c.secret_len, "p");
	assert_int_equal(credentials_find(file, sizeof(file) - 1, "half", &c), -ENOENT);
	assert_int_equal(credentials_find(file, sizeof(file) - 1, "On", &c), -ENOENT);
	assert_int_equal(credentials_find("", 0, "one", &c), -ENOENT);
}

static void test_lines(void **state)
{
	static const int want[][2] = {{1, 3}, {-EINVAL, 4}, {1, 5}, {1, 6}, {1, 7}, {0, 7}};
	const char *text = file;
	size_t len = sizeof(file) - 1;
	unsigned line = 0;
	struct credential c;
	(void)state;
	for (size_t i = 0; i < sizeof(want) / sizeof(want[0]); i++) {
		assert_int_equal(credentials_next(&text, &len, &line, &c), want[i][0]);
		assert_int_equal(line, want[i][1]);
	}
}

static void test_too_long(void **state)
{
	char text[CREDENTIAL_MAX + 20] = "n u ";
	const char *at = text;
	struct credential c;
	unsigned line = 0;
	(void)state;
	memset(text + 4, 'x', CREDENTIAL_MAX);
	size_t len = 4 + CREDENTIAL_MAX;
	assert_int_equal(credentials_next(&at, &len, &line, &c), 1);
	at = text;
	len = 4 + CREDENTIAL_MAX + 1;
	text[len - 1] = 'x';
	assert_int_equal(credentials_next(&at, &len, &line, &c), -EINVAL);
	at = "n u\0v x";
	len = 7;
	assert_int_equal(credentials_next(&at, &len, &line, &c), -EINVAL);
}

/* Only deliver gets what the file holds, and only where a route logs in. */
static void test_who_gets_it(void **state)
{
	static const char secret[] = "ver-y-secret";
	char text[1024], path[512];
	(void)state;
	snprintf(path, sizeof(path), "%s", conffile_write("credentials", "one u ver-y-secret\n"));
	assert_int_equal(chmod(path, 0600), 0);
	for (int logs_in = 0; logs_in < 2; logs_in++) {
		struct conf_messages msgs = {0};
		struct conf *conf = NULL;
		snprintf(text, sizeof(text),
		    "sites = \"\"\ncredentials = \"%s\"\nroute \"*\" { to = \"[h.example]:25\" %s "
		    "}\n",
		    path, logs_in ? "auth = \"one\"" : "");
		assert_int_equal(conf_load_all(conffile_write("main.conf", text), &conf, &msgs), 0);
		conf_messages_free(&msgs);
		for (int role = ROLE_MASTER + 1; role < ROLE_COUNT; role++) {
			unsigned char *buf;
			size_t len;
			assert_int_equal(conf_encode(conf, (enum role)role, &buf, &len), 0);
			assert_int_equal(!!memmem(buf, len, secret, strlen(secret)),
			    logs_in && role == ROLE_DELIVER);
			free(buf);
		}
		conf_free(conf);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_find),
	    cmocka_unit_test(test_lines),
	    cmocka_unit_test(test_too_long),
	    cmocka_unit_test(test_who_gets_it),
	};
	return cmocka_run_group_tests(tests, conffile_setup, conffile_teardown);
}
