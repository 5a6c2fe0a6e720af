/* SPDX-License-Identifier: ISC */
/*
 * keeper: what the host knows of its users, for those who must not know it themselves. It answers
 * smtpd (does this recipient exist? is that the user's password? may he send as that?) and qmgr
 * (what stands behind a recipient? what is that user's name?), each on a channel that master links.
 * directory.c, login.c and submit.c find the answers.
 *
 *   keeper INSTANCE      started by baton only (lib/child.h)
 *
 * Exit codes: 0 told to stop or master is gone, 100 wrong usage, 111 a failure of the host.
 */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/chan.h"
#include "lib/child.h"
#include "lib/job.h"
#include "lib/log.h"
#include "lib/loop.h"
#include "lib/str.h"
#include "master/accounts.h"
#include "master/directory.h"
#include "master/login.h"
#include "master/submit.h"

/* An asker that goes away leaves its questions behind; who has more open than this isn't ours. */
#define ASKER_OPEN_MAX 1024
#define MEMBERS_ROOM \
	60000 /* bytes of members in an answer; the row in msg.def allows a little more */
/* An alias of that name and another's: who gets what can't be delivered to the other's members. */
#define OWNER_PREFIX "owner-"

struct asker {
	struct chan *chan; /* NULL: gone, and freed with its last question */
	unsigned open;
};

struct request {
	struct asker *asker;
	uint32_t id;
	bool expands;
	char local[ALIASES_NAME_MAX + 1]; /* of one that expands */
};

/* new_request - one more of that asker is open */
static struct request *new_request(struct asker *asker, uint32_t id)
{
	struct request *r = calloc(1, sizeof(*r));
	if (!r)
		log_fatal("out of memory");
	r->asker = asker;
	r->id = id;
	asker->open++;
	return r;
}

/* end - the request is answered, or nobody wants to know any more */
static void end(struct request *r)
{
	struct asker *asker = r->asker;
	free(r);
	if (--asker->open == 0 && !asker->chan)
		free(asker);
}

/* send_members - as many answers as they need */
static void send_members(
    const struct request *r, const struct address_list *members, const char *owner)
{
	static unsigned char buf[MEMBERS_ROOM];
	struct job_list list;
	job_list_init(&list, buf, sizeof(buf));
	for (size_t i = 0; i < members->n; i++) {
		if (job_put_text(&list, msg_str(members->v[i])) == 0)
			continue;
		CHAN_SEND(r->asker->chan, keeper_expand_is, .request = r->id,
		    .verdict = KEEPER_ALIAS, .user = msg_str(""), .owner = msg_str(owner),
		    .members = job_list_bytes(&list), .by_domain = aliases_by_domain());
		job_list_init(&list, buf, sizeof(buf));
		i--; /* it fits into an empty one: ADDRESS_LIST_OTHER_MAX */
	}
	CHAN_SEND(r->asker->chan, keeper_expand_is, .request = r->id, .verdict = KEEPER_ALIAS,
	    .user = msg_str(""), .owner = msg_str(owner), .members = job_list_bytes(&list),
	    .last = 1, .by_domain = aliases_by_domain());
}

/* owner_of - the sender that members of that alias get: owner-NAME, if there is such an alias */
static void owner_of(const char *name, char *owner, size_t size)
{
	struct map_alias alias;
	int n = snprintf(owner, size, "%s%s", OWNER_PREFIX, name);
	if (n < 0 || (size_t)n >= size || name[0] == '@' ||
	    !strncmp(name, OWNER_PREFIX, sizeof(OWNER_PREFIX) - 1) ||
	    aliases_lookup(owner, &alias) != 0)
		n = 0;
	owner[n > 0 ? n : 0] = '\0';
	char *at = strrchr(owner, '@'); /* the domain is the recipient's */
	if (at)
		*at = '\0';
}

/* answer_expand - to qmgr */
static void answer_expand(const struct request *r, enum keeper_verdict verdict, const char *user,
    const struct map_alias *alias)
{
	struct address_list members = {0};
	char owner[ALIASES_NAME_MAX + sizeof(OWNER_PREFIX)];
	if (alias && aliases_members(alias, r->local, child_self()->conf->origin, &members) != 0)
		verdict = KEEPER_TEMPFAIL;
	if (alias && verdict == KEEPER_ALIAS) {
		owner_of(alias->name, owner, sizeof(owner));
		send_members(r, &members, owner);
	} else {
		CHAN_SEND(r->asker->chan, keeper_expand_is, .request = r->id,
		    .verdict = (uint8_t)verdict, .user = msg_str(user), .owner = msg_str(""),
		    .members = msg_str(""), .last = 1, .by_domain = aliases_by_domain());
	}
	address_list_free(&members);
}

/* on_answer - of the directory */
static void on_answer(
    enum keeper_verdict verdict, const char *user, const struct map_alias *alias, void *arg)
{
	struct request *r = arg;
	struct asker *asker = r->asker;
	if (asker->chan && r->expands)
		answer_expand(r, verdict, user, alias);
	else if (asker->chan)
		CHAN_SEND(asker->chan, keeper_recipient_is, .request = r->id,
		    .verdict = (uint8_t)verdict);
	end(r);
}

