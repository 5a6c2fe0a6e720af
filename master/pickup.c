/* SPDX-License-Identifier: ISC */
/*
 * The child is as short as it can be: it moves two descriptors, becomes the owner for ever and
 * execs. It asks no name service: user and group are the file's, so the groups it has are that one.
 */
#include "master/pickup.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sysexits.h>
#include <unistd.h>
#include <utlist.h>

#include "lib/log.h"
#include "lib/loop.h"
#include "lib/priv.h"
#include "lib/str.h"
#include "master/config.h"
#include "master/drop.h"
#include "master/spawn.h"

enum { ENV_TEXT = 300 };

static struct pickup *running;

/* take_descriptors - those of the contract and no other */
static void take_descriptors(int file, int reason)
{
	int null = open("/dev/null", O_RDWR);
	/* both above what they are moved to */
	int in = fcntl(file, F_DUPFD, DROP_REASON_FD + 1);
	int out = fcntl(reason, F_DUPFD, DROP_REASON_FD + 1);

	if (null < 0 || in < 0 || out < 0 || dup2(in, DROP_FILE_FD) < 0 ||
	    dup2(null, STDOUT_FILENO) < 0 || dup2(out, DROP_REASON_FD) < 0 ||
	    close_range(DROP_REASON_FD + 1, ~0u, 0) != 0)
		_exit(EX_OSERR);
	fcntl(DROP_FILE_FD, F_SETFL, 0);
}

/* become - in the child: the owner, then the program; never returns */
static void become(int file, int reason, const struct stat *st)
{
	static char env[3][ENV_TEXT];
	const char *tz = getenv("TZ"), *asan = getenv("ASAN_OPTIONS");
	char *argv[DROP_ARGS + 1] = {[DROP_ARG_NAME] = DROP_PROGRAM,
	    [DROP_ARG_RUNTIME] = config_now()->runtime,
	    [DROP_ARG_HOSTNAME] = config_now()->hostname};

	spawn_reset_signals();
	setsid();
	umask(077);
	take_descriptors(file, reason);
	snprintf(env[0], ENV_TEXT, "PATH=/usr/local/bin:/usr/bin:/bin");
	snprintf(env[1], ENV_TEXT, "TZ=%s", tz && *tz ? tz : ":/etc/localtime");
	snprintf(env[2], ENV_TEXT, "ASAN_OPTIONS=%s", asan ? asan : "");
	char *envp[] = {env[0], env[1], asan ? env[2] : NULL, NULL};
	if (priv_is_root() && st->st_uid != 0 &&
	    priv_drop(st->st_uid, st->st_gid, &st->st_gid, 1) != 0)
		_exit(EX_TEMPFAIL);
	/* whatever happens to master: no second one is at work on the file after its restart */
	if (prctl(PR_SET_PDEATHSIG, SIGKILL) != 0 || chdir("/") != 0)
		_exit(EX_TEMPFAIL);
	execve(spawn_program(DROP_PROGRAM), argv, envp);
	_exit(EX_TEMPFAIL);
}

/* on_timeout - it has had its time */
static void on_timeout(evutil_socket_t fd, short what, void *arg)
{
	const struct pickup *p = arg;

	(void)fd, (void)what;
	log_warnx("the dropped file %s takes longer than %d s: its process is killed", p->name,
	    DROP_TIME_MAX_S);
	kill(p->pid, SIGKILL);
}

/* open_file - the file that was looked at, and no other; -E... */
static int open_file(int folder, const char *name, const struct stat *st)
{
	struct stat now;
	/* O_NONBLOCK: a lease of its owner's must not keep us waiting */
	int fd = openat(folder, name, O_RDWR | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);

	if (fd < 0)
		return -errno;
	if (fstat(fd, &now) != 0 || now.st_ino != st->st_ino || now.st_dev != st->st_dev ||
	    now.st_uid != st->st_uid || now.st_nlink != 1 || !S_ISREG(now.st_mode)) {
		close(fd);
		return -ESTALE;
	}
	return fd;
}

