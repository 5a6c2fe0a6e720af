/* SPDX-License-Identifier: ISC */
/*
 * Everything that can fail is done before fork(); the child only moves descriptors and execs, and
 * what goes wrong there ends with 111, which master answers with back-off.
 *
 * As root a child gets an environment of our own making. As an ordinary user it inherits the
 * user's, so that what he started baton with (a sanitizer's options, a faked clock) holds for all.
 */
#include "master/spawn.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/answers.h"
#include "lib/board.h"
#include "lib/child.h"
#include "lib/log.h"
#include "lib/priv.h"
#include "lib/tally.h"

enum { FD_LOW = 16, ENV_MAX = 16, TEXT_MAX = PATH_MAX + 32 };

static char libexec[PATH_MAX];
static int null_fd = -1, lock = -1, log_fd = -1, tally_fd = -1, board_fd = -1, reader_fd = -1;
static struct board *board;
static int answers_fd = -1, answers_reader_fd = -1;
static enum log_target log_target;
static char chroot_to[PATH_MAX];

extern char **environ;

/* spawn_high_fd - the same descriptor with a number no child's can have */
int spawn_high_fd(int fd)
{
	int high = fcntl(fd, F_DUPFD_CLOEXEC, FD_LOW);
	if (fd > STDERR_FILENO)
		close(fd);
	return high;
}

/* find_libexec - ../libexec/baton as seen from our own program */
static int find_libexec(void)
{
	char self[PATH_MAX - 32];
	ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);
	if (n < 0)
		return -errno;
	self[n] = '\0';
	for (int up = 0; up < 2; up++) {
		char *slash = strrchr(self, '/');
		if (!slash)
			return -ENOENT;
		*slash = '\0';
	}
	snprintf(libexec, sizeof(libexec), "%s/libexec/baton", self);
	return access(libexec, X_OK) == 0 ? 0 : -errno;
}

/* spawn_init - what all children will need */
int spawn_init(int lock_fd)
{
	int e = find_libexec();
	if (e)
		return e;
	/* the numbers below FD_LOW stay free of ours from now on */
	null_fd = open("/dev/null", O_RDWR | O_CLOEXEC);
	if (null_fd < 0)
		return -errno;
	null_fd = spawn_high_fd(null_fd);
	lock = spawn_high_fd(lock_fd);
	if (null_fd < 0 || lock < 0)
		return -errno;
	tally_fd = tally_create();
	if (tally_fd < 0)
		return tally_fd;
	board = board_create(&board_fd, &reader_fd);
	if (!board)
		return -errno;
	tally_fd = spawn_high_fd(tally_fd);
	board_fd = spawn_high_fd(board_fd);
	reader_fd = spawn_high_fd(reader_fd);
	if (tally_fd < 0 || board_fd < 0 || reader_fd < 0)
		return -errno;
	e = answers_create(&answers_fd, &answers_reader_fd);
	if (e)
		return e;
	answers_fd = spawn_high_fd(answers_fd);
	answers_reader_fd = spawn_high_fd(answers_reader_fd);
	return answers_fd < 0 || answers_reader_fd < 0 ? -errno : 0;
}

/* spawn_board - master's mapping of it */
struct board *spawn_board(int *reader)
{
	if (reader)
		*reader = reader_fd;
	return board;
}

/* shared_fd - CHILD_SHARED of a role */
static int shared_fd(enum role role)
{
	switch (role) {
	case ROLE_SMTPD:
		return tally_fd;
	case ROLE_DNSCACHE:
		return answers_fd;
	case ROLE_QMGR:
	case ROLE_DELIVER:
		return answers_reader_fd;
	default:
		return null_fd;
	}
}

/* spawn_ended - what the workers share must not go on counting it */
void spawn_ended(const struct place *place)
{
	if (place->service->role == ROLE_SMTPD)
		tally_forget(tally_fd, place->instance);
}

/* spawn_set_log - where children log to */
void spawn_set_log(int fd, enum log_target target)
{
	if (log_fd >= 0)
		close(log_fd);
	log_fd = spawn_high_fd(fd);
	log_target = target;
}

/* spawn_program - the path of a program */
const char *spawn_program(const char *name)
{
	static char path[PATH_MAX + 64];
	snprintf(path, sizeof(path), "%s/%s", libexec, name);
	return path;
}

/* spawn_set_chroot - the empty folder */
void spawn_set_chroot(const char *path)
{
	snprintf(chroot_to, sizeof(chroot_to), "%s", path);
}

/* spawn_reset_signals - as a program expects them */
void spawn_reset_signals(void)
{
	sigset_t none;
	for (int sig = 1; sig < NSIG; sig++)
		if (sig != SIGKILL && sig != SIGSTOP)
			signal(sig, SIG_DFL);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
}

