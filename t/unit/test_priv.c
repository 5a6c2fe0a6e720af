/* SPDX-License-Identifier: ISC */
/* lib/priv: root is gone for ever (as root), and nobody without root can change (as a user). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/priv.h"

/* in_child - what `run` returns in a process of its own */
static int in_child(int (*run)(void))
{
	pid_t pid = fork();
	assert_true(pid >= 0);
	if (pid == 0)
		_exit(run());
	int status;
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

/* drop - as root: become 65534 with two groups and look; as a user: be refused */
static int drop(void)
{
	const gid_t groups[] = {65534, 8};
	bool root = priv_is_root();
	int e = priv_drop(65534, 65534, groups, 2);
	if (!root)
		return e == -EPERM ? 0 : 1;
	if (e != 0 || getuid() != 65534 || getegid() != 65534 || getgroups(0, NULL) != 2)
		return 2;
	return setuid(0) == 0 || setgid(0) == 0 || setgroups(0, NULL) == 0 ? 3 : 0;
}

/* drop_without_groups - root's own groups don't stay */
static int drop_without_groups(void)
{
	if (!priv_is_root())
		return 0;
	if (priv_drop(65534, 65534, NULL, 0) != 0)
		return 1;
	return getgroups(0, NULL) == 0 ? 0 : 2;
}

static void test_drop(void **state)
{
	(void)state;
	assert_int_equal(in_child(drop), 0);
	assert_int_equal(in_child(drop_without_groups), 0);
	assert_int_equal(priv_drop(0, 5, NULL, 0), -EINVAL);
	assert_int_equal(priv_drop((uid_t)-1, 5, NULL, 0), -EINVAL);
}

/* locked_in - "/" is the empty folder, and nothing above it can be reached */
static int locked_in(void)
{
	char dir[] = "/tmp/baton-priv-XXXXXX";
	if (!mkdtemp(dir))
		return 1;
	bool root = priv_is_root();
	int e = priv_chroot(dir);
	if (!root) {
		rmdir(dir);
		return e == -EPERM ? 0 : 2;
	}
	if (e != 0)
		return 3;
	return access("/tmp", F_OK) == 0 || access("../tmp", F_OK) == 0 ? 4 : 0;
}

static void test_chroot(void **state)
{
	(void)state;
	assert_int_equal(in_child(locked_in), 0);
	assert_int_equal(priv_chroot("/nonexistent"), -ENOENT);
}

static void test_fd_limit(void **state)
{
	(void)state;
	unsigned long n = priv_raise_fd_limit();
	assert_true(n >= 256);
	assert_int_equal(priv_raise_fd_limit(), n);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_drop),
	    cmocka_unit_test(test_chroot),
	    cmocka_unit_test(test_fd_limit),
	};
	return cmocka_run_group_tests_name("priv", tests, NULL, NULL);
}
