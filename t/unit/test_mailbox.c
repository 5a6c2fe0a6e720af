/* SPDX-License-Identifier: ISC */
/* Local delivery: paths, conversion over block ends, promises of length, locks, cut-backs. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <dirent.h>
#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <sysexits.h>
#include <unistd.h>

#include "deliver/mailbox.h"

static char home[64];

static int make_home(void **state)
{
	(void)state;
	snprintf(home, sizeof(home), "/tmp/baton-mailbox-XXXXXX");
	return mkdtemp(home) ? 0 : -1;
}

static int drop_home(void **state)
{
	char cmd[100];
	(void)state;
	snprintf(cmd, sizeof(cmd), "rm -rf %s", home);
	return system(cmd);
}

/* feed - a pipe with a promise and a content, written by a child so that it may be long */
static int feed(uint64_t promise, const char *data, size_t len, size_t block)
{
	int p[2];
	uint64_t raw = htobe64(promise);
	assert_int_equal(pipe(p), 0);
	if (fork() == 0) {
		close(p[0]);
		signal(SIGPIPE, SIG_IGN);
		mailbox_write(p[1], &raw, sizeof(raw));
		for (size_t i = 0; i < len; i += block)
			mailbox_write(p[1], data + i, len - i < block ? len - i : block);
		_exit(0);
	}
	close(p[1]);
	return p[0];
}

/* deliver_it - as the program does */
static void deliver_it(struct mailbox_request *req, struct mailbox_result *res)
{
	static struct content in;
	if (mailbox_begin(req, &in, res))
		mailbox_deliver(req, res);
}

static struct mailbox_result deliver_as(enum local_kind kind, const char *mailbox, int content)
{
	struct mailbox_request req = {.kind = kind,
	    .mailbox = mailbox,
	    .user = "ann",
	    .home = home,
	    .sender = "bob@example.org",
	    .recipient = "ann@example.net",
	    .content = content};
	struct mailbox_result res = {0};
	deliver_it(&req, &res);
	close(content);
	while (wait(NULL) > 0)
		;
	return res;
}

/* slurp - a file of the home as a string */
static char *slurp(const char *name)
{
	char path[400];
	static char buf[400000];
	snprintf(path, sizeof(path), "%s/%s", home, name);
	int fd = open(path, O_RDONLY);
	assert_true(fd >= 0);
	ssize_t n = read(fd, buf, sizeof(buf) - 1);
	assert_true(n >= 0);
	buf[n] = '\0';
	close(fd);
	return buf;
}

/* only - the one file of a folder, or NULL where there is none */
static char *only(const char *folder)
{
	static char name[400];
	char path[200];
	struct dirent *e;
	name[0] = '\0';
	snprintf(path, sizeof(path), "%s/%s", home, folder);
	DIR *d = opendir(path);
	assert_non_null(d);
	while ((e = readdir(d)))
		if (e->d_name[0] != '.') {
			assert_string_equal(name, "");
			snprintf(name, sizeof(name), "%s/%s", folder, e->d_name);
		}
	closedir(d);
	return name[0] ? name : NULL;
}

static void test_expand(void **state)
{
	static const struct {
		const char *mailbox, *user, *home, *path;
	} t[] = {
	    {"/var/mail/%u", "ann", "/home/ann", "/var/mail/ann"},
	    {"~/Maildir", "ann", "/home/ann", "/home/ann/Maildir"},
	    {"/m/%u/%%", "ann", "/", "/m/ann/%"},
	    {"/m/%x", "ann", "/", NULL},
	    {"/m/%", "ann", "/", NULL},
	    {"m/%u", "ann", "/", NULL},
	    {"~/x", "ann", "", "/x"},
	    {"/m/%u", "../etc", "/", NULL},
	    {"/m/%u", "..", "/", NULL},
	    {"/m/%u", "", "/", NULL},
	};
	char out[PATH_MAX];
	(void)state;
	for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		int rc = mailbox_expand(t[i].mailbox, t[i].user, t[i].home, out);
		assert_int_equal(rc, t[i].path ? 0 : -EINVAL);
		if (t[i].path)
			assert_string_equal(out, t[i].path);
	}
}

