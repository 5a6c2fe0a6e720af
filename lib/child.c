/* SPDX-License-Identifier: ISC */
/*
 * One linear function, child_start(), in the order its header promises. What can fail before the
 * sandbox is closed ends the process with EXIT_TEMPORARY and a reason: master backs off.
 */
#include "lib/child.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/memfd.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "lib/board.h"
#include "lib/dialogue.h"
#include "lib/events.h"
#include "lib/log.h"
#include "lib/loop.h"
#include "lib/priv.h"

#define CONFIG_WAIT_MS 10000
#define CONFIG_MAX     (64u << 20) /* bytes of an encoded configuration */

static struct child_self self;
static const struct child *child;
static struct conf *conf;
static uint32_t generation;
static struct chan_handlers master_handlers;

/* child_play - no role, only its configuration */
void child_play(const struct conf *played)
{
	self.conf = played;
}

/* child_self - for modules that need the configuration in force */
const struct child_self *child_self(void)
{
	return &self;
}

/* read_sealed - the bytes of a memfd that nobody can change any more */
static unsigned char *read_sealed(int fd, size_t *len)
{
	const int seals = F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW;
	unsigned char *buf = NULL;
	struct stat st;

	if (fstat(fd, &st) || (fcntl(fd, F_GET_SEALS) & seals) != seals || st.st_size < 0 ||
	    st.st_size > CONFIG_MAX)
		return NULL;
	*len = (size_t)st.st_size;
	buf = malloc(*len + 1);
	if (buf && pread(fd, buf, *len, 0) != st.st_size) {
		free(buf);
		buf = NULL;
	}
	return buf;
}

/* take_config - decode what master sent; NULL and a log line when it is of no use */
static struct conf *take_config(const struct msg_config *msg)
{
	struct conf *new = NULL;
	size_t len = 0;
	unsigned char *buf = read_sealed(msg->sealed, &len);
	int r = buf ? conf_decode(buf, len, &new) : -EBADMSG;

	if (r)
		log_warnc(-r, "configuration %u from master", msg->generation);
	else
		generation = msg->generation;
	if (buf)
		explicit_bzero(buf, len); /* there may be keys in it */
	free(buf);
	return r ? NULL : new;
}

/* apply_log - level and form of the log */
static void apply_log(const struct conf *c)
{
	static const int levels[] = {[CONF_LOG_ERROR] = LOG_ERROR,
	    [CONF_LOG_WARN] = LOG_WARN,
	    [CONF_LOG_INFO] = LOG_INFO,
	    [CONF_LOG_DEBUG] = LOG_DEBUG};

	log_set(c->log_format == CONF_LOG_JSON ? LOG_FORMAT_JSON : LOG_FORMAT_TEXT,
	    levels[c->log_level]);
}

/* on_first_config - before there is a loop */
static void on_first_config(struct chan *chan, union msg_any *msg, void *arg)
{
	(void)chan, (void)arg;
	conf = take_config(&msg->config);
}

/* on_config - a reload: in force before READY is said */
static void on_config(struct chan *chan, union msg_any *msg, void *arg)
{
	struct conf *old = conf, *new = take_config(&msg->config);

	(void)chan, (void)arg;
	if (!new)
		return;
	conf = new;
	self.conf = new;
	apply_log(new);
	if (child->reconfigured)
		child->reconfigured(new, old);
	conf_free(old);
	CHAN_SEND(self.master, ready, .generation = generation);
}

/* on_debug - other dialogues are to be logged */
static void on_debug(struct chan *chan, union msg_any *msg, void *arg)
{
	(void)chan, (void)arg;
	dialogue_set(msg->debug.rules);
}

/* on_drain - for roles that have nothing to finish */
static void on_drain(struct chan *chan, union msg_any *msg, void *arg)
{
	(void)chan, (void)msg, (void)arg;
	loop_stop(EXIT_DONE);
}

/* on_time_over - last words took too long */
static void on_time_over(evutil_socket_t fd, short what, void *arg)
{
	(void)fd, (void)what, (void)arg;
	log_flush();
	_exit(EXIT_TEMPORARY);
}

/* on_master_gone - without a supervisor nobody would start us anew: leave */
static void on_master_gone(struct chan *chan, void *arg)
{
	const struct timeval last = {.tv_usec = CHILD_LAST_MS * 1000};

	(void)chan, (void)arg;
	if (child->orphaned &&
	    event_base_once(loop_base(), -1, EV_TIMEOUT, on_time_over, NULL, &last) == 0) {
		child->orphaned();
		return;
	}
	log_flush();
	_exit(EXIT_DONE);
}

/* on_parent_death - a process that hangs doesn't see its channel close: SIGALRM ends it */
static void on_parent_death(int number)
{
	(void)number;
	alarm(1);
}

/* watch_parent - after the change of user, which clears the wish for a signal */
static void watch_parent(void)
{
	int number = SIGKILL;

	if (child->orphaned) {
		number = SIGUSR1;
		signal(number, on_parent_death);
	}
	if (prctl(PR_SET_PDEATHSIG, number))
		log_fatal("prctl: %s", strerror(errno));
}

