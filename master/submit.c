/* SPDX-License-Identifier: ISC */
/*
 * An hour that slides: this hour's recipients, and of the hour before the part that is not yet an
 * hour ago, as if they had been spread evenly over it.
 */
#include "master/submit.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "lib/addr.h"
#include "lib/clock.h"
#include "lib/hash.h"
#include "lib/str.h"
#include "master/accounts.h"
#include "master/owners.h"
#include "master/users.h"

struct usage {
	char user[USERS_NAME_MAX + 1];
	int64_t hour; /* since when: clock_ms() / SUBMIT_HOUR_MS */
	uint64_t now, before;
	UT_hash_handle hh;
};

/* A question about one of this host's, whose name is looked up. */
struct local {
	struct local *prev, *next;
	struct chan *chan; /* NULL: gone */
	uint32_t request, uid, recipients;
	char sender[ADDR_SIZE];
};

static struct usage *usages;
static struct local *locals;
static uint64_t limit; /* recipients an hour; 0: none */

/* submit_use - from now on */
void submit_use(const struct conf *conf)
{
	limit = conf->limits.per_user_hour;
	owners_use(conf);
}

/* of_user - his hour; NULL: out of memory */
static struct usage *of_user(const char *user)
{
	struct usage *u;
	int64_t hour = clock_ms() / SUBMIT_HOUR_MS;
	HASH_FIND_STR(usages, user, u);
	if (!u) {
		if (HASH_COUNT(usages) >= SUBMIT_USERS) {
			u = usages;
			HASH_DEL(usages, u);
			free(u);
		}
		u = calloc(1, sizeof(*u));
		if (!u)
			return NULL;
		str_copy(u->user, sizeof(u->user), user);
		u->hour = hour;
		HASH_ADD_STR(usages, user, u);
		if (!hash_added(u)) {
			free(u);
			return NULL;
		}
	}
	if (hour != u->hour) {
		u->before = hour == u->hour + 1 ? u->now : 0;
		u->now = 0;
		u->hour = hour;
	}
	return u;
}

/* spend - recipients of his hour: takes them all or none; 0 asks whether there is any left */
static enum submit_verdict spend(const char *user, uint32_t recipients)
{
	if (!limit)
		return SUBMIT_OK;
	struct usage *u = of_user(user);
	if (!u)
		return SUBMIT_TEMPFAIL;
	uint64_t left = (uint64_t)(SUBMIT_HOUR_MS - clock_ms() % SUBMIT_HOUR_MS);
	uint64_t used = u->now + u->before * left / SUBMIT_HOUR_MS;
	if (used + (recipients ? recipients : 1) > limit)
		return SUBMIT_OVER;
	u->now += recipients;
	return SUBMIT_OK;
}

/* judge - owner first, then the hour */
static enum submit_verdict judge(const char *user, const char *sender, uint32_t recipients)
{
	int may = recipients ? 1 : owners_allow(user, sender);
	if (may < 0)
		return SUBMIT_TEMPFAIL;
	return may ? spend(user, recipients) : SUBMIT_NOT_OWNER;
}

/* reply - to the worker that asked */
static void reply(struct chan *chan, uint32_t request, enum submit_verdict v, const char *user)
{
	CHAN_SEND(chan, keeper_submit_is, .request = request, .verdict = (uint8_t)v,
	    .user = msg_str(user));
}

/* -- on this host --------------------------------------------------------------------------------
 */

/* on_login - the name behind the number */
static void on_login(enum account_verdict verdict, const char *login, void *arg)
{
	struct local *l = arg;
	enum submit_verdict v = SUBMIT_OK;
	char user[USERS_NAME_MAX + 1];
	if (verdict == ACCOUNT_UNSURE || str_copy(user, sizeof(user), login) != 0)
		user[0] = '\0';
	if (verdict == ACCOUNT_UNKNOWN)
		snprintf(user, sizeof(user), "%u", l->uid);
	if (l->uid != 0 && user[0])
		v = judge(user, l->sender, l->recipients);
	else if (l->uid != 0 && (limit || owners_used()))
		v = SUBMIT_TEMPFAIL;
	if (l->chan)
		reply(l->chan, l->request, v, user);
	DL_DELETE(locals, l);
	free(l);
}

/* take_local - a number */
static void take_local(struct chan *chan, const struct msg_keeper_submit *m)
{
	struct local *l = calloc(1, sizeof(*l));
	if (!l || str_copy_n(l->sender, sizeof(l->sender), m->sender.data, m->sender.len) != 0) {
		free(l);
		reply(chan, m->request, SUBMIT_TEMPFAIL, "");
		return;
	}
	l->chan = chan;
	l->request = m->request;
	l->uid = m->uid;
	l->recipients = m->recipients;
	DL_APPEND(locals, l);
	accounts_ask_uid(l->uid, on_login, l);
}

/* -- the channel ---------------------------------------------------------------------------------
 */

/* submit_forget - what is under way is answered to nobody */
void submit_forget(struct chan *chan)
{
	struct local *l;
	DL_FOREACH (locals, l) {
		if (l->chan == chan)
			l->chan = NULL;
	}
}

/* submit_asked - of a user who has logged in, or one of this host */
void submit_asked(struct chan *chan, union msg_any *msg, void *arg)
{
	const struct msg_keeper_submit *m = &msg->keeper_submit;
	char user[USERS_NAME_MAX + 1], sender[ADDR_SIZE];
	enum submit_verdict verdict = SUBMIT_NOT_OWNER;
	(void)arg;
	if (m->uid != UINT32_MAX) {
		take_local(chan, m);
		return;
	}
	if (str_copy_n(user, sizeof(user), m->user.data, m->user.len) == 0 && *user &&
	    str_copy_n(sender, sizeof(sender), m->sender.data, m->sender.len) == 0)
		verdict = judge(user, sender, m->recipients);
	reply(chan, m->request, verdict, user);
}
