/* SPDX-License-Identifier: ISC */
/*
 * The child is as short as it can be: it looks the user up, picks the groups, drops root, moves two
 * descriptors and execs. It is killed after LOCAL_TIME_MAX_S, whether the name service or the file
 * system keeps it.
 *
 * Who gets which groups: an mbox in /var/mail needs the group mail there and nothing else of the
 * user's, so it gets just that; everything else gets the user's own groups. uid 0 never delivers:
 * root's mail is put into /var/mail/root by the user mail.
 */
#include "master/mailbox.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <limits.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sysexits.h>
#include <unistd.h>
#include <utlist.h>

#include "lib/counters.h"
#include "lib/local.h"
#include "lib/log.h"
#include "lib/loop.h"
#include "lib/priv.h"
#include "lib/str.h"
#include "master/config.h"
#include "master/reap.h"
#include "master/spawn.h"

enum { NAME_MAX_LEN = 256, GROUPS_OF_USER = 1024, ENV_TEXT = 4200 };

struct delivery {
	struct delivery *next;
	pid_t pid;
	struct event *timer;
};

static struct delivery *deliveries;
static unsigned running;

/* What the child needs; C strings, for it execs. */
struct order {
	char user[NAME_MAX_LEN];  /* whose process it is */
	char owner[NAME_MAX_LEN]; /* whose mailbox: the same, or name@domain of a hosted one */
	char mailbox[4096];
	char sender[1024];
	char recipient[1024];
	char original[1024];
	enum local_kind kind;
	bool past;   /* his .forward */
	int aliases; /* descriptor of the file, for LOCAL_ALIAS */
	int pipe, result;
};

/* say - one line for deliver; exits in the child's name */
static void say(int fd, const char *line)
{
	/* what doesn't go out here shows as the socket's end: a temporary failure */
	if (write(fd, line, strlen(line)) < 0)
		return;
}

/* refuse - in the child: the result, and the end */
static void refuse(const struct order *o, int code, const char *line)
{
	say(o->result, line);
	_exit(code);
}

/* take_text - a counted string as C text; false when it is too long or has a NUL */
static bool take_text(char *to, size_t size, struct msg_bytes from)
{
	return str_copy_n(to, size, from.data, from.len) == 0;
}

/* take_hosted - the user and the mailbox of a hosted domain; false where it has none */
static bool take_hosted(struct msg_bytes owner, struct msg_bytes *user, struct msg_bytes *mailbox)
{
	char text[NAME_MAX_LEN];
	const char *at = take_text(text, sizeof(text), owner) ? strrchr(text, '@') : NULL;
	const struct conf_virtual *v = at ? conf_virtual(config_now(), at + 1) : NULL;
	if (!v || !*v->mailbox)
		return false;
	*user = msg_str(v->user);
	*mailbox = msg_str(v->mailbox);
	return true;
}

/* take_order - the message as an order; false for one that can't be */
static bool take_order(struct order *o, const struct msg_qmgr_local *m)
{
	struct msg_bytes user = m->user, mailbox = m->mailbox;
	o->kind = (enum local_kind)m->kind;
	o->pipe = m->pipe;
	o->result = m->result;
	o->past = m->past;
	o->aliases = -1;
	/* what an alias runs, runs as one user, and so does what is hosted, whatever qmgr says */
	if (m->kind == LOCAL_ALIAS && config_now())
		user = msg_str(config_now()->alias_user);
	if (m->kind == LOCAL_VIRTUAL && !take_hosted(m->user, &user, &mailbox))
		return false;
	return m->kind < LOCAL_KINDS && m->kind != LOCAL_READ && user.len > 0 && mailbox.len > 0 &&
	       take_text(o->user, sizeof(o->user), user) &&
	       take_text(o->owner, sizeof(o->owner), m->kind == LOCAL_VIRTUAL ? m->user : user) &&
	       take_text(o->original, sizeof(o->original), m->original) &&
	       take_text(o->mailbox, sizeof(o->mailbox), mailbox) &&
	       take_text(o->sender, sizeof(o->sender), m->sender) &&
	       take_text(o->recipient, sizeof(o->recipient), m->recipient);
}

