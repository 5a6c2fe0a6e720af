/* SPDX-License-Identifier: ISC */
/* A question is allocated for its whole way, so that each step is a function and not a callback's
 * arm. */
#include "master/directory.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "lib/counters.h"
#include "lib/log.h"
#include "lib/str.h"
#include "master/accounts.h"
#include "master/vusers.h"

#define POSTMASTER    "postmaster"
#define POSTMASTER_AS "root"

struct question {
	char name[ALIASES_NAME_MAX + 1];
	char domain[ALIASES_NAME_MAX + 1];
	const struct conf_virtual *virtual; /* the domain is a hosted one */
	bool urgent;
	bool past;   /* the alias: the mailbox is meant */
	bool caught; /* the name is catch_all's already */
	directory_answer *answer;
	void *arg;
};

static char *catch_all;
static const struct conf *in_use;

/* directory_use - a configuration */
void directory_use(const struct conf *conf)
{
	char folder[PATH_MAX];
	int n = snprintf(folder, sizeof(folder), "%s/%s", conf->spool, ALIASES_FOLDER);
	in_use = conf;
	vusers_use(conf);
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

/* full_name - name@domain; false: too long */
static bool full_name(const char *name, const char *domain, char out[ALIASES_NAME_MAX + 1])
{
	int n = snprintf(out, ALIASES_NAME_MAX + 1, "%s@%s", name, domain);
	return n > 0 && n <= ALIASES_NAME_MAX;
}

/* find_at - the alias of a name at a domain */
static int find_at(const char *name, const char *domain, struct map_alias *alias)
{
	char full[ALIASES_NAME_MAX + 1];
	return full_name(name, domain, full) ? aliases_lookup(full, alias) : -ENOENT;
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
	if (e != -ENOENT || q->virtual)
		return e; /* the names of this host are none of a hosted domain */
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
	q->virtual = NULL;
	q->past = false;
	ask_alias(q);
}

/* finish_hosted - nobody has it at a hosted domain: our postmaster's, or nobody's (RFC 5321 4.5.1)
 */
static void finish_hosted(struct question *q)
{
	struct map_alias alias = {.members = POSTMASTER, .len = sizeof(POSTMASTER)};
	bool ours = str_is_ci(q->name, strlen(q->name), POSTMASTER) &&
		    strcasecmp(q->domain, in_use->origin) != 0;
	if (ours && !q->past && full_name(q->name, q->domain, alias.name))
		finish(q, KEEPER_ALIAS, "", &alias);
	else
		finish(q, KEEPER_UNKNOWN, "", NULL);
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
	} else if (q->virtual) {
		finish_hosted(q);
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

/* ask_hosted - whether there is such a mailbox at a hosted domain, with its tag or without */
static void ask_hosted(struct question *q)
{
	char user[VUSERS_NAME_MAX + 1], base[ALIASES_NAME_MAX + 1];
	int e = vusers_find(q->virtual, q->name, q->domain, user);
	if (e == -ENOENT && base_of(q->name, base))
		e = vusers_find(q->virtual, base, q->domain, user);
	if (!e)
		finish(q, KEEPER_MAILBOX, user, NULL);
	else if (e == -ENOENT)
		ask_other(q);
	else
		finish(q, KEEPER_TEMPFAIL, "", NULL);
}

/* ask_user - the name without its tag */
static void ask_user(struct question *q)
{
	char base[ALIASES_NAME_MAX + 1];
	if (q->virtual) {
		ask_hosted(q);
		return;
	}
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

/* begin - the aliases are ready to be asked; a reload may have come while it waited */
static void begin(void *arg)
{
	struct question *q = arg;
	q->virtual = *q->domain ? conf_virtual(in_use, q->domain) : NULL;
	ask_alias(q);
}

/* begin_with - now, or when the map is ready */
static void begin_with(struct question *q)
{
	if (q->past)
		begin(q);
	else
		aliases_when_ready(begin, q);
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
	else
		begin_with(q);
}
