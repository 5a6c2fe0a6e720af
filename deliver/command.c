/* SPDX-License-Identifier: ISC */
/*
 * The command is a process group of its own, so that its time limit ends what it started too. What
 * it leaves running behind when it ends in time is its own business: only its own end is waited
 * for, not that of its output.
 */
#include "deliver/command.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/pidfd.h>
#include <sys/wait.h>
#include <sysexits.h>
#include <unistd.h>

#include "lib/addr_param.h"
#include "lib/clock.h"

#define ENV_MAX      16
#define ENV_TEXT     1100
#define SPOOL_FOLDER "/tmp"

/* The last bytes of what it wrote. */
struct said {
	size_t len;
	char text[COMMAND_SAID_MAX];
};

/* The environment under construction. */
struct env {
	unsigned n;
	char *v[ENV_MAX + 1];
	char text[ENV_MAX][ENV_TEXT];
};

/* put_safe - a variable with a value from an envelope */
static void put_safe(struct env *e, const char *name, const char *value, size_t len)
{
	char *out = e->text[e->n];
	size_t n = (size_t)snprintf(out, ENV_TEXT, "%s=", name);
	for (size_t i = 0; i < len && n + 1 < ENV_TEXT; i++) {
		unsigned char c = (unsigned char)value[i];
		bool fine = c < 128 && c && (isalnum(c) || strchr("!@%-_=+:,./", c));
		out[n++] = fine ? (char)c : '_';
	}
	out[n] = '\0';
	e->v[e->n++] = out;
}

/* put_own - a variable of this process */
static void put_own(struct env *e, const char *name)
{
	const char *value = getenv(name);
	if (!value)
		return;
	int n = snprintf(e->text[e->n], ENV_TEXT, "%s=%s", name, value);
	if (n > 0 && n < ENV_TEXT) {
		e->v[e->n] = e->text[e->n];
		e->n++;
	}
}

/* put_original - the address the sender gave (RFC 3461: type;xtext), or the recipient */
static void put_original(struct env *e, const struct mailbox_request *req)
{
	char address[1024];
	const char *text = req->original ? strchr(req->original, ';') : NULL;
	if (!text || addr_xtext_decode(text + 1, strlen(text + 1), address, sizeof(address)) < 0)
		put_safe(e, "ORIGINAL_RECIPIENT", req->recipient, strlen(req->recipient));
	else
		put_safe(e, "ORIGINAL_RECIPIENT", address, strlen(address));
}

/* put_recipient - the address and its parts */
static void put_recipient(struct env *e, const char *address)
{
	const char *at = strrchr(address, '@');
	size_t len = at ? (size_t)(at - address) : strlen(address);
	const char *plus = memchr(address, '+', len);
	put_safe(e, "RECIPIENT", address, strlen(address));
	put_safe(e, "LOCAL", address, len);
	put_safe(e, "DOMAIN", at ? at + 1 : "", at ? strlen(at + 1) : 0);
	if (plus && plus > address)
		put_safe(e, "EXTENSION", plus + 1, len - (size_t)(plus + 1 - address));
}

/* make_env - all of it; NULL when out of memory */
static struct env *make_env(const struct mailbox_request *req)
{
	static const char *const own[] = {"HOME", "USER", "LOGNAME", "SHELL", "PATH", "TZ"};
	struct env *e = calloc(1, sizeof(*e));
	if (!e)
		return NULL;
	for (size_t i = 0; i < sizeof(own) / sizeof(own[0]); i++)
		put_own(e, own[i]);
	put_safe(e, "SENDER", req->sender, strlen(req->sender));
	put_original(e, req);
	put_recipient(e, req->recipient);
	return e;
}

