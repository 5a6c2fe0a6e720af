/* SPDX-License-Identifier: ISC */
/* deliver/command: what ends it, what it is given, and that half a message runs nothing. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <endian.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <sysexits.h>
#include <unistd.h>

#include "deliver/command.h"
#include "lib/clock.h"

static char home[] = "/tmp/baton-command-XXXXXX";

/* run - a command with a message of that text, announced as `promise` bytes */
static struct mailbox_result run(const char *command, const char *text, uint64_t promise)
{
	static struct content in;
	int p[2];
	uint64_t raw = htobe64(promise);
	struct mailbox_result res = {0};
	assert_int_equal(pipe(p), 0);
	assert_int_equal(mailbox_write(p[1], &raw, sizeof(raw)), 0);
	assert_int_equal(mailbox_write(p[1], text, strlen(text)), 0);
	close(p[1]);
	struct mailbox_request req = {.kind = LOCAL_ALIAS,
	    .user = "ann",
	    .home = home,
	    .sender = "",
	    .recipient = "list+x+y@example.net",
	    .original = "rfc822;old+2Bname@example.net",
	    .content = p[0],
	    .command_s = 1};
	if (mailbox_begin(&req, &in, &res))
		command_run(&req, command, &res);
	close(p[0]);
	return res;
}

/* exists - a file of the home */
static int exists(const char *name)
{
	char path[100];
	struct stat st;
	snprintf(path, sizeof(path), "%s/%s", home, name);
	return stat(path, &st) == 0;
}

static void test_what_it_gets(void **state)
{
	(void)state;
	struct mailbox_result res = run("test \"$SENDER\" = '' -a \"$EXTENSION\" = x+y -a "
					"\"$ORIGINAL_RECIPIENT\" = old+name@example.net -a "
					"\"$LOCAL\" = list+x+y -a \"$(pwd)\" = \"$HOME\" && "
					"grep -q '^From MAILER-DAEMON ' && cat >got",
	    "S: x\r\n\r\ny\r\n", 11);
	assert_int_equal(res.code, 250);
	assert_true(exists("got"));
}

static void test_half_a_message(void **state)
{
	(void)state;
	assert_int_equal(run("touch half", "S: x\r\n\r\ny\r\n", 12).code, 451);
	assert_int_equal(run("touch half", "S: x\r\n\r\ny\r\n", 10).code, 451);
	assert_false(exists("half"));
}

static void test_time(void **state)
{
	(void)state;
	int64_t began = clock_ms();
	struct mailbox_result res =
	    run("(sleep 3; touch late) & echo waiting; sleep 100", "\r\n", 2);
	assert_int_equal(res.code, 451);
	assert_string_equal(res.text, "command took longer than 1 s and was killed: waiting");
	assert_true(clock_ms() - began < 60000);
	sleep(3); /* what it started has gone with it */
	assert_false(exists("late"));
}

static void test_ends(void **state)
{
	(void)state;
	static const struct {
		const char *command, *status;
		unsigned code;
		int exit_code;
	} t[] = {
	    {"exit 64", "5.3.0", 554, 64},
	    {"exit 65", "5.6.0", 554, 65},
	    {"exit 67", "5.1.1", 550, 67},
	    {"exit 68", "5.1.2", 550, 68},
	    {"exit 71", "4.3.0", 451, EX_TEMPFAIL},
	    {"exit 75", "4.3.0", 451, EX_TEMPFAIL},
	    {"exit 78", "5.3.5", 554, 78},
	    {"exit 1", "5.3.0", 554, 1},
	    {"exit 111", "5.3.0", 554, 111},
	    {"/no/such/thing", "4.3.5", 451, EX_TEMPFAIL},
	    {"kill -TERM $$", "4.3.0", 451, EX_TEMPFAIL},
	};
	for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		struct mailbox_result res = run(t[i].command, "\r\n", 2);
		assert_string_equal(res.status, t[i].status);
		assert_int_equal(res.code, t[i].code);
		assert_int_equal(res.exit_code, t[i].exit_code);
	}
	/* the end of long output, in one line */
	struct mailbox_result res = run("seq 1 100000; echo the end; exit 69", "\r\n", 2);
	assert_non_null(strstr(res.text, "99999 100000 the end"));
	assert_null(strchr(res.text, '\n'));
	assert_true(strlen(res.text) < 400);
}

/* full - statuses of failures of the host */
static void test_failures(void **state)
{
	(void)state;
	static const struct {
		int error;
		const char *status;
	} t[] = {{ENOSPC, "4.3.1"}, {EDQUOT, "4.2.2"}, {EFBIG, "4.2.2"}, {EACCES, "4.2.0"},
	    {EROFS, "4.2.0"}};
	for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		struct mailbox_result res = {0};
		mailbox_say_errno(&res, -t[i].error, "box");
		assert_string_equal(res.status, t[i].status);
		assert_int_equal(res.exit_code, EX_TEMPFAIL);
	}
}

static int make_home(void **state)
{
	(void)state;
	return mkdtemp(home) && setenv("HOME", home, 1) == 0 ? 0 : -1;
}

static int drop_home(void **state)
{
	char cmd[100];
	(void)state;
	snprintf(cmd, sizeof(cmd), "rm -rf %s", home);
	return system(cmd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_what_it_gets),
	    cmocka_unit_test(test_half_a_message),
	    cmocka_unit_test(test_time),
	    cmocka_unit_test(test_ends),
	    cmocka_unit_test(test_failures),
	};
	return cmocka_run_group_tests(tests, make_home, drop_home);
}
