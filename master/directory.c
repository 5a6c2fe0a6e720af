/* SPDX-License-Identifier: ISC */
/* A question is allocated for its whole way, so that each step is a function and not a callback's
 * arm. */
#include "master/directory.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/counters.h"
#include "lib/log.h"
#include "lib/str.h"
#include "master/accounts.h"

#define POSTMASTER    "postmaster"
#define POSTMASTER_AS "root"

struct question {
	char name[ALIASES_NAME_MAX + 1];
	char domain[ALIASES_NAME_MAX + 1];
	bool urgent;
	bool past;   /* the alias: the mailbox is meant */
	bool caught; /* the name is catch_all's already */
	directory_answer *answer;
	void *arg;
};

static char *catch_all;

/* directory_use - a configuration */
void directory_use(const struct conf *conf)
{
	char folder[PATH_MAX];
	int n = snprintf(folder, sizeof(folder), "%s/%s", conf->spool, ALIASES_FOLDER);
	free(catch_all);
	catch_all = strdup(conf->catch_all);
	if (!catch_all || n < 0 || (size_t)n >= sizeof(folder))
		log_fatal("out of memory");
	aliases_use(conf->aliases, folder);
}

/* finish - the answer, and the end of the question */
static void finish(struct question *q, enum keeper_verdict verdict, const char *user,
    const struct map_alias *alias)
{
	counter_add(C_keeper_requests, 1);
	q->answer(verdict, user, alias, q->arg);
	free(q);
}

/* finish_alias - whose mail waits when it is broken */
static void finish_alias(struct question *q, const struct map_alias *alias)
{
	finish(q, alias->broken ? KEEPER_TEMPFAIL : KEEPER_ALIAS, "", alias->broken ? NULL : alias);
}

/* base_of - user+tag without the tag, which is the user's business; false when there is none */
static bool base_of(const char *name, char out[ALIASES_NAME_MAX + 1])
{
	const char *plus = strchr(name, DIRECTORY_EXTENSION);
	if (!plus || plus == name)
		return false;
	return str_copy_n(out, ALIASES_NAME_MAX + 1, name, (size_t)(plus - name)) == 0;
}

/* find_at - the alias of a name at a domain */
static int find_at(const char *name, const char *domain, struct map_alias *alias)
{
	char full[ALIASES_NAME_MAX + 1];
	int n = snprintf(full, sizeof(full), "%s@%s", name, domain);
	return n > 0 && (size_t)n < sizeof(full) ? aliases_lookup(full, alias) : -ENOENT;
}

/* find_alias - with the domain before without, with the tag before without */
static int find_alias(const struct question *q, struct map_alias *alias)
{
	char base[ALIASES_NAME_MAX + 1];
	bool tagged = base_of(q->name, base);
	int e = -ENOENT;
	if (*q->domain && aliases_by_domain()) {
		e = find_at(q->name, q->domain, alias);
		if (e == -ENOENT && tagged)
			e = find_at(base, q->domain, alias);
	}
	if (e == -ENOENT)
		e = aliases_lookup(q->name, alias);
	if (e == -ENOENT && tagged)
		e = aliases_lookup(base, alias);
	return e;
}

static void ask_alias(struct question *q);

/* again - from the start, under another name that has no domain */
static void again(struct question *q)
{
	*q->domain = '\0';
	q->past = false;
	ask_alias(q);
}

/* ask_other - the name is no user's: who takes its mail instead? */
static void ask_other(struct question *q)
{
	struct map_alias alias;
	int e = *q->domain && !q->past ? find_at("", q->domain, &alias) : -ENOENT;
	if (!e) {
		finish_alias(q, &alias);
	} else if (e != -ENOENT) {
		finish(q, KEEPER_TEMPFAIL, "", NULL);
	} else if (str_is_ci(q->name, strlen(q->name), POSTMASTER)) {
		str_copy(q->name, sizeof(q->name), POSTMASTER_AS);
		again(q);
	} else if (*catch_all && !q->caught && str_copy(q->name, sizeof(q->name), catch_all) == 0) {
		q->caught = true;
		again(q);
	} else {
		finish(q, KEEPER_UNKNOWN, "", NULL);
	}
}

/* on_account - what the host says */
static void on_account(enum account_verdict verdict, const char *login, void *arg)
{
	struct question *q = arg;
	if (verdict == ACCOUNT_EXISTS)
		finish(q, KEEPER_MAILBOX, login, NULL);
	else if (verdict == ACCOUNT_UNKNOWN)
		ask_other(q);
	else
		finish(q, KEEPER_TEMPFAIL, "", NULL);
}

/* ask_user - the name without its tag */
static void ask_user(struct question *q)
{
	char base[ALIASES_NAME_MAX + 1];
	if (base_of(q->name, base))
		str_copy(q->name, sizeof(q->name), base);
	accounts_ask(q->name, q->urgent, on_account, q);
}

/* ask_alias - the first step, unless the mailbox is meant */
static void ask_alias(struct question *q)
{
	struct map_alias alias;
	int e = q->past ? -ENOENT : find_alias(q, &alias);
	if (!e)
		finish_alias(q, &alias);
	else if (e == -ENOENT)
		ask_user(q);
	else
		finish(q, KEEPER_TEMPFAIL, "", NULL);
}

/* begin - the aliases are ready to be asked */
static void begin(void *arg)
{
	ask_alias(arg);
}

/* directory_ask - start with the alias, or past it */
void directory_ask(struct msg_bytes local, struct msg_bytes domain, bool expands,
    directory_answer *answer, void *arg)
{
	uint32_t past = 0;
	while (expands && past < 2 && past + 1 < local.len && local.data[past] == '\\')
		past++;
	struct question *q = calloc(1, sizeof(*q));
	if (!q) {
		answer(KEEPER_TEMPFAIL, "", NULL, arg);
		return;
	}
	q->urgent = expands;
	q->past = past > 0;
	q->answer = answer;
	q->arg = arg;
	if (str_copy_n(q->name, sizeof(q->name), local.data + past, local.len - past) != 0 ||
	    str_copy_n(q->domain, sizeof(q->domain), domain.data, domain.len) != 0)
		finish(q, KEEPER_UNKNOWN, "", NULL);
	else if (past)
		ask_alias(q);
	else
		aliases_when_ready(begin, q);
}
