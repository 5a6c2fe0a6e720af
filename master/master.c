/* SPDX-License-Identifier: ISC */
/*
 * baton: the program a user starts. It reads the configuration, takes the spool's lock, opens what
 * only root can open, and keeps the tree of processes alive; mail never passes through it.
 *
 *   baton [-c FILE]      run in the foreground
 *   baton -n [-c FILE]   check the configuration and say what is open to whom
 *
 * Exit codes: 0 stopped as asked or check passed; 100 wrong usage or configuration, or another
 * instance runs; 111 a failure of the host (memory, disk, a port that is taken).
 */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/child.h"
#include "lib/log.h"
#include "lib/loop.h"
#include "lib/notify.h"
#include "lib/priv.h"
#include "master/config.h"
#include "master/control.h"
#include "master/drop.h"
#include "master/listen.h"
#include "master/log_target.h"
#include "master/reap.h"
#include "master/reload.h"
#include "master/spawn.h"
#include "master/spool.h"
#include "master/tree.h"
#include "master/trend.h"

#define LOCK_WAIT_MS 5000 /* for the children of a master that was killed */

/* die - a reason on stderr, before there is a log */
static void die(int code, const char *what, const char *reason)
{
	fprintf(stderr, "baton: %s: %s\n", what, reason);
	exit(code);
}

/* usage - how it is called */
static void usage(void)
{
	fprintf(stderr, "usage: baton [-n] [-c FILE]\n");
	exit(EXIT_USAGE);
}

/* on_signal - SIGHUP, SIGTERM, SIGINT, by the loop */
static void on_signal(evutil_socket_t sig, short what, void *arg)
{
	static char reason[4096];
	(void)what, (void)arg;
	if (sig == SIGHUP) {
		reload_config(reason, sizeof(reason));
		return;
	}
	log_event(LOG_INFO, 0, "stopping", LOG_STR("signal", sig == SIGTERM ? "TERM" : "INT"));
	notify_send("STOPPING=1");
	control_stop();
	tree_stop(EXIT_DONE);
}

/* watch_signals - from now on they come by the loop */
static void watch_signals(void)
{
	static const int signals[] = {SIGHUP, SIGTERM, SIGINT};
	for (size_t i = 0; i < sizeof(signals) / sizeof(signals[0]); i++) {
		struct event *ev = evsignal_new(loop_base(), signals[i], on_signal, NULL);
		if (!ev || evsignal_add(ev, NULL) != 0)
			log_fatal("cannot watch for signals");
	}
}

/* on_ready - mail is taken */
static void on_ready(void)
{
	log_event(LOG_INFO, 0, "ready", LOG_U64("pid", (uint64_t)getpid()),
	    LOG_STR("hostname", config_now()->hostname), LOG_STR("spool", config_now()->spool));
	log_flush();
	notify_send("READY=1");
	drop_start();
}

/* open_stdio - nothing of ours may get the number of a standard descriptor */
static void open_stdio(void)
{
	int fd;
	do
		fd = open("/dev/null", O_RDWR);
	while (fd >= 0 && fd <= STDERR_FILENO);
	if (fd >= 0)
		close(fd);
}

/* take_spool - folders and lock; the lock's descriptor */
static int take_spool(const struct conf *conf)
{
	char path[PATH_MAX], text[64];
	pid_t holder = 0;
	int e = spool_prepare(conf, path);
	if (e)
		die(EXIT_TEMPORARY, path, strerror(-e));
	int fd = spool_lock(conf, LOCK_WAIT_MS, &holder);
	if (fd == -EBUSY) {
		snprintf(text, sizeof(text), "another instance runs on it: pid %ld", (long)holder);
		die(EXIT_USAGE, conf->spool, text);
	}
	if (fd < 0)
		die(EXIT_TEMPORARY, conf->spool, strerror(-fd));
	return fd;
}

/* start - from a configuration to a tree of processes */
static void start(const struct conf *conf)
{
	char path[PATH_MAX], reason[512];
	const char *missing = NULL;

	if (services_find_users(&missing))
		die(EXIT_USAGE, missing,
		    "no such user; systemd-sysusers makes them of etc/baton.sysusers");
	int e = spawn_init(take_spool(conf));
	if (e)
		die(EXIT_TEMPORARY, "libexec/baton beside this program", strerror(-e));
	snprintf(path, sizeof(path), "%s/%s", conf->runtime, SPOOL_EMPTY);
	spawn_set_chroot(path);
	priv_raise_fd_limit();
	loop_init();
	log_target_start(conf);
	if (listen_open(conf, reason, sizeof(reason)) != 0) {
		log_error("%s", reason);
		log_target_drain();
		exit(EXIT_TEMPORARY);
	}
	listen_commit();
	watch_signals();
	reap_init();
	control_start();
	trend_start();
	reload_watch();
	tree_start(on_ready);
}

int main(int argc, char **argv)
{
	const char *path = CONF_PATH_DEFAULT;
	bool check = false;
	int opt;

	while ((opt = getopt(argc, argv, "c:n")) != -1) {
		if (opt == 'c')
			path = optarg;
		else if (opt == 'n')
			check = true;
		else
			usage();
	}
	if (optind != argc)
		usage();
	open_stdio();
	umask(022);
	signal(SIGPIPE, SIG_IGN);
	if (reload_first(path) != 0)
		return EXIT_USAGE;
	if (check) {
		conf_print_open(config_now(), stdout);
		return EXIT_DONE;
	}
	start(config_now());
	int code = loop_run();
	log_event(LOG_INFO, 0, "stopped", LOG_I64("code", code));
	log_target_drain();
	return code;
}