/* spool - the whole message in a file without a name, read from its beginning; or -E... */
static int spool(const struct mailbox_request *req)
{
	char from[MAILBOX_FROM_MAX];
	int n = mailbox_from(req, from);
	int fd = open(SPOOL_FOLDER, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
	if (fd < 0)
		fd = memfd_create("message", MFD_CLOEXEC);
	if (fd < 0)
		return -errno;
	int rc = n < 0 ? n : mailbox_write(fd, from, (size_t)n);
	if (!rc)
		rc = mailbox_copy(req, fd, false);
	if (!rc && lseek(fd, 0, SEEK_SET) < 0)
		rc = -errno;
	if (rc < 0) {
		close(fd);
		return rc;
	}
	return fd;
}

/* become - the child: never returns */
static void become(const char *command, int in, int out, char **envp)
{
	char *argv[] = {"sh", "-c", (char *)command, NULL};
	const char *home = getenv("HOME");
	setpgid(0, 0);
	if (dup2(in, STDIN_FILENO) < 0 || dup2(out, STDOUT_FILENO) < 0 ||
	    dup2(out, STDERR_FILENO) < 0 || close_range(STDERR_FILENO + 1, ~0u, 0) != 0)
		_exit(EX_OSERR);
	if ((!home || chdir(home) != 0) && chdir("/") != 0)
		_exit(EX_OSERR);
	signal(SIGPIPE, SIG_DFL);
	execve("/bin/sh", argv, envp);
	_exit(EX_TEMPFAIL);
}

/* hear - some of its output: false at its end */
static bool hear(int fd, struct said *said)
{
	char buf[4096];
	ssize_t n = read(fd, buf, sizeof(buf));
	if (n <= 0)
		return n < 0 && (errno == EINTR || errno == EAGAIN);
	const char *p = buf;
	size_t add = (size_t)n, max = sizeof(said->text);
	if (add > max) {
		p += add - max;
		add = max;
	}
	size_t keep = said->len + add > max ? max - add : said->len;
	memmove(said->text, said->text + said->len - keep, keep);
	memcpy(said->text + keep, p, add);
	said->len = keep + add;
	return true;
}

/* wait_for - its end within its time; 0, or -ETIMEDOUT and it is killed */
static int wait_for(pid_t pid, int out, unsigned max_s, struct said *said, int *status)
{
	int64_t until = clock_ms() + (int64_t)max_s * 1000;
	struct pollfd fds[2] = {
	    {.fd = pidfd_open(pid, 0), .events = POLLIN}, {.fd = out, .events = POLLIN}};
	int rc = 0;
	for (;;) {
		int64_t left = until - clock_ms();
		int n = left > 0 ? poll(fds, 2, (int)left) : 0;
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0) {
			rc = -ETIMEDOUT;
			kill(-pid, SIGKILL);
			kill(pid, SIGKILL);
			break;
		}
		if (fds[1].revents && !hear(out, said))
			fds[1].fd = -1;
		else if (fds[0].revents)
			break;
	}
	while (waitpid(pid, status, 0) < 0 && errno == EINTR)
		;
	while (fds[1].fd >= 0 && poll(&fds[1], 1, 0) > 0 && hear(out, said))
		;
	if (fds[0].fd >= 0)
		close(fds[0].fd);
	return rc;
}

/* What exit codes of commands are (sysexits.h), as RFC 3463 would have them. */
static const struct {
	int exit;
	unsigned code;
	const char *status, *words;
} endings[] = {
    {EX_USAGE, 554, "5.3.0", "wrong usage"},
    {EX_DATAERR, 554, "5.6.0", "wrong data"},
    {EX_NOINPUT, 554, "5.3.0", "no input"},
    {EX_NOUSER, 550, "5.1.1", "user unknown"},
    {EX_NOHOST, 550, "5.1.2", "host unknown"},
    {EX_UNAVAILABLE, 554, "5.3.0", "service unavailable"},
    {EX_SOFTWARE, 554, "5.3.0", "internal error"},
    {EX_OSERR, 451, "4.3.0", "system error"},
    {EX_OSFILE, 554, "5.3.0", "system file missing"},
    {EX_CANTCREAT, 554, "5.2.0", "can't create its output"},
    {EX_IOERR, 451, "4.3.0", "input or output error"},
    {EX_TEMPFAIL, 451, "4.3.0", "temporary failure"},
    {EX_PROTOCOL, 554, "5.5.0", "protocol error"},
    {EX_NOPERM, 554, "5.7.0", "permission denied"},
    {EX_CONFIG, 554, "5.3.5", "configuration error"},
    {126, 451, "4.3.5", "can't be run"},
    {127, 451, "4.3.5", "command not found"},
};

