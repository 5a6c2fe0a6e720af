/* SPDX-License-Identifier: ISC */
/*
 * lib/sandbox: in a process of its own, each profile allows what its role lives by, refuses the
 * rest with EPERM and a count, and dies of what has no innocent use.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/counters.h"
#include "lib/log.h"
#include "lib/loop.h"
#include "lib/sandbox.h"

#define P(role) (1u << SANDBOX_##role)
#define ALL     ((1u << SANDBOX_PROFILES) - 1)

static int file = -1; /* a regular file of 8 KiB, open for reading and writing */
static char path[] = "/tmp/baton-sandbox-XXXXXX";

/* -- attempts: 0 or the errno ------------------------------------------------------------- */

static int did(long result)
{
	return result < 0 ? errno : 0;
}

static void *add_one(void *arg)
{
	++*(int *)arg;
	return NULL;
}

static int try_thread(void)
{
	pthread_t t;
	int n = 0;
	int e = pthread_create(&t, NULL, add_one, &n);
	return e ? e : (pthread_join(t, NULL), n == 1 ? 0 : EIO);
}

static int try_memory(void)
{
	void *p = malloc(4 << 20);
	if (!p)
		return errno;
	memset(p, 1, 4 << 20);
	p = realloc(p, 16 << 20);
	free(p);
	return p ? 0 : ENOMEM;
}

