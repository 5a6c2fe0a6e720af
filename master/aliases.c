/* SPDX-License-Identifier: ISC */
/*
 * Two questions are kept apart: which map answers now, and whether the file has become another one.
 * A build that failed is remembered by the file it was of, so that it isn't tried at every look.
 */
#include "master/aliases.h"

#include <errno.h>
#include <event2/event.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <utlist.h>

#include "lib/clock.h"
#include "lib/log.h"
#include "lib/loop.h"
#include "lib/str.h"
#include "master/alias_build.h"

struct waiter {
	struct waiter *next;
	aliases_then *then;
	void *arg;
};

struct rebuild {
	struct rebuild *next;
	bool begun; /* the build under way is for it */
	aliases_done *done;
	void *arg;
};

static char path[PATH_MAX], folder[PATH_MAX];
static struct map *map; /* in use */
static bool absent;     /* there is no such file */
static bool building;
static struct alias_build build;
static struct map_source failed; /* the file of the last build, if that failed */
static bool hopeless;            /* and would again: the file itself is at fault */
static int64_t failed_ms, looked_ms, begun_ms;
static int last_error;
static struct waiter *waiters;
static struct rebuild *rebuilds;
static struct event *grace;

/* report - a trouble with the file, once until it changes */
static void report(int e)
{
	if (e != last_error)
		log_warnc(e, "%s: %s", path,
		    map ? "the aliases of before stay in use" : "mail for local recipients waits");
	last_error = e;
}

/* drop_map - none answers */
static void drop_map(void)
{
	map_close(map);
	map = NULL;
}

/* is_ready - whether nobody has to wait for the build */
static bool is_ready(void)
{
	return !building || absent || (map && clock_ms() - begun_ms >= ALIASES_GRACE_MS);
}

/* wake - everyone who waits */
static void wake(void)
{
	struct waiter *list = waiters, *w, *next;
	waiters = NULL;
	LL_FOREACH_SAFE (list, w, next) {
		w->then(w->arg);
		free(w);
	}
}

/* on_grace - the old map will do */
static void on_grace(evutil_socket_t fd, short what, void *arg)
{
	(void)fd, (void)what, (void)arg;
	if (is_ready())
		wake();
}

/* use_map - the one in the folder, if it was made of that path */
static void use_map(void)
{
	char place[PATH_MAX];
	struct map *fresh = NULL;
	struct map_source own = map_source(path, &(struct stat){0});
	int n = snprintf(place, sizeof(place), "%s/%s", folder, ALIAS_BUILD_MAP);
	int e = n > 0 && (size_t)n < sizeof(place) ? map_open(place, &fresh) : -ENAMETOOLONG;
	if (e && e != -ENOENT && e != -EBADMSG)
		log_warnc(e, "%s", place);
	if (e || map_facts(fresh)->source.path != own.path) {
		map_close(fresh);
		return;
	}
	drop_map();
	map = fresh;
}

/* say_built - what became of it, in words */
static void say_built(const struct alias_build *b, char *words, size_t size)
{
	static const char *const at[] = {[ALIAS_BUILD_FILE] = "can't be read",
	    [ALIAS_BUILD_TEXT] = "is no text or too large",
	    [ALIAS_BUILD_STORE] = "its map can't be written"};
	if (b->at == ALIAS_BUILD_DONE)
		snprintf(words, size, "%s: %llu aliases, %llu mistakes", b->path,
		    (unsigned long long)b->names, (unsigned long long)b->mistakes);
	else
		snprintf(words, size, "%s: %s (%s); %s", b->path, at[b->at], strerror(-b->error),
		    map ? "the aliases of before stay in use" : "mail for local recipients waits");
}

/* tell - those who ordered a build: all, or those whose build was begun */
static void tell(bool all, bool ok, const char *words)
{
	struct rebuild *r, *next;
	LL_FOREACH_SAFE (rebuilds, r, next) {
		if (!all && !r->begun)
			continue;
		LL_DELETE(rebuilds, r);
		r->done(ok, words, r->arg);
		free(r);
	}
}

static void look(bool now);

/* note_failure - it isn't tried again at once */
static void note_failure(const struct alias_build *b, const char *words)
{
	bool news = b->error != last_error || !map_source_is(&failed, &b->source);
	failed = b->source;
	failed_ms = clock_ms();
	hopeless = b->at == ALIAS_BUILD_TEXT;
	last_error = b->error;
	if (news && b->error != -EAGAIN)
		log_error("%s", words);
}