/* is_group_mail - whether the mailbox lies where the group mail is needed */
static bool is_group_mail(const struct order *o)
{
	return o->kind == LOCAL_MBOX &&
	       strncmp(o->mailbox, LOCAL_MAIL_DIR, sizeof(LOCAL_MAIL_DIR) - 1) == 0;
}

/* own_groups - the user's, as the host has them; how many */
static int own_groups(const struct order *o, const struct passwd *pw, gid_t *groups)
{
	int n = GROUPS_OF_USER;
	if (getgrouplist(pw->pw_name, pw->pw_gid, groups, &n) < 0)
		refuse(o, EX_TEMPFAIL, "451 4.3.5 the user is in too many groups\n");
	return n;
}

/* look_at - for a file of a home: 0, or errno */
static int look_at(const struct passwd *pw, const char *name)
{
	char path[PATH_MAX];
	struct stat st;
	int n = snprintf(path, sizeof(path), "%s/%s", pw->pw_dir, name);
	if (n < 0 || (size_t)n >= sizeof(path))
		return ENOENT;
	return lstat(path, &st) == 0 ? 0 : errno;
}

/* has_forward - whether the user, looking as himself, sees a .forward in his home, or .forward+tag
 */
static bool has_forward(const struct order *o, const struct passwd *pw)
{
	static gid_t groups[GROUPS_OF_USER];
	char tagged[LOCAL_FORWARD_NAME];
	bool root = priv_is_root();
	if (root && (setgroups((size_t)own_groups(o, pw, groups), groups) != 0 ||
			setegid(pw->pw_gid) != 0 || seteuid(pw->pw_uid) != 0))
		refuse(o, EX_TEMPFAIL, "451 4.3.0 cannot become the user\n");
	int e = local_forward_name(o->recipient, tagged) ? look_at(pw, tagged) : ENOENT;
	if (e == ENOENT)
		e = look_at(pw, LOCAL_FORWARD_FILE);
	if (root && (seteuid(0) != 0 || setegid(0) != 0))
		refuse(o, EX_TEMPFAIL, "451 4.3.0 cannot be root again\n");
	/* a home that isn't there or may not be entered has none; one that doesn't answer may have
	 */
	if (e && e != ENOENT && e != ENOTDIR && e != EACCES)
		refuse(o, EX_TEMPFAIL, "451 4.3.0 the home cannot be looked at\n");
	return !e;
}

/* prefer_forward - a user's mail goes where his .forward says, if he has one */
static void prefer_forward(struct order *o, const struct passwd *pw)
{
	if (o->kind > LOCAL_MAILDIR || o->past || !strcmp(pw->pw_name, LOCAL_ROOT_AS) ||
	    !has_forward(o, pw))
		return;
	o->kind = LOCAL_READ;
	o->mailbox[0] = '\0';
}

/* open_aliases - before root is given up: the file may be root's alone */
static void open_aliases(struct order *o)
{
	if (o->kind != LOCAL_ALIAS)
		return;
	o->aliases = open(config_now()->aliases, O_RDONLY | O_NONBLOCK);
	if (o->aliases < 0)
		refuse(o, EX_TEMPFAIL, "451 4.3.5 the aliases file cannot be opened\n");
	if (o->aliases != LOCAL_ALIASES_FD)
		refuse(o, EX_OSERR, "451 4.3.0 no descriptor for the aliases file\n");
}

/* become_user - root no more */
static void become_user(const struct order *o, const struct passwd *pw)
{
	static gid_t groups[GROUPS_OF_USER];
	int n = 1;
	if (is_group_mail(o)) {
		const struct group *gr = getgrnam(LOCAL_MAIL_GROUP);
		groups[0] = gr ? gr->gr_gid : pw->pw_gid;
	} else {
		n = own_groups(o, pw, groups);
	}
	if (priv_drop(pw->pw_uid, pw->pw_gid, groups, (size_t)n) != 0)
		refuse(o, EX_TEMPFAIL, "451 4.3.0 cannot become the user\n");
}