static void test_hosted(void **state)
{
	static const struct {
		const char *mailbox, *user, *path;
	} t[] = {
	    {"/v/%d/%n", "joe@a.b", "/v/a.b/joe"},
	    {"/v/%u/%%/", "joe@a.b", "/v/joe@a.b/%/"},
	    {"/v/%d/%n", "x@y@a.b", "/v/a.b/x@y"},
	    {"/v/%x", "joe@a.b", NULL},
	    {"/v/%", "joe@a.b", NULL},
	    {"v/%n", "joe@a.b", NULL},
	    {"/v/%n", "joe", NULL},
	    {"/v/%n", "../joe@a.b", NULL},
	    {"/v/%n", "a/b@a.b", NULL},
	    {"/v/%n", "..@a.b", NULL},
	    {"/v/%n", "@a.b", NULL},
	    {"/v/%d", "joe@..", NULL},
	    {"/v/%d", "joe@a/b", NULL},
	};
	char out[PATH_MAX];
	(void)state;
	for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		int rc = mailbox_hosted(t[i].mailbox, t[i].user, out);
		assert_int_equal(rc, t[i].path ? 0 : -EINVAL);
		if (t[i].path)
			assert_string_equal(out, t[i].path);
	}
}

#define HEAD "Return-Path: <bob@example.org>\nDelivered-To: ann@example.net\n"

static void test_maildir(void **state)
{
	static const struct {
		const char *in, *out;
	} t[] = {
	    {"", HEAD},
	    {"A: b\r\n\r\nFrom x\r\n.\r\n", HEAD "A: b\n\nFrom x\n.\n"},
	    {"a\rb\r\r\nc\r\n", HEAD "a\rb\r\nc\n"},
	    {"\xff\r\n", HEAD "\xff\n"},
	};
	(void)state;
	for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++)
		for (size_t block = 1; block < 8; block += 3) {
			size_t len = strlen(t[i].in);
			struct mailbox_result res =
			    deliver_as(LOCAL_MAILDIR, "~/M/", feed(len, t[i].in, len, block));
			assert_int_equal(res.code, 250);
			assert_int_equal(res.exit_code, EX_OK);
			char *name = only("M/new");
			assert_non_null(name);
			assert_string_equal(slurp(name), t[i].out);
			char path[500];
			snprintf(path, sizeof(path), "%s/%s", home, name);
			unlink(path);
			assert_null(only("M/tmp"));
		}
}

static void test_wrong_length(void **state)
{
	static const int off[] = {-1, 1, 1000};
	(void)state;
	for (size_t i = 0; i < 3; i++) {
		struct mailbox_result res = deliver_as(
		    LOCAL_MAILDIR, "~/M", feed((uint64_t)(6 + off[i]), "a\r\nb\r\n", 6, 6));
		assert_int_equal(res.code, 451);
		assert_int_equal(res.exit_code, EX_DATAERR);
		assert_null(only("M/new"));
		assert_null(only("M/tmp"));
		res = deliver_as(
		    LOCAL_MBOX, "~/box", feed((uint64_t)(6 + off[i]), "a\r\nb\r\n", 6, 6));
		assert_int_equal(res.code, 451);
		assert_string_equal(slurp("box"), "");
	}
}

/* from_line_off - behind the From_ line, whose date changes */
static char *from_line_off(char *text)
{
	assert_memory_equal(text, "From bob@example.org ", 21);
	return strchr(text, '\n') + 1;
}

static void test_mbox(void **state)
{
	static const char in[] = "From me\r\nFrom\r\n From x\r\n>From y\r\nFrom z";
	(void)state;
	for (size_t block = 1; block < 12; block++) {
		struct mailbox_result res =
		    deliver_as(LOCAL_MBOX, "~/mbox", feed(strlen(in), in, strlen(in), block));
		assert_int_equal(res.code, 250);
		assert_string_equal(from_line_off(slurp("mbox")),
		    HEAD ">From me\nFrom\n From x\n>From y\n>From z\n");
		char path[500];
		snprintf(path, sizeof(path), "%s/mbox", home);
		unlink(path);
	}
}

static void test_mbox_after_a_torn_one(void **state)
{
	char path[100];
	(void)state;
	snprintf(path, sizeof(path), "%s/torn", home);
	int fd = open(path, O_WRONLY | O_CREAT, 0600);
	mailbox_write(fd, "From x\ntorn", 11);
	close(fd);
	deliver_as(LOCAL_MBOX, "~/torn", feed(3, "a\r\n", 3, 3));
	char *text = slurp("torn");
	assert_memory_equal(text, "From x\ntorn\n\nFrom bob", 21);
}