/* spawn_fork - no handler of ours runs in the child */
pid_t spawn_fork(void)
{
	sigset_t all, old;
	log_flush(); /* or its lines would be written twice */
	sigfillset(&all);
	sigprocmask(SIG_BLOCK, &all, &old);
	pid_t pid = fork();
	if (pid != 0) {
		int e = errno;
		sigprocmask(SIG_SETMASK, &old, NULL);
		errno = e;
	}
	return pid;
}

/* Texts of an environment under construction. */
struct environment {
	char text[ENV_MAX][TEXT_MAX];
	size_t n;
};

/* put_env - one variable */
static void put_env(struct environment *env, const char *name, const char *value)
{
	if (env->n < ENV_MAX)
		snprintf(env->text[env->n++], TEXT_MAX, "%s=%s", name, value);
}

/* fill_env - what lib/child.h promises */
static void fill_env(struct environment *env, const struct place *place)
{
	const struct service *service = place->service;
	char number[32];
	const char *tz = getenv("TZ");
	env->n = 0;
	put_env(env, "TZ", tz && *tz ? tz : ":/etc/localtime");
	put_env(env, "BATON_LOG", log_target_name(log_target));
	snprintf(number, sizeof(number), "%u", place->page);
	put_env(env, "BATON_PAGE", number);
	if (!priv_is_root())
		return;
	struct service_user user = service_user(service);
	put_env(env, "BATON_USER", service->user);
	snprintf(number, sizeof(number), "%lu", (unsigned long)user.uid);
	put_env(env, "BATON_UID", number);
	snprintf(number, sizeof(number), "%lu", (unsigned long)user.gid);
	put_env(env, "BATON_GID", number);
	put_env(env, "BATON_CHROOT", chroot_to);
	static const char *const sanitizers[] = {"ASAN_OPTIONS", "UBSAN_OPTIONS", "LSAN_OPTIONS"};
	for (size_t i = 0; i < sizeof(sanitizers) / sizeof(sanitizers[0]); i++)
		if (getenv(sanitizers[i]))
			put_env(env, sanitizers[i], getenv(sanitizers[i]));
}

/* become_program - in the child: fixed descriptors, environment, exec; never returns */
static void become_program(
    const struct place *place, char **argv, struct environment *env, int chan)
{
	const char *path = spawn_program(place->service->program);
	const int fds[CHILD_FD_FIRST_FREE] = {[0] = null_fd,
	    [1] = null_fd,
	    [CHILD_LOG] = log_fd,
	    [CHILD_MASTER] = chan,
	    [CHILD_LOCK] = lock,
	    [CHILD_COUNTERS] = board_fd,
	    [CHILD_SHARED] = shared_fd(place->service->role),
	    [CHILD_BOARD] = place->service->role == ROLE_SMTPD ? reader_fd : null_fd,
	    [CHILD_EVENTS] = place->events_fd >= 0 ? place->events_fd : null_fd};
	char *list[ENV_MAX + 1] = {NULL};

	spawn_reset_signals();
	for (int fd = 0; fd < CHILD_FD_FIRST_FREE; fd++)
		if (dup2(fds[fd], fd) != fd)
			_exit(EXIT_TEMPORARY);
	if (close_range(CHILD_FD_FIRST_FREE, ~0u, 0) != 0)
		_exit(EXIT_TEMPORARY);
	for (size_t i = 0; i < env->n; i++)
		list[i] = env->text[i];
	if (priv_is_root()) {
		execve(path, argv, list);
	} else {
		for (size_t i = 0; i < env->n; i++)
			putenv(list[i]);
		execve(path, argv, environ);
	}
	dprintf(CHILD_LOG, "baton: %s: %s\n", path, strerror(errno));
	_exit(errno == ENOENT ? EXIT_USAGE : EXIT_TEMPORARY);
}

/* spawn_child - a process for that place */
int spawn_child(struct place *place, int *chan_fd)
{
	static struct environment env;
	char number[16];
	char *argv[] = {(char *)place->service->program, number, NULL};
	int pair[2];

	snprintf(number, sizeof(number), "%u", place->instance);
	fill_env(&env, place);
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) != 0)
		return -errno;
	/* as everything that become_program() moves: above the numbers it moves to */
	pair[0] = spawn_high_fd(pair[0]);
	pair[1] = spawn_high_fd(pair[1]);
	pid_t pid = pair[0] < 0 || pair[1] < 0 ? -1 : spawn_fork();
	int e = pid < 0 ? -errno : 0;
	if (pid == 0)
		become_program(place, argv, &env, pair[1]);
	if (pair[1] >= 0)
		close(pair[1]);
	if (e) {
		if (pair[0] >= 0)
			close(pair[0]);
		return e;
	}
	place->pid = pid;
	*chan_fd = pair[0];
	return 0;
}
