/* SPDX-License-Identifier: ISC */
/*
 * An entry is a name with its answer, or the question under way with all who wait for it: asked
 * once, however many want to know. A thread takes an entry's job from one of two queues and hands
 * it back with the answer (threads.h). Entry and job are apart, because an entry may have been
 * answered "unsure" while its thread still waits for the name service.
 */
#include "master/accounts.h"

#include <errno.h>
#include <event2/event.h>
#include <pthread.h>
#include <pwd.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/clock.h"
#include "lib/counters.h"
#include "lib/hash.h"
#include "lib/log.h"
#include "lib/loop.h"
#include "lib/str.h"
#include "master/threads.h"

/* Before the number of a user that is asked for as such; no name that is asked for has a space. */
#define BY_UID "uid "

enum { PASSWD_BUFFER = 4096, PASSWD_BUFFER_MAX = 1 << 20, SWEEP_MS = 500 };

struct waiter {
	struct waiter *next;
	accounts_answer *answer;
	void *arg;
};

/* A name in the cache, or asked for. */
struct entry {
	char name[ACCOUNTS_NAME_MAX];
	char login[ACCOUNTS_NAME_MAX];
	enum account_verdict verdict;
	bool open; /* a thread is on it, or will be */
	int64_t until_ms;
	struct waiter *waiters;
	UT_hash_handle hh;
};

/* A question for a thread, and its answer. */
struct job {
	struct handed handed; /* first */
	struct job *next;
	char name[ACCOUNTS_NAME_MAX];
	char login[ACCOUNTS_NAME_MAX];
	enum account_verdict verdict;
};

static struct entry *entries; /* oldest first: the order of insertion */
static unsigned open_entries;
static struct event *sweep_timer;
static struct handback back;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t work = PTHREAD_COND_INITIALIZER;
static struct {
	struct job *first, *last;
} urgent_jobs, jobs;

/* -- the threads ----------------------------------------------------------------------------- */

/* look_up - by name, or by number */
static int look_up(
    const char *name, struct passwd *pw, char *buf, size_t size, struct passwd **found)
{
	size_t n = strlen(BY_UID);
	if (strncmp(name, BY_UID, n) != 0)
		return getpwnam_r(name, pw, buf, size, found);
	return getpwuid_r((uid_t)strtoul(name + n, NULL, 10), pw, buf, size, found);
}

/* ask_host - one name; *login gets what the host writes */
static enum account_verdict ask_host(const char *name, char *login)
{
	for (size_t size = PASSWD_BUFFER; size <= PASSWD_BUFFER_MAX; size *= 4) {
		struct passwd pw, *found = NULL;
		char *buf = malloc(size);
		if (!buf)
			return ACCOUNT_UNSURE;
		int e = look_up(name, &pw, buf, size, &found);
		enum account_verdict v = ACCOUNT_UNSURE;
		if (found && str_copy(login, ACCOUNTS_NAME_MAX, pw.pw_name) == 0)
			v = ACCOUNT_EXISTS;
		else if (!found && (e == 0 || e == ENOENT || e == ESRCH))
			v = ACCOUNT_UNKNOWN;
		free(buf);
		if (e != ERANGE)
			return v;
	}
	return ACCOUNT_UNSURE;
}

/* answer_job - in lower case, then as given */
static void answer_job(struct job *job)
{
	char lower[ACCOUNTS_NAME_MAX];
	size_t len = strlen(job->name);
	str_lower(lower, job->name, len);
	lower[len] = '\0';
	job->verdict = ask_host(lower, job->login);
	if (job->verdict == ACCOUNT_UNKNOWN && strcmp(lower, job->name) != 0)
		job->verdict = ask_host(job->name, job->login);
}

/* next_job - wait for one; called with the lock held */
static struct job *next_job(void)
{
	for (;;) {
		struct job *job = urgent_jobs.first ? urgent_jobs.first : jobs.first;
		if (!job) {
			pthread_cond_wait(&work, &lock);
			continue;
		}
		if (job == urgent_jobs.first)
			urgent_jobs.first = job->next;
		else
			jobs.first = job->next;
		return job;
	}
}

/* thread - ask, answer, for ever */
static void *thread(void *arg)
{
	pthread_mutex_lock(&lock);
	for (;;) {
		struct job *job = next_job();
		pthread_mutex_unlock(&lock);
		answer_job(job);
		handback_give(&back, &job->handed);
		pthread_mutex_lock(&lock);
	}
	return arg;
}

/* -- the loop ------------------------------------------------------------------------------- */

/* answer - give everyone who waits what is known now */
static void answer(struct entry *e, enum account_verdict verdict, const char *login)
{
	static const int64_t kept[] = {[ACCOUNT_EXISTS] = ACCOUNTS_KNOWN_MS,
	    [ACCOUNT_UNKNOWN] = ACCOUNTS_UNKNOWN_MS,
	    [ACCOUNT_UNSURE] = ACCOUNTS_UNSURE_MS};
	struct waiter *waiters = e->waiters, *w, *next;
	e->waiters = NULL;
	open_entries -= e->open;
	e->open = false;
	e->verdict = verdict;
	str_copy(e->login, sizeof(e->login), verdict == ACCOUNT_EXISTS ? login : "");
	e->until_ms = clock_ms() + kept[verdict];
	if (verdict == ACCOUNT_UNSURE)
		counter_add(C_keeper_tempfails, 1);
	LL_FOREACH_SAFE (waiters, w, next) {
		w->answer(e->verdict, e->login, w->arg);
		free(w);
	}
}