static int try_code(void)
{
	void *p = mmap(
	    NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	return p == MAP_FAILED ? errno : 0;
}

static int try_file_map(void)
{
	void *p = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
	return p == MAP_FAILED ? errno : 0;
}

static int try_read_file(void)
{
	char c;
	return did(pread(file, &c, 1, 0));
}

static int try_write_file(void)
{
	return did(pwrite(file, "x", 1, 0));
}

static int try_sync(void)
{
	return did(fdatasync(file));
}

static int try_truncate(void)
{
	return did(ftruncate(file, 4096));
}

static int try_fallocate(void)
{
	return did(fallocate(file, 0, 0, 4096));
}

static int try_open_read(void)
{
	return did(open(path, O_RDONLY | O_CLOEXEC));
}

static int try_open_write(void)
{
	return did(open(path, O_RDWR | O_CLOEXEC));
}

static int try_create(void)
{
	return did(open(path, O_RDONLY | O_CREAT, 0600));
}

static int try_unlink(void)
{
	return unlink("/tmp/baton-sandbox-no-such-file") < 0 && errno == ENOENT ? 0 : errno;
}

static int try_socket_unix(void)
{
	return did(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
}

static int try_socket_inet(void)
{
	return did(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
}

static int try_socket_raw(void)
{
	return did(socket(AF_NETLINK, SOCK_RAW, 0));
}

static int try_accept(void)
{
	return accept4(file, NULL, NULL, 0) < 0 && errno == ENOTSOCK ? 0 : errno;
}

static int try_signal_parent(void)
{
	return did(kill(getppid(), 0));
}

static int try_fork(void)
{
	pid_t pid = fork();
	if (pid == 0)
		_exit(0);
	return did(pid);
}

static int try_chmod(void)
{
	return did(chmod(path, 0600));
}

/* -- what each profile says to them ---------------------------------------------------------- */

static const struct {
	const char *name;
	int (*run)(void);
	unsigned allowed; /* profiles in which it works; EPERM in all others */
} attempts[] = {
    {"thread", try_thread, ALL},
    {"memory", try_memory, ALL},
    {"read file", try_read_file, ALL},
    {"write file", try_write_file, P(SMTPD) | P(QMGR) | P(DNSCACHE) | P(KEEPER)},
    {"writable code", try_code, 0},
    {"map file for writing", try_file_map, P(QMGR)},
    {"sync", try_sync, P(SMTPD) | P(QMGR) | P(KEEPER)},
    {"truncate", try_truncate, P(QMGR) | P(KEEPER)},
    {"fallocate", try_fallocate, P(QMGR)},
    {"open for reading", try_open_read, P(QMGR) | P(KEEPER)},
    {"open for writing", try_open_write, P(QMGR) | P(KEEPER)},
    {"create", try_create, P(QMGR) | P(KEEPER)},
    {"unlink", try_unlink, P(QMGR) | P(KEEPER)},
    {"socket unix", try_socket_unix, P(KEEPER)},
    {"socket inet", try_socket_inet, P(DELIVER) | P(DNSCACHE)},
    {"socket netlink", try_socket_raw, 0},
    {"accept", try_accept, P(SMTPD) | P(QMGR) | P(DNSCACHE)},
    {"signal to another", try_signal_parent, 0},
    {"fork", try_fork, 0},
    {"chmod", try_chmod, 0},
};
#define ATTEMPTS (sizeof(attempts) / sizeof(attempts[0]))

/* unexpected - what doesn't go as the table says, in this process, now sandboxed */
static int unexpected(enum sandbox_profile profile)
{
	if (sandbox_enter(profile) != 0)
		return 100;
	for (size_t i = 0; i < ATTEMPTS; i++) {
#ifdef BATON_SANITIZE
		if (attempts[i].run == try_code || attempts[i].run == try_file_map ||
		    attempts[i].run == try_open_read || attempts[i].run == try_signal_parent)
			continue; /* given to the sanitizer's runtime */
#endif
		uint64_t before = counter_read(counters_mine, C_sandbox_refused);
		int want = attempts[i].allowed & (1u << profile) ? 0 : EPERM;
		int e = attempts[i].run();
		if (e != want ||
		    (want && counter_read(counters_mine, C_sandbox_refused) == before)) {
			dprintf(
			    2, "profile %d: %s: %s\n", (int)profile, attempts[i].name, strerror(e));
			return (int)i + 1;
		}
	}
	return 0;
}

/* status_of - the wait status of a child that runs in the profile */
static int status_of(enum sandbox_profile profile, int (*run)(enum sandbox_profile))
{
	pid_t pid = fork();
	assert_true(pid >= 0);
	if (pid == 0)
		_exit(run(profile));
	int status;
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return status;
}

static void test_profiles(void **state)
{
	(void)state;
	for (int p = 0; p < SANDBOX_PROFILES; p++)
		assert_int_equal(status_of((enum sandbox_profile)p, unexpected), 0);
}

/* -- calls that kill --------------------------------------------------------------------------- */

static int run_exec(enum sandbox_profile profile)
{
	if (sandbox_enter(profile) != 0)
		return 100;
	execl("/bin/true", "true", (char *)NULL);
	return 1;
}

static int run_ptrace(enum sandbox_profile profile)
{
	if (sandbox_enter(profile) != 0)
		return 100;
	ptrace(PTRACE_TRACEME, 0, NULL, NULL);
	return 1;
}

static int run_bpf(enum sandbox_profile profile)
{
	if (sandbox_enter(profile) != 0)
		return 100;
	syscall(SYS_bpf, 0, NULL, 0);
	return 1;
}

static int run_abort(enum sandbox_profile profile)
{
	if (sandbox_enter(profile) != 0)
		return 100;
	abort();
}

static void test_killing(void **state)
{
	(void)state;
	int (*runs[])(enum sandbox_profile) = {run_exec, run_ptrace, run_bpf};
	for (int p = 0; p < SANDBOX_PROFILES; p++) {
		for (int i = 0; i < 3; i++) {
			int status = status_of((enum sandbox_profile)p, runs[i]);
			assert_true(WIFSIGNALED(status));
			assert_int_equal(WTERMSIG(status), SIGSYS);
		}
		int status = status_of((enum sandbox_profile)p, run_abort);
		assert_true(WIFSIGNALED(status));
		assert_int_equal(WTERMSIG(status), SIGABRT);
	}
}

/* -- threads that were there before ------------------------------------------------------------ */

static int go[2];

static void *open_later(void *arg)
{
	char c;
	if (read(go[0], &c, 1) != 1)
		return arg;
	*(int *)arg = open("/tmp/baton-sandbox-no-such-file", O_WRONLY) < 0 ? errno : 0;
	return NULL;
}

static int run_thread_before(enum sandbox_profile profile)
{
	pthread_t t;
	int e = 0;
	if (pipe(go) != 0 || pthread_create(&t, NULL, open_later, &e) != 0 ||
	    sandbox_enter(profile) != 0 || write(go[1], "x", 1) != 1)
		return 100;
	pthread_join(t, NULL);
	return e == EPERM ? 0 : 1;
}

static void test_older_threads(void **state)
{
	(void)state;
	assert_int_equal(status_of(SANDBOX_SMTPD, run_thread_before), 0);
	assert_int_equal(sandbox_enter(SANDBOX_PROFILES), -EINVAL);
}

/* -- what the log says ------------------------------------------------------------------------ */

static int run_logged(enum sandbox_profile profile)
{
	int pipes[2];
	char text[1024];
	if (pipe(pipes) != 0 || dup2(pipes[1], 2) != 2)
		return 1;
	log_open(2, LOG_TO_STDERR, "test", 0);
	loop_init();
	if (sandbox_enter(profile) != 0)
		return 2;
	for (int i = 0; i < 3; i++)
		if (mkdir("/tmp/baton-sandbox-never", 0700) == 0 || errno != EPERM)
			return 3;
	loop_turn();
	ssize_t n = read(pipes[0], text, sizeof(text) - 1);
	text[n > 0 ? n : 0] = '\0';
	char *said = strstr(text, "sandbox: system call mkdir (");
	return said && !strstr(said + 1, "sandbox:") ? 0 : 4; /* once, not thrice */
}

static void test_logged_once(void **state)
{
	(void)state;
	assert_int_equal(status_of(SANDBOX_DNSCACHE, run_logged), 0);
}

/* -- files below one folder -----------------------------------------------------------------------
 */

static char below[] = "/tmp/baton-below-XXXXXX";

static int run_below(enum sandbox_profile profile)
{
	char name[64];
	snprintf(name, sizeof(name), "%s/file", below);
	int e = sandbox_only_below(below);
	if (e == -EOPNOTSUPP)
		return 0; /* this kernel has no Landlock: nothing to show */
	if (e != 0 || sandbox_enter(profile) != 0)
		return 2;
	int fd = open(name, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (fd < 0 || write(fd, "x", 1) != 1 || ftruncate(fd, 0) != 0 || unlink(name) != 0)
		return 3;
	if (open("/etc/passwd", O_RDONLY) >= 0 || errno != EACCES)
		return 4;
	if (open(path, O_RDWR) >= 0 || unlink(path) == 0)
		return 5;
	return pread(file, name, 1, 0) == 1 ? 0 : 6; /* what is open stays open */
}

static void test_only_below(void **state)
{
	(void)state;
	memcpy(strrchr(below, '-') + 1, "XXXXXX", 6);
	assert_non_null(mkdtemp(below));
	int status = status_of(SANDBOX_QMGR, run_below);
	assert_int_equal(rmdir(below), 0);
	assert_int_equal(status, 0);
	assert_int_equal(sandbox_only_below("/tmp/baton-no-such-folder"), -ENOENT);
}

static int run_write_below(enum sandbox_profile profile)
{
	char name[64];
	snprintf(name, sizeof(name), "%s/file", below);
	int e = sandbox_write_only_below(below);
	if (e == -EOPNOTSUPP)
		return 0;
	if (e != 0 || sandbox_enter(profile) != 0)
		return 2;
	int fd = open(name, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (fd < 0 || write(fd, "x", 1) != 1 || ftruncate(fd, 0) != 0 || unlink(name) != 0)
		return 3;
	if (open("/etc/passwd", O_RDONLY | O_CLOEXEC) < 0)
		return 4;
	return open(path, O_RDWR) >= 0 || errno != EACCES || unlink(path) == 0 ? 5 : 0;
}

static void test_write_only_below(void **state)
{
	(void)state;
	memcpy(strrchr(below, '-') + 1, "XXXXXX", 6);
	assert_non_null(mkdtemp(below));
	int status = status_of(SANDBOX_KEEPER, run_write_below);
	assert_int_equal(rmdir(below), 0);
	assert_int_equal(status, 0);
}

static int make_file(void **state)
{
	(void)state;
	file = mkstemp(path);
	return file >= 0 && ftruncate(file, 8192) == 0 ? 0 : -1;
}

static int remove_file(void **state)
{
	(void)state;
	close(file);
	return unlink(path);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_profiles),
	    cmocka_unit_test(test_killing),
	    cmocka_unit_test(test_older_threads),
	    cmocka_unit_test(test_logged_once),
	    cmocka_unit_test(test_only_below),
	    cmocka_unit_test(test_write_only_below),
	};
	return cmocka_run_group_tests_name("sandbox", tests, make_file, remove_file);
}
