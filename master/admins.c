/* SPDX-License-Identifier: ISC */
/* The child writes one answer a name, in their order, as the name service gives them. */
#include "master/admins.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <poll.h>
#include <pwd.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/clock.h"
#include "lib/log.h"
#include "master/spawn.h"

struct answer {
	uint32_t id;
	uint8_t known;
};

/* is_group - "%adm" */
static bool is_group(const char *name)
{
	return *name == '%';
}

/* ask - one name, of the host */
static struct answer ask(const char *name)
{
	struct answer a = {0};
	if (is_group(name)) {
		const struct group *gr = getgrnam(name + 1);
		a.known = gr != NULL;
		a.id = gr ? gr->gr_gid : 0;
	} else {
		const struct passwd *pw = getpwnam(name);
		a.known = pw != NULL;
		a.id = pw ? pw->pw_uid : 0;
	}
	return a;
}

/* answer_all - the child */
static void answer_all(const struct conf_list *names, int fd)
{
	spawn_reset_signals();
	for (size_t i = 0; i < names->n; i++) {
		struct answer a = ask(names->v[i]);
		if (write(fd, &a, sizeof(a)) != sizeof(a))
			break;
	}
	_exit(0);
}

/* read_answer - the next one; false when it doesn't come in time */
static bool read_answer(int fd, struct answer *a, int64_t until)
{
	struct pollfd p = {.fd = fd, .events = POLLIN};
	for (;;) {
		int64_t left = until - clock_ms();
		int n = poll(&p, 1, left > 0 ? (int)left : 0);
		if (n < 0 && errno == EINTR)
			continue;
		/* a pipe passes so few bytes whole */
		return n == 1 && read(fd, a, sizeof(*a)) == sizeof(*a);
	}
}

/* add - a number that counts */
static void add(struct conf_ids *ids, uint32_t id)
{
	uint32_t *v = realloc(ids->v, (ids->n + 1) * sizeof(*v));
	if (!v)
		log_fatal("out of memory");
	ids->v = v;
	ids->v[ids->n++] = id;
}

/* take - the answers, as far as they come */
static void take(struct conf *conf, int fd)
{
	int64_t until = clock_ms() + ADMINS_WAIT_MS;
	for (size_t i = 0; i < conf->admins.n; i++) {
		const char *name = conf->admins.v[i];
		struct answer a;
		if (!read_answer(fd, &a, until)) {
			log_warnx("admins: the name service doesn't say who %s is: from there on "
				  "the list counts for nobody until a reload",
			    name);
			return;
		}
		if (!a.known)
			log_warnx("admins: no %s %s on this host: it counts for nobody",
			    is_group(name) ? "group" : "user", name + is_group(name));
		else
			add(is_group(name) ? &conf->admin_gids : &conf->admin_uids, a.id);
	}
}

/* needs_asking - root, alone, is known */
static bool needs_asking(const struct conf_list *names)
{
	return names->n > 1 || (names->n == 1 && strcmp(names->v[0], "root") != 0);
}

/* admins_find - with a child that ends before this returns */
void admins_find(struct conf *conf)
{
	int fds[2];
	add(&conf->admin_uids, geteuid());
	if (!needs_asking(&conf->admins))
		return;
	if (pipe2(fds, O_CLOEXEC) != 0) {
		log_warn("cannot ask who the admins are");
		return;
	}
	pid_t pid = spawn_fork();
	if (pid == 0)
		answer_all(&conf->admins, fds[1]);
	close(fds[1]);
	if (pid < 0)
		log_warn("cannot ask who the admins are");
	else
		take(conf, fds[0]);
	close(fds[0]);
	if (pid < 0)
		return;
	kill(pid, SIGKILL); /* whether or not it is done */
	while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
		;
}