static void test_mbox_locked(void **state)
{
	char lock[100], path[100];
	struct stat st;
	(void)state;
	snprintf(lock, sizeof(lock), "%s/held.lock", home);
	snprintf(path, sizeof(path), "%s/held", home);
	close(open(lock, O_WRONLY | O_CREAT, 0600));
	struct mailbox_result res = deliver_as(LOCAL_MBOX, "~/held", feed(3, "a\r\n", 3, 3));
	assert_int_equal(res.code, 451);
	assert_string_equal(res.status, "4.2.0");
	assert_int_equal(stat(lock, &st), 0);
	/* left behind long ago */
	struct timespec old[2] = {{.tv_sec = 1000}, {.tv_sec = 1000}};
	assert_int_equal(utimensat(AT_FDCWD, lock, old, 0), 0);
	deliver_as(LOCAL_MBOX, "~/held", feed(3, "a\r\n", 3, 3));
	res = deliver_as(LOCAL_MBOX, "~/held", feed(3, "a\r\n", 3, 3));
	assert_int_equal(res.code, 250);
	assert_int_equal(stat(lock, &st), -1);
	/* the other lock */
	int ready[2];
	assert_int_equal(pipe(ready), 0);
	pid_t pid = fork();
	if (pid == 0) {
		struct flock l = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
		int fd = open(path, O_RDWR);
		fcntl(fd, F_SETLK, &l);
		mailbox_write(ready[1], "x", 1);
		pause();
		_exit(0);
	}
	char c;
	assert_int_equal(read(ready[0], &c, 1), 1);
	struct mailbox_request req = {.kind = LOCAL_MBOX,
	    .mailbox = "~/held",
	    .user = "ann",
	    .home = home,
	    .sender = "",
	    .recipient = "ann",
	    .content = feed(3, "a\r\n", 3, 3)};
	deliver_it(&req, &res);
	assert_int_equal(res.code, 451);
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	close(ready[0]);
	close(ready[1]);
	close(req.content);
}

static void test_full_disk(void **state)
{
	static char big[200000];
	struct rlimit small = {.rlim_cur = 100000, .rlim_max = RLIM_INFINITY}, old;
	(void)state;
	memset(big, 'x', sizeof(big));
	deliver_as(LOCAL_MBOX, "~/full", feed(3, "a\r\n", 3, 3));
	size_t before = strlen(slurp("full"));
	signal(SIGXFSZ, SIG_IGN);
	getrlimit(RLIMIT_FSIZE, &old);
	setrlimit(RLIMIT_FSIZE, &small);
	struct mailbox_result res =
	    deliver_as(LOCAL_MBOX, "~/full", feed(sizeof(big), big, sizeof(big), 65536));
	struct mailbox_result dir =
	    deliver_as(LOCAL_MAILDIR, "~/F", feed(sizeof(big), big, sizeof(big), 65536));
	setrlimit(RLIMIT_FSIZE, &old);
	assert_int_equal(res.code, 452);
	assert_string_equal(res.status, "4.2.2");
	assert_int_equal(strlen(slurp("full")), before);
	assert_int_equal(dir.code, 452);
	assert_null(only("F/new"));
	assert_null(only("F/tmp"));
}

static void test_no_place(void **state)
{
	(void)state;
	struct mailbox_result res =
	    deliver_as(LOCAL_MAILDIR, "~/no/such/M", feed(3, "a\r\n", 3, 3));
	assert_int_equal(res.code, 451);
	assert_string_equal(res.status, "4.2.0");
	assert_int_equal(res.exit_code, EX_TEMPFAIL);
	res = deliver_as(LOCAL_MBOX, "~/", feed(3, "a\r\n", 3, 3));
	assert_int_equal(res.code, 451);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_expand),
	    cmocka_unit_test(test_hosted),
	    cmocka_unit_test_setup_teardown(test_maildir, make_home, drop_home),
	    cmocka_unit_test_setup_teardown(test_wrong_length, make_home, drop_home),
	    cmocka_unit_test_setup_teardown(test_mbox, make_home, drop_home),
	    cmocka_unit_test_setup_teardown(test_mbox_after_a_torn_one, make_home, drop_home),
	    cmocka_unit_test_setup_teardown(test_mbox_locked, make_home, drop_home),
	    cmocka_unit_test_setup_teardown(test_full_disk, make_home, drop_home),
	    cmocka_unit_test_setup_teardown(test_no_place, make_home, drop_home),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