/* find_user - who receives it; ends the child when nobody can */
static const struct passwd *find_user(struct order *o)
{
	errno = 0;
	const struct passwd *pw = getpwnam(o->user);
	if (!pw && errno != 0 && errno != ENOENT)
		refuse(o, EX_TEMPFAIL, "451 4.3.0 the user database doesn't answer\n");
	if (!pw && o->kind == LOCAL_VIRTUAL)
		refuse(o, EX_TEMPFAIL, "451 4.3.5 the user of the hosted domain isn't there\n");
	if (!pw)
		refuse(o, EX_NOUSER, "550 5.1.1 no such user\n");
	if (pw->pw_uid != 0 || !priv_is_root())
		return pw;
	if (o->kind == LOCAL_VIRTUAL)
		refuse(o, EX_TEMPFAIL, "451 4.3.5 a hosted domain's mailboxes are never root's\n");
	if (o->kind >= LOCAL_ALIAS)
		refuse(o, EX_TEMPFAIL, "451 4.3.5 root runs no commands: see alias_user\n");
	if (strcmp(o->user, "root") != 0)
		refuse(o, EX_NOPERM, "550 5.7.1 no mailbox of a second root\n");
	snprintf(o->mailbox, sizeof(o->mailbox), "%s", LOCAL_ROOT_MAILBOX);
	o->kind = LOCAL_MBOX;
	pw = getpwnam(LOCAL_ROOT_AS);
	if (!pw || pw->pw_uid == 0)
		refuse(o, EX_TEMPFAIL, "451 4.3.5 no user " LOCAL_ROOT_AS " to keep root's mail\n");
	return pw;
}

/* take_stdio - the descriptors of the contract and no other */
static void take_stdio(struct order *o)
{
	int null = open("/dev/null", O_RDWR);
	/* both above what they are moved to: spawn_init() keeps low numbers free, but be sure */
	int in = fcntl(o->pipe, F_DUPFD, LOCAL_RESULT_FD + 1);
	int out = fcntl(o->result, F_DUPFD, LOCAL_RESULT_FD + 1);
	if (null < 0 || in < 0 || out < 0 || dup2(in, LOCAL_CONTENT_FD) < 0 ||
	    dup2(null, STDOUT_FILENO) < 0 || dup2(null, STDERR_FILENO) < 0 ||
	    dup2(out, LOCAL_RESULT_FD) < 0)
		_exit(EX_OSERR);
	o->result = LOCAL_RESULT_FD;
	if (close_range(LOCAL_RESULT_FD + 1, ~0u, 0) != 0)
		_exit(EX_OSERR);
	/* they come from sockets of a loop; the program reads and writes like any other */
	fcntl(LOCAL_CONTENT_FD, F_SETFL, 0);
	fcntl(LOCAL_RESULT_FD, F_SETFL, 0);
}

