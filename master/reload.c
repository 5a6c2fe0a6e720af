/* SPDX-License-Identifier: ISC */
/*
 * A reload is all or nothing: file read and checked, sockets opened, only then is anything told to
 * anyone. resolv.conf is often a link into another folder, whose owner replaces the file there: so
 * both folders are watched, and what counts is whether the list of servers has changed.
 */
#include "master/reload.h"

#include <errno.h>
#include <event2/event.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <unistd.h>

#include "lib/clock.h"
#include "lib/counters.h"
#include "lib/log.h"
#include "lib/loop.h"
#include "lib/notify.h"
#include "master/admins.h"
#include "master/config.h"
#include "master/control.h"
#include "master/files.h"
#include "master/listen.h"
#include "master/log_target.h"
#include "master/tree.h"

#define RESOLV_CONF "/etc/resolv.conf"

static char *config_path;
static int64_t started_ms;
static struct event *watcher;

/* reload_started_ms - when the first configuration was read */
int64_t reload_started_ms(void)
{
	return started_ms;
}

/* reload_first - at start */
int reload_first(const char *path)
{
	struct conf *conf = NULL;
	struct conf_messages msgs = {0};
	started_ms = clock_ms();
	/* a relative path must hold for a reload too, whatever becomes of the working directory */
	config_path = realpath(path, NULL);
	int e = conf_load_all(config_path ? config_path : path, &conf, &msgs);
	conf_messages_print(&msgs, stderr);
	conf_messages_free(&msgs);
	if (e)
		return e;
	config_add_resolvers(conf, RESOLV_CONF);
	admins_find(conf);
	config_use(conf);
	return 0;
}

/* log_messages - what is to say about a file, in the log and for who asked */
static void log_messages(const struct conf_messages *msgs, char *reason, size_t size)
{
	size_t used = 0;
	for (size_t i = 0; i < msgs->n; i++) {
		const struct conf_message *m = &msgs->v[i];
		log_text(m->note ? LOG_INFO : LOG_ERROR, 0, "%s:%u: %s", m->file, m->line, m->text);
		if (m->note || used >= size)
			continue;
		int n = snprintf(reason + used, size - used, "%s%s:%u: %s", used ? "\n" : "",
		    m->file, m->line, m->text);
		used += n > 0 ? (size_t)n : 0;
	}
}

/* prepare - the new configuration, its sockets open, or -E... and the reason */
static int prepare(struct conf **conf, char *reason, size_t size)
{
	struct conf_messages msgs = {0};
	const struct conf *old = config_now();
	int e = conf_load_all(config_path, conf, &msgs);
	log_messages(&msgs, reason, size);
	conf_messages_free(&msgs);
	if (e)
		return e;
	if (conf_changes_need_restart(old, *conf, reason, size))
		e = -EINVAL;
	else
		e = listen_open(*conf, reason, size);
	if (e) {
		log_error("%s", reason);
		conf_free(*conf);
	}
	return e;
}

/* watch_folder - the folder in which a file may be replaced */
static void watch_folder(int fd, char *file)
{
	char *slash = file ? strrchr(file, '/') : NULL;
	if (!slash)
		return;
	*slash = '\0';
	if (inotify_add_watch(fd, file, IN_CLOSE_WRITE | IN_MOVED_TO | IN_CREATE) < 0)
		log_warn("cannot watch %s", file);
}

/* watch_file - its folder, and that of the file it is a link to */
static void watch_file(int fd, const char *path)
{
	char *name = strdup(path), *target = realpath(path, NULL);
	watch_folder(fd, name);
	watch_folder(fd, target);
	free(name);
	free(target);
}

/* announce - tell the service manager that a reload begins or has ended */
static void announce(bool begins)
{
	char text[64];
	if (begins)
		snprintf(
		    text, sizeof(text), "RELOADING=1\nMONOTONIC_USEC=%lld", (long long)clock_us());
	else
		snprintf(text, sizeof(text), "READY=1");
	notify_send(text);
}

/* reload_config - SIGHUP */
int reload_config(char *reason, size_t size)
{
	struct conf *conf = NULL;
	*reason = '\0';
	if (tree_is_stopping()) {
		snprintf(reason, size, "the instance is stopping");
		return -ESHUTDOWN;
	}
	announce(true);
	int e = prepare(&conf, reason, size);
	if (e) {
		log_event(LOG_WARN, 0, "reload",
		    LOG_STR("result", "refused, the old configuration stays"));
		announce(false);
		return e;
	}
	if (conf->log != config_now()->log)
		log_info("another log target takes effect at the next start");
	config_add_resolvers(conf, RESOLV_CONF);
	admins_find(conf);
	control_stop();
	listen_commit();
	config_use(conf);
	log_target_apply(conf);
	control_start();
	tree_reload();
	if (watcher && *conf->resolver.hosts)
		watch_file(event_get_fd(watcher), conf->resolver.hosts);
	counter_add(C_reloads, 1);
	log_event(LOG_INFO, 0, "reload", LOG_STR("result", "done"),
	    LOG_U64("generation", config_generation()));
	announce(false);
	return 0;
}

/* on_change - something in a watched folder */
static void on_change(evutil_socket_t fd, short what, void *arg)
{
	char buf[4096] __attribute__((aligned(__alignof__(struct inotify_event))));
	(void)what, (void)arg;
	while (read(fd, buf, sizeof(buf)) > 0)
		;
	/* a member of the conf in force, and not seen by any role before its next CONFIG */
	if (config_refresh_resolvers(RESOLV_CONF)) {
		log_event(LOG_INFO, 0, "resolvers_changed", LOG_STR("file", RESOLV_CONF));
		tree_reconfigure(ROLE_DNSCACHE);
	} else if (files_hosts_changed()) {
		log_event(LOG_INFO, 0, "hosts_changed",
		    LOG_STR("file", config_now()->resolver.hosts));
		tree_reconfigure(ROLE_DNSCACHE);
	}
}

/* reload_watch - resolv.conf and the hosts file from now on */
void reload_watch(void)
{
	int fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
	if (fd < 0) {
		log_warn("cannot watch %s", RESOLV_CONF);
		return;
	}
	watch_file(fd, RESOLV_CONF);
	if (*config_now()->resolver.hosts)
		watch_file(fd, config_now()->resolver.hosts);
	watcher = event_new(loop_base(), fd, EV_READ | EV_PERSIST, on_change, NULL);
	if (!watcher || event_add(watcher, NULL) != 0)
		log_fatal("out of memory");
}
