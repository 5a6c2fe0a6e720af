/* SPDX-License-Identifier: ISC */
/* A question is allocated for its whole way, so that each step is a function and not a callback's
 * arm. */
#include "master/directory.h"

#include <stdlib.h>
#include <string.h>

#include "lib/counters.h"
#include "lib/log.h"
#include "lib/str.h"
#include "master/accounts.h"

#define POSTMASTER    "postmaster"
#define POSTMASTER_AS "root"

struct question {
	char name[ALIASES_NAME_MAX];
	bool urgent;
	bool caught; /* the name is catch_all's already */
	directory_answer *answer;
	void *arg;
};

static char *catch_all;

/* directory_use - a configuration */
void directory_use(const struct conf *conf)
{
	free(catch_all);
	catch_all = strdup(conf->catch_all);
	if (!catch_all)
		log_fatal("out of memory");
	aliases_use(conf->aliases);
}

/* finish - the answer, and the end of the question */
static void finish(
    struct question *q, enum keeper_verdict verdict, const char *user, const struct alias *alias)
{
	counter_add(C_keeper_requests, 1);
	q->answer(verdict, user, alias, q->arg);
	free(q);
}

static void ask_alias(struct question *q);

/* ask_other - the name is no user's: who takes its mail instead? */
static void ask_other(struct question *q)
{
	if (str_is_ci(q->name, strlen(q->name), POSTMASTER)) {
		str_copy(q->name, sizeof(q->name), POSTMASTER_AS);
		ask_alias(q);
	} else if (*catch_all && !q->caught && str_copy(q->name, sizeof(q->name), catch_all) == 0) {
		q->caught = true;
		ask_alias(q);
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

/* cut_extension - user+tag: the tag is the user's business; false when there is none */
static bool cut_extension(struct question *q)
{
	char *plus = strchr(q->name, DIRECTORY_EXTENSION);
	if (!plus || plus == q->name)
		return false;
	*plus = '\0';
	return true;
}

/* ask_alias - the first step: the name with its extension, then without */
static void ask_alias(struct question *q)
{
	const struct alias *alias = NULL;
	int e = aliases_lookup(q->name, &alias);
	if (!e && !alias && cut_extension(q))
		e = aliases_lookup(q->name, &alias);
	if (e)
		finish(q, KEEPER_TEMPFAIL, "", NULL);
	else if (alias && alias->broken)
		finish(q, KEEPER_TEMPFAIL, "", NULL);
	else if (alias)
		finish(q, KEEPER_ALIAS, "", alias);
	else
		accounts_ask(q->name, q->urgent, on_account, q);
}

/* directory_ask - start with the alias, or past it */
void directory_ask(struct msg_bytes local, bool expands, directory_answer *answer, void *arg)
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
	q->answer = answer;
	q->arg = arg;
	if (str_copy_n(q->name, sizeof(q->name), local.data + past, local.len - past) != 0)
		finish(q, KEEPER_UNKNOWN, "", NULL);
	else if (past) {
		cut_extension(q);
		accounts_ask(q->name, q->urgent, on_account, q);
	} else {
		ask_alias(q);
	}
}