/* on_built - a build has ended */
static void on_built(const struct alias_build *b)
{
	char words[2 * PATH_MAX];
	building = false;
	evtimer_del(grace);
	bool ours = strcmp(b->path, path) == 0;
	if (ours && b->at == ALIAS_BUILD_DONE) {
		use_map();
		failed = (struct map_source){0};
		last_error = 0;
		log_event(LOG_INFO, 0, "aliases", LOG_STR("file", path), LOG_U64("names", b->names),
		    LOG_U64("mistakes", b->mistakes),
		    LOG_U64("took_ms", (uint64_t)(clock_ms() - begun_ms)));
	}
	say_built(b, words, sizeof(words));
	if (ours && b->at != ALIAS_BUILD_DONE)
		note_failure(b, words);
	tell(false, b->at == ALIAS_BUILD_DONE, words);
	/* somebody wrote meanwhile, another file was named, or one more was ordered */
	if (!ours || rebuilds || b->error == -EAGAIN)
		look(true);
	if (is_ready())
		wake();
}

/* start - a build of the file */
static void start(void)
{
	struct rebuild *r;
	if (!grace && !(grace = evtimer_new(loop_base(), on_grace, NULL)))
		log_fatal("out of memory");
	str_copy(build.path, sizeof(build.path), path);
	str_copy(build.folder, sizeof(build.folder), folder);
	begun_ms = clock_ms();
	int e = alias_build_start(&build, on_built);
	if (e) {
		report(e);
		return;
	}
	building = true;
	LL_FOREACH (rebuilds, r)
		r->begun = true;
	evtimer_add(grace, &(struct timeval){.tv_usec = ALIASES_GRACE_MS * 1000});
}

/* may_try - whether a build of that file may go better than the last one */
static bool may_try(const struct map_source *source)
{
	if (!map_source_is(&failed, source))
		return true;
	return !hopeless && clock_ms() - failed_ms >= ALIASES_RETRY_MS;
}

/* compare - the file as it is now with the map in use */
static void compare(const struct stat *st)
{
	struct map_source source = map_source(path, st);
	absent = false;
	if (!map)
		use_map();
	bool same = map && map_source_is(&map_facts(map)->source, &source);
	if (same)
		last_error = 0;
	if (!building && ((!same && may_try(&source)) || rebuilds))
		start();
}

/* gone - no file, no aliases: also after it was taken away */
static void gone(void)
{
	drop_map();
	absent = true;
	last_error = 0;
	tell(true, true, "there is no aliases file");
}

/* look - whether the file has changed, at most once in ALIASES_LOOK_MS unless `now` */
static void look(bool now)
{
	struct stat st;
	if (!*path || (!now && looked_ms && clock_ms() - looked_ms < ALIASES_LOOK_MS))
		return;
	looked_ms = clock_ms();
	if (stat(path, &st) == 0) {
		compare(&st);
	} else if (errno == ENOENT) {
		gone();
	} else {
		absent = false;
		report(errno);
		tell(true, false, strerror(last_error));
	}
}

/* aliases_use - that file from now on */
void aliases_use(const char *file, const char *where)
{
	if (strcmp(path, file) != 0 || strcmp(folder, where) != 0)
		drop_map();
	if (str_copy(path, sizeof(path), file) != 0 || str_copy(folder, sizeof(folder), where) != 0)
		log_warnx("the path of the aliases file is too long");
	failed = (struct map_source){0};
	last_error = 0;
	absent = false;
	look(true);
}

/* aliases_when_ready - after a look at the file */
void aliases_when_ready(aliases_then *then, void *arg)
{
	look(false);
	struct waiter *w = is_ready() ? NULL : calloc(1, sizeof(*w));
	if (!w) {
		then(arg);
		return;
	}
	*w = (struct waiter){NULL, then, arg};
	LL_APPEND(waiters, w);
}

/* aliases_lookup - in the map in use */
int aliases_lookup(const char *name, struct map_alias *alias)
{
	char lower[ALIASES_NAME_MAX + 1];
	size_t len = strlen(name);
	if (!*path || absent || len > ALIASES_NAME_MAX)
		return -ENOENT;
	if (!map)
		return -EAGAIN;
	str_lower(lower, name, len);
	lower[len] = '\0';
	int e = map_find(map, lower, alias);
	if (e && e != -ENOENT)
		report(e);
	return e && e != -ENOENT ? -EAGAIN : e;
}

/* aliases_by_domain - of the map in use */
bool aliases_by_domain(void)
{
	return map && map_facts(map)->by_domain;
}

/* aliases_rebuild - by order */
void aliases_rebuild(aliases_done *done, void *arg)
{
	struct rebuild *r = calloc(1, sizeof(*r));
	if (!r || !*path) {
		done(!*path, *path ? "out of memory" : "no aliases file is in use", arg);
		free(r);
		return;
	}
	*r = (struct rebuild){.done = done, .arg = arg};
	LL_APPEND(rebuilds, r);
	failed = (struct map_source){0};
	last_error = 0;
	look(true);
}
