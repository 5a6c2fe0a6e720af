/* SPDX-License-Identifier: ISC */
/*
 * One walk through the folder at a time, DROP_SLICE names a turn. It stops while as many pickups
 * run as may, and goes on when one has ended; at its end it starts anew when something has changed
 * meanwhile, else a timer does.
 */
#include "master/drop.h"

#include <dirent.h>
#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <sysexits.h>
#include <time.h>
#include <unistd.h>
#include <utlist.h>

#include "lib/drop.h"
#include "lib/log.h"
#include "lib/loop.h"
#include "lib/str.h"
#include "master/config.h"
#include "master/pickup.h"
#include "master/reap.h"

static DIR *folder;           /* the walk's cursor; NULL: not started */
static int refused_fd = -1;   /* the folder `refused` */
static struct event *watcher; /* inotify */
static struct event *timer;   /* the next turn, or the next walk */
static bool walking, again, stopped;
static unsigned nrefused; /* files in `refused` */
static time_t due;        /* of the file that is due first, of those this walk saw */

/* now_s - the clock that files have */
static time_t now_s(void)
{
	return time(NULL);
}

/* set_timer - the next turn in ms */
static void set_timer(int64_t ms)
{
	const struct timeval tv = {ms / 1000, (ms % 1000) * 1000};

	if (timer && !stopped)
		evtimer_add(timer, &tv);
}

/* walk_soon - from the folder's beginning, or on from where it is */
static void walk_soon(void)
{
	again = true;
	set_timer(0);
}

/* note_due - a file has to wait until then */
static void note_due(time_t when)
{
	if (!due || when < due)
		due = when;
}

/* count_refused - files in `refused`, at most one too many: once a walk */
static unsigned count_refused(void)
{
	int fd = openat(refused_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = fd >= 0 ? fdopendir(fd) : NULL;
	unsigned n = 0;

	while (dir && n <= DROP_REFUSED_MAX && readdir(dir))
		n++;
	if (dir)
		closedir(dir);
	else if (fd >= 0)
		close(fd);
	return n;
}

/* set_aside - to `refused`: somebody has to look at it */
static void set_aside(const char *name, uid_t uid, const char *reason)
{
	char to[NAME_MAX + 32]; /* with the user in it, so that nobody writes over another's */
	int e = ++nrefused > DROP_REFUSED_MAX ? ENOSPC : 0;

	snprintf(to, sizeof(to), "%lu.%s", (unsigned long)uid, name);
	if (!e && renameat2(dirfd(folder), name, refused_fd, to, RENAME_NOREPLACE) != 0)
		e = errno;
	log_event(LOG_ERROR, 0, "drop_refused", LOG_STR("file", name), LOG_U64("uid", uid),
	    LOG_STR("reason", reason),
	    LOG_STR("kept", e ? strerror(e) : "in " DROP_REFUSED " of the spool"));
	if (e)
		pickup_postpone(dirfd(folder), name, DROP_RETRY_MAX_S);
}

/* age - seconds since the file was made, by its name; huge where that says nothing */
static time_t age(const char *name)
{
	char *end;
	long long made = strtoll(name, &end, 16);

	return *end == '.' && made > 0 && made <= now_s() ? now_s() - (time_t)made
							  : DROP_RETRY_MAX_S;
}

/* postpone - to be tried again after as long as it has waited so far */
static void postpone(const char *name)
{
	time_t wait = age(name);

	if (wait < DROP_RETRY_MIN_S)
		wait = DROP_RETRY_MIN_S;
	if (wait > DROP_RETRY_MAX_S)
		wait = DROP_RETRY_MAX_S;
	pickup_postpone(dirfd(folder), name, wait);
	note_due(now_s() + wait);
}

/* remove_stale - a hidden file whose writer is dead, by the time nobody can set */
static void remove_stale(const char *name, const struct stat *st)
{
	if (now_s() - st->st_ctime < DROP_STALE_S)
		return;
	log_event(LOG_WARN, 0, "drop_stale", LOG_STR("file", name), LOG_U64("uid", st->st_uid));
	unlinkat(dirfd(folder), name, 0);
}

/* why_never - what keeps an entry from being anybody's mail; NULL: nothing */
static const char *why_never(const struct stat *st)
{
	if (!S_ISREG(st->st_mode))
		return "no regular file";
	if (st->st_nlink != 1)
		return "has another link";
	if ((st->st_mode & 07777) != 0600)
		return "its mode isn't 0600";
	if (st->st_size > (off_t)config_now()->message_size + DROP_SIZE_SLACK)
		return "larger than message_size";
	return NULL;
}

/* take - one name of the folder; false when it has to wait for a pickup to end */
static bool take(const char *name)
{
	struct stat st;
	const char *never;

	if (strcmp(name, ".") == 0 || strcmp(name, "..") == 0 || pickup_of(name) ||
	    fstatat(dirfd(folder), name, &st, AT_SYMLINK_NOFOLLOW) != 0)
		return true;
	if (name[0] == '.') {
		remove_stale(name, &st);
		return true;
	}
	/* a time far away is nobody's but a clock's that was wrong */
	if (st.st_mtime > now_s() && st.st_mtime <= now_s() + DROP_RETRY_MAX_S) {
		note_due(st.st_mtime);
		return true;
	}
	never = why_never(&st);
	if (never) {
		set_aside(name, st.st_uid, never);
		return true;
	}
	if (pickup_running(st.st_uid) >= DROP_PER_USER) {
		again = true; /* when one of his has ended */
		return true;
	}
	int e = pickup_start(dirfd(folder), name, &st);
	if (e == -EAGAIN)
		return false;
	if (e) {
		log_warnc(e, "the dropped file %.64s cannot be taken now", name);
		postpone(name);
	}
	return true;
}

/* end_walk - the next one at once, when something is due, or after a while */
static void end_walk(void)
{
	time_t wait = due ? due - now_s() : DROP_LOOK_S;

	walking = false;
	if (again && pickup_running((uid_t)-1) > 0)
		return; /* drop_reaped() goes on */
	if (again) {
		set_timer(0);
		return;
	}
	if (wait > DROP_LOOK_S)
		wait = DROP_LOOK_S;
	set_timer(wait > 0 ? (int64_t)wait * 1000 : 1000);
}

/* on_timer - a slice of the walk */
static void on_timer(evutil_socket_t fd, short what, void *arg)
{
	(void)fd, (void)what, (void)arg;
	if (stopped)
		return;
	if (!walking) {
		rewinddir(folder);
		walking = true;
		again = false;
		due = 0;
		nrefused = count_refused();
	}
	unsigned before = pickup_running((uid_t)-1);
	for (unsigned i = 0; i < DROP_SLICE; i++) {
		if (pickup_running((uid_t)-1) >= DROP_RUNNING_MAX)
			return; /* drop_reaped() goes on */
		const struct dirent *entry = readdir(folder);
		if (!entry) {
			end_walk();
			return;
		}
		if (!take(entry->d_name)) {
			again = true;
			set_timer(1000);
			return;
		}
	}
	/* a user's thousands of files are walked no faster than they are taken */
	if (!again || before == 0 || pickup_running((uid_t)-1) > before)
		set_timer(0);
}

/* on_change - a file got its name */
static void on_change(evutil_socket_t fd, short what, void *arg)
{
	char buf[4096] __attribute__((aligned(__alignof__(struct inotify_event))));

	(void)what, (void)arg;
	while (read(fd, buf, sizeof(buf)) > 0)
		;
	walk_soon();
}

/* watch - inotify; without it the timer has to do */
static void watch(const char *path)
{
	int fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);

	if (fd < 0 || inotify_add_watch(fd, path, IN_MOVED_TO) < 0) {
		log_warn("cannot watch %s: it is looked at every %d s", path, DROP_LOOK_S);
		if (fd >= 0)
			close(fd);
		return;
	}
	watcher = event_new(loop_base(), fd, EV_READ | EV_PERSIST, on_change, NULL);
	if (!watcher || event_add(watcher, NULL) != 0)
		log_fatal("out of memory");
}

