/* SPDX-License-Identifier: ISC */
/* The thread ends with its map; an eventfd wakes the loop. */
#include "master/alias_build.h"

#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "lib/log.h"
#include "lib/loop.h"
#include "master/aliases.h"
#include "master/threads.h"

/* One reading of the file into a map. */
struct reading {
	struct alias_reader reader;
	struct alias_build *build;
	struct map_build *map;
	bool store; /* the map took no more */
};

static struct alias_build *under_way;
static alias_build_done *on_end;
static struct event *ended;
static int ended_fd = -1;
/* Between the loop and the thread: who has under_way. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

/* on_mistake - of a line */
static void on_mistake(struct alias_reader *reader, unsigned line, const char *words)
{
	struct reading *r = (struct reading *)reader;
	if (r->build->mistakes++ < ALIASES_SAID_MAX)
		log_error("%s:%u: %s", r->build->path, line, words);
}

/* on_alias - into the map */
static int on_alias(struct alias_reader *reader, struct alias_entry *alias)
{
	struct reading *r = (struct reading *)reader;
	char words[ALIASES_NAME_MAX + 40];
	int e = map_build_add(r->map, alias);
	if (e == -EEXIST) {
		snprintf(words, sizeof(words), "%s was given before, ignored", alias->name);
		on_mistake(reader, alias->line, words);
		return 0;
	}
	r->store = e != 0;
	r->build->names += !e;
	return e;
}

/* fail - it ended there */
static void fail(struct alias_build *b, enum alias_build_at at, int e)
{
	b->at = at;
	b->error = e;
}

/* path_in - of a name in the folder; false: too long */
static bool path_in(const struct alias_build *b, const char *name, char out[PATH_MAX])
{
	int n = snprintf(out, PATH_MAX, "%s/%s", b->folder, name);
	return n > 0 && n < PATH_MAX;
}

/* read_all - the open file into the map; 0, or where it ended is noted */
static int read_all(struct alias_build *b, FILE *file, struct map_build *map)
{
	struct reading r = {
	    .reader = {.take = on_alias, .mistake = on_mistake}, .build = b, .map = map};
	struct stat st;
	int e = alias_file_walk(file, &r.reader);
	if (e) {
		fail(b,
		    r.store                       ? ALIAS_BUILD_STORE
		    : e == -EINVAL || e == -EFBIG ? ALIAS_BUILD_TEXT
						  : ALIAS_BUILD_FILE,
		    e);
		return e;
	}
	/* somebody is writing to it: what was read is neither the old one nor the new one */
	struct map_source now = {0};
	if (fstat(fileno(file), &st) == 0)
		now = map_source(b->path, &st);
	if (map_source_is(&now, &b->source))
		return 0;
	fail(b, ALIAS_BUILD_FILE, -EAGAIN);
	return -EAGAIN;
}

/* make_map - all of it */
static void make_map(struct alias_build *b, FILE *file)
{
	char fresh[PATH_MAX], place[PATH_MAX];
	struct map_build *map = NULL;
	if (!path_in(b, ALIAS_BUILD_NEW, fresh) || !path_in(b, ALIAS_BUILD_MAP, place)) {
		fail(b, ALIAS_BUILD_STORE, -ENAMETOOLONG);
		return;
	}
	int e = map_build(fresh, &map);
	if (e) {
		fail(b, ALIAS_BUILD_STORE, e);
		return;
	}
	if (read_all(b, file, map)) {
		map_build_drop(map);
		unlink(fresh);
		return;
	}
	e = map_build_end(map, &b->source);
	if (!e && rename(fresh, place) != 0)
		e = -errno;
	fail(b, e ? ALIAS_BUILD_STORE : ALIAS_BUILD_DONE, e);
	if (e)
		unlink(fresh);
}

/* run_build - from the file to the map */
static void run_build(struct alias_build *b)
{
	struct stat st;
	FILE *file = NULL;
	int fd = open(b->path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (fd < 0 || fstat(fd, &st) != 0)
		fail(b, ALIAS_BUILD_FILE, -errno);
	else if (!S_ISREG(st.st_mode))
		fail(b, ALIAS_BUILD_FILE, -EINVAL);
	else if (!(file = fdopen(fd, "r")))
		fail(b, ALIAS_BUILD_FILE, -errno);
	if (!file) {
		if (fd >= 0)
			close(fd);
		return;
	}
	b->source = map_source(b->path, &st);
	make_map(b, file);
	fclose(file);
}

/* thread - one map */
static void *thread(void *arg)
{
	const uint64_t one = 1;
	pthread_mutex_lock(&lock);
	run_build(under_way);
	pthread_mutex_unlock(&lock);
	if (write(ended_fd, &one, sizeof(one)) < 0)
		log_warn("cannot wake the loop"); /* an eventfd of 0 always takes 1 */
	return arg;
}

/* on_ended - the thread is through */
static void on_ended(evutil_socket_t fd, short what, void *arg)
{
	uint64_t n;
	(void)what, (void)arg;
	if (read(fd, &n, sizeof(n)) < 0)
		return;
	pthread_mutex_lock(&lock); /* what it wrote is to be seen */
	struct alias_build *b = under_way;
	under_way = NULL;
	pthread_mutex_unlock(&lock);
	on_end(b);
}

/* prepare - what wakes the loop; 0 or -E... */
static int prepare(void)
{
	if (ended)
		return 0;
	ended_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	if (ended_fd < 0)
		return -errno;
	ended = event_new(loop_base(), ended_fd, EV_READ | EV_PERSIST, on_ended, NULL);
	return ended && event_add(ended, NULL) == 0 ? 0 : -ENOMEM;
}

/* alias_build_start - a thread for it */
int alias_build_start(struct alias_build *build, alias_build_done *done)
{
	int e = under_way ? -EBUSY : prepare();
	if (e)
		return e;
	build->names = build->mistakes = 0;
	build->source = (struct map_source){0};
	fail(build, ALIAS_BUILD_DONE, 0);
	under_way = build;
	on_end = done;
	e = threads_start(1, thread);
	if (e)
		under_way = NULL;
	return e;
}