/* say_exit - what its exit code means */
static void say_exit(struct mailbox_result *res, int code, const struct said *said)
{
	size_t i = 0;
	while (i < sizeof(endings) / sizeof(endings[0]) && endings[i].exit != code)
		i++;
	bool known = i < sizeof(endings) / sizeof(endings[0]);
	const char *words = known ? endings[i].words : "unknown error";
	unsigned reply = known ? endings[i].code : 554;
	mailbox_say(res, reply, known ? endings[i].status : "5.3.0",
	    reply < 500 ? EX_TEMPFAIL : code, "command failed with exit code %d (%s)%s%.*s", code,
	    words, said->len ? ": " : "", (int)said->len, said->text);
}

/* say_status - how it ended */
static void say_status(struct mailbox_result *res, int status, const struct said *said)
{
	if (WIFSIGNALED(status))
		mailbox_say(res, 451, "4.3.0", EX_TEMPFAIL,
		    "command was killed by signal %d (%s)%s%.*s", WTERMSIG(status),
		    strsignal(WTERMSIG(status)), said->len ? ": " : "", (int)said->len, said->text);
	else if (WEXITSTATUS(status) != 0)
		say_exit(res, WEXITSTATUS(status), said);
	else
		mailbox_say(res, 250, "2.0.0", EX_OK, "delivered to command");
}

/* tidy - one line of what it said: without the end of its last line */
static void tidy(struct said *said)
{
	while (said->len && isspace((unsigned char)said->text[said->len - 1]))
		said->len--;
	for (size_t i = 0; i < said->len; i++)
		if ((unsigned char)said->text[i] < ' ' || (unsigned char)said->text[i] >= 127)
			said->text[i] = said->text[i] == '\n' || said->text[i] == '\t' ? ' ' : '?';
}

/* run - a process for it, and its end; 0 or -E... */
static int run(
    const struct mailbox_request *req, const char *command, int in, struct said *said, int *status)
{
	int out[2];
	struct env *env = make_env(req);
	if (!env)
		return -ENOMEM;
	if (pipe2(out, O_CLOEXEC) != 0) {
		free(env);
		return -errno;
	}
	pid_t pid = fork();
	if (pid == 0)
		become(command, in, out[1], env->v);
	int rc = pid < 0 ? -errno : 0;
	close(out[1]);
	free(env);
	if (!rc) {
		setpgid(pid, pid); /* whoever comes first: before anything can be killed */
		rc = wait_for(pid, out[0], req->command_s, said, status);
	}
	close(out[0]);
	return rc;
}

/* command_run - message, process, result */
void command_run(const struct mailbox_request *req, const char *command, struct mailbox_result *res)
{
	struct said said = {0};
	int status = 0, in = spool(req);
	if (in < 0) {
		mailbox_say_errno(res, in, "message for a command");
		return;
	}
	int rc = run(req, command, in, &said, &status);
	close(in);
	tidy(&said);
	if (rc == -ETIMEDOUT)
		mailbox_say(res, 451, "4.3.0", EX_TEMPFAIL,
		    "command took longer than %u s and was killed%s%.*s", req->command_s,
		    said.len ? ": " : "", (int)said.len, said.text);
	else if (rc < 0)
		mailbox_say_errno(res, rc, "command can't be started");
	else
		say_status(res, status, &said);
}