/* open_folder - in the spool; -1 with errno set */
static int open_folder(const char *name, char *path)
{
	snprintf(path, PATH_MAX, "%s/%s", config_now()->spool, name);
	return open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
}

/* drop_start - the first walk */
void drop_start(void)
{
	char path[PATH_MAX];

	refused_fd = open_folder(DROP_REFUSED, path);
	int fd = refused_fd < 0 ? -1 : open_folder(DROP_FOLDER, path);
	folder = fd < 0 ? NULL : fdopendir(fd);
	if (!folder) {
		log_warn("cannot open %s: mail that waits there is not taken", path);
		return;
	}
	timer = evtimer_new(loop_base(), on_timer, NULL);
	if (!timer)
		log_fatal("out of memory");
	watch(path);
	walk_soon();
}

/* settle - what the end of a pickup means for its file */
static void settle(const struct pickup *p, int status)
{
	char words[64];
	bool ended = WIFEXITED(status);
	int code = ended ? WEXITSTATUS(status) : EX_TEMPFAIL;
	const char *reason = *p->reason ? p->reason : reap_words(status, words, sizeof(words));

	if (!pickup_unchanged(dirfd(folder), p))
		return; /* its owner took it away, or put another one there */
	if (code == EX_OK) {
		if (unlinkat(dirfd(folder), p->name, 0) != 0)
			log_warn("cannot remove the dropped file %s", p->name);
	} else if (code == EX_TEMPFAIL || code == EX_OSERR || !ended) {
		log_event(LOG_INFO, 0, "drop_deferred", LOG_STR("file", p->name),
		    LOG_U64("uid", p->uid), LOG_STR("reason", reason));
		postpone(p->name);
	} else {
		set_aside(p->name, p->uid, reason);
	}
}

/* drop_reaped - on with the walk */
bool drop_reaped(pid_t pid, int status)
{
	struct pickup *p = pickup_ended(pid);

	if (!p)
		return false;
	settle(p, status);
	pickup_free(p);
	if (!stopped)
		set_timer(0);
	return true;
}

/* drop_stop - no more */
void drop_stop(void)
{
	stopped = true;
	if (timer)
		evtimer_del(timer);
	if (watcher)
		event_del(watcher);
}