/* on_name - of a uid; "" where there is none, or nobody can tell */
static void on_name(enum account_verdict verdict, const char *login, void *arg)
{
	const struct request *r = arg;
	(void)verdict;
	if (r->asker->chan)
		CHAN_SEND(r->asker->chan, keeper_name_is, .request = r->id, .user = msg_str(login));
	end(arg);
}

/* take - a question of either kind */
static void take(
    struct asker *asker, uint32_t id, struct msg_bytes local, struct msg_bytes domain, bool expands)
{
	struct request *r = new_request(asker, id);
	r->expands = expands;
	bool fits = !expands || str_copy_n(r->local, sizeof(r->local), local.data, local.len) == 0;
	if (asker->open > ASKER_OPEN_MAX || !fits)
		on_answer(KEEPER_TEMPFAIL, "", NULL, r);
	else
		directory_ask(local, domain, expands, on_answer, r);
}

/* on_recipient - smtpd: may mail for it be taken? */
static void on_recipient(struct chan *chan, union msg_any *msg, void *arg)
{
	(void)chan;
	take(arg, msg->keeper_recipient.request, msg->keeper_recipient.local,
	    msg->keeper_recipient.domain, false);
}

/* on_expand - qmgr: what stands behind it? */
static void on_expand(struct chan *chan, union msg_any *msg, void *arg)
{
	(void)chan;
	take(arg, msg->keeper_expand.request, msg->keeper_expand.local, msg->keeper_expand.domain,
	    true);
}

/* on_name_wanted - qmgr: who is that? */
static void on_name_wanted(struct chan *chan, union msg_any *msg, void *arg)
{
	struct request *r = new_request(arg, msg->keeper_name.request);
	(void)chan;
	if (r->asker->open > ASKER_OPEN_MAX)
		on_name(ACCOUNT_UNSURE, "", r);
	else
		accounts_ask_uid(msg->keeper_name.uid, on_name, r);
}

/* on_asker_closed - it is replaced, and will ask again what is still open */
static void on_asker_closed(struct chan *chan, void *arg)
{
	struct asker *asker = arg;
	login_forget(chan);
	submit_forget(chan);
	chan_free(chan);
	asker->chan = NULL;
	if (asker->open == 0)
		free(asker);
}

static const struct chan_handlers asker_handlers = {
    .on = {[MSG_keeper_recipient] = on_recipient,
	[MSG_keeper_expand] = on_expand,
	[MSG_keeper_name] = on_name_wanted,
	[MSG_keeper_login] = login_asked,
	[MSG_keeper_login_end] = login_ended,
	[MSG_keeper_submit] = submit_asked},
    .closed = on_asker_closed,
};

/* on_link - a new asker */
static void on_link(struct chan *chan, union msg_any *msg, void *arg)
{
	struct msg_link *m = &msg->link;
	(void)chan, (void)arg;
	struct asker *asker = calloc(1, sizeof(*asker));
	if (!asker)
		log_fatal("out of memory");
	int fd = m->socket;
	m->socket = -1;
	asker->chan =
	    chan_new(fd, ROLE_KEEPER, (enum role)m->role, m->instance, &asker_handlers, asker);
	if (!asker->chan)
		log_fatal("out of memory");
}

/* close_folders - what it may write; not everywhere does the kernel help */
static int close_folders(const struct conf *conf)
{
	char folder[PATH_MAX];
	int n = snprintf(folder, sizeof(folder), "%s/%s", conf->spool, ALIASES_FOLDER);
	if (n < 0 || (size_t)n >= sizeof(folder))
		return -ENAMETOOLONG;
	int e = sandbox_write_only_below(folder);
	return e == -EOPNOTSUPP ? 0 : e;
}

/* prepare - before the sandbox: code the name service needs */
static int prepare(const struct conf *conf)
{
	accounts_prepare();
	int e = close_folders(conf);
	return e ? e : login_prepare();
}

/* use - what that configuration names */
static void use(const struct conf *conf)
{
	directory_use(conf);
	login_use(conf);
	submit_use(conf);
}

/* reconfigured - a reload */
static void reconfigured(const struct conf *conf, const struct conf *old)
{
	(void)old;
	use(conf);
}

/* on_aliases_done - the map was made, or not */
static void on_aliases_done(bool ok, const char *words, void *arg)
{
	CHAN_SEND(child_self()->master, aliases_is, .request = (uint32_t)(uintptr_t)arg, .ok = ok,
	    .text = msg_str(words));
}

/* on_aliases - newaliases */
static void on_aliases(struct chan *chan, union msg_any *msg, void *arg)
{
	(void)chan, (void)arg;
	aliases_rebuild(on_aliases_done, (void *)(uintptr_t)msg->aliases.request);
}

static const struct chan_handlers master_handlers = {
    .on = {[MSG_link] = on_link, [MSG_aliases] = on_aliases}};

static const struct child child = {
    .role = ROLE_KEEPER,
    .sandbox = SANDBOX_KEEPER,
    .master = &master_handlers,
    .prepare = prepare,
    .reconfigured = reconfigured,
};

int main(int argc, char **argv)
{
	const struct child_self *self = child_start(&child, argc, argv);
	use(self->conf);
	int e = accounts_start();
	if (!e)
		e = login_start();
	if (e)
		log_fatal("threads for the name service and logins: %s", strerror(-e));
	return loop_run();
}
