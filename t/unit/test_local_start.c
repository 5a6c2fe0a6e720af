/* SPDX-License-Identifier: ISC */
/*
 * master/mailbox: an order becomes a process of the recipient's user that runs libexec/baton/local
 * of this build, or a line that says why not. As root the mail is nobody's, else our own.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <dirent.h>
#include <fcntl.h>
#include <pwd.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/local.h"
#include "lib/loop.h"
#include "lib/priv.h"
#include "master/mailbox.h"
#include "master/reap.h"
#include "master/spawn.h"

static char dir[] = "/tmp/baton-local-XXXXXX";
static bool made; /* dir is there: its name may end in any letter */
static char mailbox[64];
static const struct passwd *who;

/* order - one delivery of `text` announced as `len` bytes; the result line */
static const char *order(
    const char *user, uint8_t kind, const char *where, const char *text, size_t len)
{
	static char line[LOCAL_RESULT_MAX + 1];
	int content[2], result[2];
	union msg_any msg = {0};
	assert_int_equal(pipe2(content, O_CLOEXEC), 0);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, result), 0);
	unsigned char head[LOCAL_LENGTH_BYTES];
	for (int i = 0; i < LOCAL_LENGTH_BYTES; i++)
		head[i] = (unsigned char)(len >> (56 - 8 * i));
	assert_int_equal(write(content[1], head, sizeof(head)), sizeof(head));
	assert_int_equal(write(content[1], text, strlen(text)), strlen(text));
	close(content[1]);
	msg.qmgr_local = (struct msg_qmgr_local){.user = msg_str(user),
	    .kind = kind,
	    .mailbox = msg_str(where),
	    .sender = msg_str("a@example.org"),
	    .recipient = msg_str("b@example.org"),
	    .pipe = content[0],
	    .result = result[1]};
	mailbox_order(NULL, &msg, NULL);
	close(content[0]);
	close(result[1]);
	size_t n = 0;
	ssize_t got;
	while ((got = read(result[0], line + n, LOCAL_RESULT_MAX - n)) > 0)
		n += (size_t)got;
	line[n] = '\0';
	close(result[0]);
	while (mailbox_running() > 0)
		loop_turn();
	return line;
}

/* delivered - files in the Maildir, the owner of the last one in *uid */
static int delivered(uid_t *uid)
{
	char path[512];
	struct stat st;
	int n = 0;
	snprintf(path, sizeof(path), "%s/new", mailbox);
	DIR *d = opendir(path);
	for (struct dirent *e; d && (e = readdir(d));) {
		if (e->d_name[0] == '.')
			continue;
		n++;
		snprintf(path, sizeof(path), "%s/new/%s", mailbox, e->d_name);
		assert_int_equal(stat(path, &st), 0);
		*uid = st.st_uid;
	}
	if (d)
		closedir(d);
	return n;
}

static void test_delivery(void **state)
{
	(void)state;
	uid_t uid = 0;
	const char *r = order(who->pw_name, LOCAL_MAILDIR, mailbox, "Subject: x\r\n\r\ny\r\n", 17);
	assert_int_equal(strncmp(r, "250 2.", 6), 0);
	assert_int_equal(delivered(&uid), 1);
	assert_int_equal(uid, who->pw_uid);
	/* shorter than announced: nothing is delivered */
	r = order(who->pw_name, LOCAL_MAILDIR, mailbox, "Subject: x\r\n", 17);
	assert_int_equal(r[0], '4');
	assert_int_equal(delivered(&uid), 1);
}

static void test_refusals(void **state)
{
	(void)state;
	static char longname[5000];
	memset(longname, 'x', sizeof(longname) - 1);
	assert_string_equal(
	    order("no-such-user-here", LOCAL_MAILDIR, mailbox, "x", 1), "550 5.1.1 no such user\n");
	assert_int_equal(strncmp(order(who->pw_name, 9, mailbox, "x", 1), "451 4.3.5", 9), 0);
	assert_int_equal(strncmp(order(longname, LOCAL_MBOX, mailbox, "x", 1), "451 4.3.5", 9), 0);
	assert_int_equal(strncmp(order("", LOCAL_MBOX, mailbox, "x", 1), "451 4.3.5", 9), 0);
	uid_t uid;
	assert_int_equal(delivered(&uid), 1);
}

/* one that reads for ever: as many as may be, then no more; they end with master */
static void test_bound(void **state)
{
	(void)state;
	int content[2], result[2];
	char line[LOCAL_RESULT_MAX];
	union msg_any msg = {0};
	assert_int_equal(pipe2(content, O_CLOEXEC), 0);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, result), 0);
	msg.qmgr_local = (struct msg_qmgr_local){.user = msg_str(who->pw_name),
	    .kind = LOCAL_MAILDIR,
	    .mailbox = msg_str(mailbox),
	    .sender = msg_str(""),
	    .recipient = msg_str("b@example.org"),
	    .pipe = content[0],
	    .result = result[1]};
	for (int i = 0; i < MAILBOX_RUNNING_MAX; i++)
		mailbox_order(NULL, &msg, NULL);
	assert_int_equal(mailbox_running(), MAILBOX_RUNNING_MAX);
	mailbox_order(NULL, &msg, NULL);
	ssize_t n = read(result[0], line, sizeof(line));
	assert_true(n > 9 && strncmp(line, "451 4.3.2", 9) == 0);
	assert_int_equal(mailbox_running(), MAILBOX_RUNNING_MAX);
	mailbox_stop();
	while (mailbox_running() > 0)
		loop_turn();
	close(content[0]);
	close(content[1]);
	close(result[0]);
	close(result[1]);
}

static int start(void **state)
{
	(void)state;
	who = priv_is_root() ? getpwnam("nobody") : getpwuid(getuid());
	if (!who || (!made && !mkdtemp(dir)) || chmod(dir, 0777) != 0)
		return -1;
	snprintf(mailbox, sizeof(mailbox), "%s/Maildir", dir);
	loop_init();
	reap_init();
	return spawn_init(open("/dev/null", O_RDONLY | O_CLOEXEC));
}

static int finish(void **state)
{
	(void)state;
	char command[128];
	snprintf(command, sizeof(command), "rm -rf %s", dir);
	return system(command);
}

/* The tree may lie in a folder that nobody can enter, such as root's own: go on in a copy. */
static void go_on_in_a_copy(void)
{
	char exe[512], command[2048], copy[64];
	ssize_t n = readlink("/proc/self/exe", exe, sizeof(exe) - 1);
	if (n <= 0 || !mkdtemp(dir))
		return;
	made = true;
	exe[n] = '\0';
	snprintf(copy, sizeof(copy), "%s/unit/test_local_start", dir);
	snprintf(command, sizeof(command),
	    "chmod 755 %s && install -D %s %s && install -D $(dirname %s)/../libexec/baton/local "
	    "%s/libexec/baton/local",
	    dir, exe, copy, exe, dir);
	if (system(command) == 0)
		execl(copy, copy, dir, NULL);
}

int main(int argc, char **argv)
{
	if (argc > 1) {
		snprintf(dir, sizeof(dir), "%s", argv[1]);
		made = true;
	} else if (priv_is_root()) {
		go_on_in_a_copy();
	}
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_delivery),
	    cmocka_unit_test(test_refusals),
	    cmocka_unit_test(test_bound),
	};
	return cmocka_run_group_tests_name("local_start", tests, start, finish);
}