/* new_pickup - the record, its timer set; NULL: no memory */
static struct pickup *new_pickup(const char *name, const struct stat *st)
{
	const struct timeval limit = {DROP_TIME_MAX_S, 0};
	struct pickup *p = calloc(1, sizeof(*p));

	if (!p)
		return NULL;
	p->reason_fd = -1;
	p->uid = st->st_uid;
	p->ino = st->st_ino;
	p->timer = evtimer_new(loop_base(), on_timeout, p);
	if (!p->timer || evtimer_add(p->timer, &limit) != 0 ||
	    str_copy(p->name, sizeof(p->name), name) != 0) {
		pickup_free(p);
		return NULL;
	}
	return p;
}

/* pickup_start - fork and exec */
int pickup_start(int folder, const char *name, const struct stat *st)
{
	int reason[2] = {-1, -1}, e = -EAGAIN, file = open_file(folder, name, st);
	struct pickup *p = NULL;

	if (file < 0)
		return file == -EMFILE || file == -ENFILE ? -EAGAIN : file;
	if (pipe2(reason, O_CLOEXEC) != 0 || fcntl(reason[0], F_SETFL, O_NONBLOCK) != 0)
		goto out;
	p = new_pickup(name, st);
	if (!p)
		goto out;
	p->pid = spawn_fork();
	if (p->pid == 0)
		become(file, reason[1], st);
	if (p->pid < 0)
		goto out;
	p->reason_fd = reason[0];
	reason[0] = -1;
	LL_PREPEND(running, p);
	p = NULL;
	e = 0;
out:
	pickup_free(p);
	for (int i = 0; i < 2; i++)
		if (reason[i] >= 0)
			close(reason[i]);
	close(file);
	return e;
}

/* pickup_of - whether a file is in hand */
bool pickup_of(const char *name)
{
	const struct pickup *p;

	LL_FOREACH (running, p)
		if (strcmp(p->name, name) == 0)
			return true;
	return false;
}

/* pickup_running - of a user or in all */
unsigned pickup_running(uid_t uid)
{
	const struct pickup *p;
	unsigned n = 0;

	LL_FOREACH (running, p)
		n += uid == (uid_t)-1 || p->uid == uid;
	return n;
}

/* pickup_ended - with its last words, up to the end of their first line */
struct pickup *pickup_ended(pid_t pid)
{
	struct pickup *p;

	LL_SEARCH_SCALAR(running, p, pid, pid);
	if (!p)
		return NULL;
	LL_DELETE(running, p);
	ssize_t n = read(p->reason_fd, p->reason, DROP_REASON_MAX);
	p->reason[n > 0 ? n : 0] = '\0';
	p->reason[strcspn(p->reason, "\n")] = '\0';
	return p;
}

/* pickup_free - the record */
void pickup_free(struct pickup *p)
{
	if (!p)
		return;
	if (p->timer)
		event_free(p->timer);
	if (p->reason_fd >= 0)
		close(p->reason_fd);
	free(p);
}

/* pickup_unchanged - the same file under the same name */
bool pickup_unchanged(int folder, const struct pickup *p)
{
	struct stat st;

	return fstatat(folder, p->name, &st, AT_SYMLINK_NOFOLLOW) == 0 && st.st_ino == p->ino &&
	       S_ISREG(st.st_mode);
}

/* pickup_postpone - by its time of change */
void pickup_postpone(int folder, const char *name, time_t seconds)
{
	const struct timespec when = {time(NULL) + seconds, 0};
	const struct timespec times[2] = {{.tv_nsec = UTIME_OMIT}, when};

	if (utimensat(folder, name, times, AT_SYMLINK_NOFOLLOW) != 0 && errno != ENOENT)
		log_warn("cannot postpone the dropped file %.64s", name);
}