/* check_fds - exactly the descriptors of the contract */
static void check_fds(void)
{
	for (int fd = 0; fd < CHILD_FD_FIRST_FREE; fd++)
		if (fcntl(fd, F_GETFD) < 0)
			log_fatal("descriptor %d is missing: this program is started by baton", fd);
	if (close_range(CHILD_FD_FIRST_FREE, ~0u, 0) && errno != ENOSYS)
		log_fatal("close_range: %s", strerror(errno));
	for (int fd = CHILD_MASTER; fd < CHILD_FD_FIRST_FREE; fd++)
		fcntl(fd, F_SETFD, FD_CLOEXEC);
	fcntl(CHILD_MASTER, F_SETFL, O_NONBLOCK);
}

/* ignore_signals - a terminal's SIGINT and a stray SIGHUP are master's to act on */
static void ignore_signals(void)
{
	static const int ignored[] = {SIGPIPE, SIGHUP, SIGINT, SIGUSR1, SIGUSR2};

	for (size_t i = 0; i < sizeof(ignored) / sizeof(ignored[0]); i++)
		signal(ignored[i], SIG_IGN);
}

/* wait_config - CONFIG is the first packet and alone in it */
static void wait_config(void)
{
	static const struct chan_handlers first = {.on[MSG_config] = on_first_config};
	int r =
	    chan_receive_once(CHILD_MASTER, child->role, ROLE_MASTER, &first, NULL, CONFIG_WAIT_MS);

	if (r == -EPIPE)
		_exit(EXIT_DONE); /* master is gone before we began */
	if (r || !conf)
		log_fatal("no configuration from master: %s", strerror(r ? -r : EBADMSG));
	self.conf = conf;
	apply_log(conf);
}

/* number_env - a number master left in the environment; -1: none */
static long number_env(const char *name)
{
	const char *text = getenv(name);
	char *end = NULL;
	long n = text ? strtol(text, &end, 10) : -1;

	return text && *text && !*end && n >= 0 ? n : -1;
}

/* give_up_root - locked in, and nobody special for ever */
static void give_up_root(void)
{
	const char *folder = getenv("BATON_CHROOT");
	long uid = number_env("BATON_UID"), gid = number_env("BATON_GID");
	int r;

	if (!priv_is_root())
		return;
	if (uid <= 0 || gid <= 0)
		log_fatal("started as root without a user to become");
	if (child->chroots) {
		r = folder ? priv_chroot(folder) : -ENOENT;
		if (r)
			log_fatal("chroot to %s: %s", folder ? folder : "nowhere", strerror(-r));
	}
	r = priv_drop((uid_t)uid, (gid_t)gid, NULL, 0);
	if (r)
		log_fatal("becoming uid %ld: %s", uid, strerror(-r));
}

/* close_sandbox - nothing of the role runs outside it */
static void close_sandbox(void)
{
	int r;

	watch_parent();
	r = sandbox_enter(child->sandbox);
	if (r)
		log_fatal("sandbox: %s", strerror(-r));
}

/* start_channel - master's messages from now on come by the loop */
static void start_channel(void)
{
	if (child->master)
		master_handlers = *child->master;
	master_handlers.on[MSG_config] = on_config;
	master_handlers.on[MSG_debug] = on_debug;
	if (!master_handlers.on[MSG_drain])
		master_handlers.on[MSG_drain] = on_drain;
	master_handlers.closed = on_master_gone;
	self.master = chan_new(CHILD_MASTER, child->role, ROLE_MASTER, 0, &master_handlers, NULL);
	if (!self.master)
		log_fatal("out of memory");
}

/* attach_board - our parts of it; from then on nothing else of it can be written */
static void attach_board(void)
{
	if (board_attach(CHILD_COUNTERS, (unsigned)number_env("BATON_PAGE")))
		log_warnx("counters of this process are not shared");
	if (child->board)
		child->board(CHILD_COUNTERS);
	close(CHILD_COUNTERS);
}

/* child_start - from exec to READY */
const struct child_self *child_start(const struct child *role, int argc, char **argv)
{
	const char *target = getenv("BATON_LOG");

	child = role;
	self.role = role->role;
	self.instance = argc > 1 ? (unsigned)strtoul(argv[1], NULL, 10) : 0;
	check_fds(); /* closes the rest: before log_open(), which may open a pipe anew */
	log_open(CHILD_LOG, log_target_named(target), role_name(role->role), self.instance);
	ignore_signals();
	attach_board();
	if (events_share(role->role, 1) && events_attach(CHILD_EVENTS))
		log_warnx("events of this process are not recorded");
	wait_config();
	tzset();
	loop_init();
	if (role->prepare) {
		int r = role->prepare(conf);

		if (r)
			log_fatal("cannot prepare: %s", strerror(-r));
	}
	if (role->forgets_files)
		conf_files_forget(conf);
	give_up_root();
	start_channel();
	close_sandbox();
	CHAN_SEND(self.master, ready, .generation = generation);
	chan_flush(self.master);
	return &self;
}