/* deliver - the child: never returns */
static void deliver(struct order *o)
{
	static const char *const kinds[] = LOCAL_KIND_NAMES;
	static char env[6][ENV_TEXT];
	const char *tz = getenv("TZ");

	spawn_reset_signals();
	setsid();
	umask(077);
	take_stdio(o);
	const struct passwd *pw = find_user(o);
	prefer_forward(o, pw);
	open_aliases(o);
	snprintf(env[0], ENV_TEXT, "HOME=%s", pw->pw_dir);
	snprintf(env[1], ENV_TEXT, "USER=%s", o->user);
	snprintf(env[2], ENV_TEXT, "LOGNAME=%s", o->user);
	snprintf(env[3], ENV_TEXT, "SHELL=%s", *pw->pw_shell ? pw->pw_shell : "/bin/sh");
	snprintf(env[4], ENV_TEXT, "PATH=/usr/local/bin:/usr/bin:/bin");
	snprintf(env[5], ENV_TEXT, "TZ=%s", tz && *tz ? tz : ":/etc/localtime");
	char *envp[] = {env[0], env[1], env[2], env[3], env[4], env[5], NULL};
	if (priv_is_root())
		become_user(o, pw);
	if (chdir("/") != 0)
		refuse(o, EX_OSERR, "451 4.3.0 cannot enter /\n");
	char *argv[LOCAL_ARGS + 1] = {[LOCAL_ARG_NAME] = "local",
	    [LOCAL_ARG_KIND] = (char *)kinds[o->kind],
	    [LOCAL_ARG_MAILBOX] = o->mailbox,
	    [LOCAL_ARG_USER] = o->owner,
	    [LOCAL_ARG_SENDER] = o->sender,
	    [LOCAL_ARG_RECIPIENT] = o->recipient,
	    [LOCAL_ARG_ORIGINAL] = o->original};
	execve(spawn_program("local"), argv, envp);
	refuse(o, EX_UNAVAILABLE, "451 4.3.5 cannot run the delivery program\n");
}

/* on_timeout - it has had its time */
static void on_timeout(evutil_socket_t fd, short what, void *arg)
{
	struct delivery *d = arg;
	(void)fd, (void)what;
	log_warnx("local delivery %ld takes longer than %d s and is killed", (long)d->pid,
	    LOCAL_TIME_MAX_S);
	kill(-d->pid, SIGKILL);
	kill(d->pid, SIGKILL); /* before its setsid() there is no group of that number */
}

/* watch - remember a delivery that was started; 0 or -ENOMEM */
static int watch(pid_t pid)
{
	const struct timeval limit = {LOCAL_TIME_MAX_S, 0};
	struct delivery *d = calloc(1, sizeof(*d));
	if (d)
		d->timer = evtimer_new(loop_base(), on_timeout, d);
	if (!d || !d->timer || evtimer_add(d->timer, &limit) != 0) {
		if (d && d->timer)
			event_free(d->timer);
		free(d);
		return -ENOMEM;
	}
	d->pid = pid;
	LL_PREPEND(deliveries, d);
	running++;
	counter_add(C_local_deliveries, 1);
	return 0;
}

/* mailbox_order - start one delivery */
void mailbox_order(struct chan *chan, union msg_any *msg, void *arg)
{
	static struct order order;
	(void)chan, (void)arg;
	if (!take_order(&order, &msg->qmgr_local)) {
		say(msg->qmgr_local.result, "451 4.3.5 impossible local delivery\n");
		log_warnx("qmgr has ordered an impossible local delivery");
		return;
	}
	if (running >= MAILBOX_RUNNING_MAX) {
		say(order.result, "451 4.3.2 too many local deliveries at once\n");
		return;
	}
	pid_t pid = spawn_fork();
	if (pid == 0)
		deliver(&order);
	if (pid < 0) {
		log_warn("cannot start a local delivery");
		say(order.result, "451 4.3.2 no process for a local delivery\n");
	} else if (watch(pid) != 0) {
		log_warnx("out of memory for a local delivery");
		kill(pid, SIGKILL);
	}
}

/* mailbox_reaped - one has ended */
bool mailbox_reaped(pid_t pid, int status)
{
	char words[64];
	struct delivery *d;
	LL_SEARCH_SCALAR(deliveries, d, pid, pid);
	if (!d)
		return false;
	if (status != 0) {
		counter_add(C_local_failures, 1);
		log_debug("local delivery: %s", reap_words(status, words, sizeof(words)));
	}
	LL_DELETE(deliveries, d);
	event_free(d->timer);
	free(d);
	running--;
	return true;
}

/* mailbox_running - how many */
unsigned mailbox_running(void)
{
	return running;
}

/* mailbox_stop - end all */
void mailbox_stop(void)
{
	struct delivery *d;
	LL_FOREACH (deliveries, d) {
		kill(-d->pid, SIGKILL);
		kill(d->pid, SIGKILL);
	}
}