/* on_done - a thread has an answer */
static void on_done(struct handed *handed)
{
	struct job *job = (struct job *)handed;
	struct entry *e = NULL;
	HASH_FIND_STR(entries, job->name, e);
	if (e)
		answer(e, job->verdict, job->login);
	free(job);
}

/* sweep_later - an idle keeper sleeps: the timer runs only while there is something to sweep */
static void sweep_later(void)
{
	const struct timeval after = {0, SWEEP_MS * 1000};
	if (!evtimer_pending(sweep_timer, NULL))
		evtimer_add(sweep_timer, &after);
}

/* on_sweep - questions that took too long, answers that are too old */
static void on_sweep(evutil_socket_t fd, short what, void *arg)
{
	struct entry *e, *next;
	int64_t now = clock_ms();
	(void)fd, (void)what, (void)arg;
	HASH_ITER (hh, entries, e, next) {
		if (e->until_ms > now)
			continue;
		if (e->open) {
			log_warnx("the name service doesn't answer");
			answer(e, ACCOUNT_UNSURE, "");
		} else {
			HASH_DEL(entries, e);
			free(e);
		}
	}
	if (entries)
		sweep_later();
}

/* make_room - not more names than we mean to keep: the oldest answer goes */
static void make_room(void)
{
	struct entry *e, *next;
	if (HASH_COUNT(entries) < ACCOUNTS_CACHED_MAX)
		return;
	HASH_ITER (hh, entries, e, next) {
		if (e->open)
			continue;
		HASH_DEL(entries, e);
		free(e);
		return;
	}
}

/* give - a question to the threads; 0 or -ENOMEM */
static int give(const char *name, bool urgent)
{
	struct job *job = calloc(1, sizeof(*job));
	if (!job)
		return -ENOMEM;
	str_copy(job->name, sizeof(job->name), name);
	pthread_mutex_lock(&lock);
	struct job **first = urgent ? &urgent_jobs.first : &jobs.first;
	struct job **last = urgent ? &urgent_jobs.last : &jobs.last;
	if (*first)
		(*last)->next = job;
	else
		*first = job;
	*last = job;
	pthread_cond_signal(&work);
	pthread_mutex_unlock(&lock);
	return 0;
}

/* new_entry - a question under way; NULL when there are too many, or no memory */
static struct entry *new_entry(const char *name, bool urgent)
{
	if (open_entries >= ACCOUNTS_OPEN_MAX)
		return NULL;
	make_room();
	struct entry *e = calloc(1, sizeof(*e));
	if (!e)
		return NULL;
	str_copy(e->name, sizeof(e->name), name);
	HASH_ADD_STR(entries, name, e);
	if (!hash_added(e) || give(name, urgent) != 0) {
		if (hash_added(e))
			HASH_DEL(entries, e);
		free(e);
		return NULL;
	}
	e->open = true;
	e->until_ms = clock_ms() + ACCOUNTS_WAIT_MS;
	open_entries++;
	sweep_later();
	return e;
}

/* may_be_login - whether such a user may exist; what else a name holds is for no name service */
static bool may_be_login(const char *name)
{
	if (!*name || strlen(name) >= ACCOUNTS_NAME_MAX || *name == '+' || *name == '-')
		return false;
	for (const unsigned char *p = (const unsigned char *)name; *p; p++)
		if (*p <= ' ' || *p == 127 || strchr(":/,\\\"*?()", *p))
			return false;
	return true;
}

/* ask - from the cache, or by a thread */
static void ask(const char *name, bool urgent, accounts_answer *fn, void *arg)
{
	struct entry *e = NULL;
	HASH_FIND_STR(entries, name, e);
	if (e && !e->open && e->until_ms > clock_ms()) {
		counter_add(C_keeper_cache_hits, 1);
		fn(e->verdict, e->login, arg);
		return;
	}
	if (e && !e->open) {
		HASH_DEL(entries, e);
		free(e);
		e = NULL;
	}
	struct waiter *w = calloc(1, sizeof(*w));
	if (w && !e)
		e = new_entry(name, urgent);
	if (!w || !e) {
		free(w);
		counter_add(C_keeper_tempfails, 1);
		fn(ACCOUNT_UNSURE, "", arg);
		return;
	}
	*w = (struct waiter){NULL, fn, arg};
	LL_APPEND(e->waiters, w);
}

/* accounts_ask - what nobody can be called needs no look-up */
void accounts_ask(const char *name, bool urgent, accounts_answer *fn, void *arg)
{
	if (may_be_login(name))
		ask(name, urgent, fn, arg);
	else
		fn(ACCOUNT_UNKNOWN, "", arg);
}

/* accounts_ask_uid - a local user waits for it */
void accounts_ask_uid(uint32_t uid, accounts_answer *fn, void *arg)
{
	char name[sizeof(BY_UID) + 10];
	snprintf(name, sizeof(name), BY_UID "%u", uid);
	ask(name, true, fn, arg);
}

/* accounts_prepare - let the name service load its modules */
void accounts_prepare(void)
{
	char login[ACCOUNTS_NAME_MAX];
	ask_host("baton-no-such-user", login);
	ask_host("root", login);
}

/* accounts_start - threads, and what wakes the loop */
int accounts_start(void)
{
	sweep_timer = evtimer_new(loop_base(), on_sweep, NULL);
	int e = sweep_timer ? handback_start(&back, on_done) : -ENOMEM;
	return e ? e : threads_start(ACCOUNTS_THREADS, thread);
}
