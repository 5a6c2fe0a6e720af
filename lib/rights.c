/* SPDX-License-Identifier: ISC */
/* A short table; everything that isn't in it needs an admin. */
#include "lib/rights.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "lib/chan.h"
#include "lib/log.h"
#include "lib/query.h"

/* What users may do with their own mail; verb: of tool_change, else 0. */
static const struct {
	enum msg_type type;
	unsigned verb;
} own[] = {
    {MSG_tool_list, 0}, /* mailq; queue, show, why */
    {MSG_tool_cat, 0},
    {MSG_tool_change, QUERY_DELETE},
};

/* has - whether the number is in the list */
static bool has(const struct conf_ids *ids, uint32_t id)
{
	for (size_t i = 0; i < ids->n; i++)
		if (ids->v[i] == id)
			return true;
	return false;
}

/* groups_of - all groups of the peer besides its own, *n of them; NULL when there are none */
static gid_t *groups_of(int fd, size_t *n)
{
	gid_t *groups = NULL;
	socklen_t len = 0;
	*n = 0;
	/* the first call tells how many bytes they need */
	if (getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, NULL, &len) == 0 || errno != ERANGE || !len)
		return NULL;
	groups = malloc(len);
	if (groups && getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, groups, &len) == 0)
		*n = len / sizeof(*groups);
	return groups;
}

/* in_group - whether one of the peer's groups is an admins' group */
static bool in_group(int fd, const struct conf *conf, gid_t first)
{
	size_t n;
	bool is = has(&conf->admin_gids, first);
	if (is || conf->admin_gids.n == 0)
		return is;
	gid_t *groups = groups_of(fd, &n);
	for (size_t i = 0; i < n && !is; i++)
		is = has(&conf->admin_gids, groups[i]);
	free(groups);
	return is;
}

/* rights_peer - uid first: it is enough for most */
int rights_peer(int fd, const struct conf *conf, struct rights_peer *peer)
{
	struct ucred cred;
	socklen_t len = sizeof(cred);
	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &len) != 0)
		return -errno;
	peer->uid = cred.uid;
	peer->admin =
	    cred.uid == 0 || has(&conf->admin_uids, cred.uid) || in_group(fd, conf, cred.gid);
	return 0;
}

/* rights_may - the table */
bool rights_may(const struct rights_peer *peer, unsigned type, const union msg_any *msg)
{
	unsigned verb = type == MSG_tool_change ? msg->tool_change.verb : 0;
	for (size_t i = 0; !peer->admin && i < sizeof(own) / sizeof(own[0]); i++)
		if (own[i].type == type && own[i].verb == verb)
			return true;
	return peer->admin;
}

/* put_names - "only root, joe and members of adm" */
static size_t put_names(const struct conf *conf, char *text, size_t size)
{
	size_t used = (size_t)snprintf(text, size, "only root");
	size_t n = conf->admins.n;
	bool ours = conf->admin_uids.n && conf->admin_uids.v[0] != 0;
	for (size_t i = 0; i <= n && used < size; i++) {
		const char *name = i < n ? conf->admins.v[i] : "the user who runs baton";
		if (i < n ? !strcmp(name, "root") : !ours)
			continue;
		bool last = i == n || (i == n - 1 && !ours);
		int more = snprintf(text + used, size - used, "%s%s%s", last ? " and " : ", ",
		    *name == '%' ? "members of " : "", name + (*name == '%'));
		used += more > 0 ? (size_t)more : 0;
	}
	return used < size ? used : size;
}

/* rights_refusal - a long list of names is cut, what to do is not */
void rights_refusal(const struct conf *conf, char text[RIGHTS_TEXT_MAX])
{
	static const char rest[] = " may do this; of your own mail you may list it (mailq, "
				   "batonctl queue, show, cat, why) and delete it";
	char names[RIGHTS_TEXT_MAX - sizeof(rest)];
	put_names(conf, names, sizeof(names));
	snprintf(text, RIGHTS_TEXT_MAX, "%s%s", names, rest);
}

/* rights_refuse - no handler: nothing of the tool's is read */
void rights_refuse(int fd, enum role self, const struct conf *conf, const struct rights_peer *peer)
{
	static const struct chan_handlers none;
	char text[RIGHTS_TEXT_MAX];
	struct chan *chan = chan_new(fd, self, ROLE_TOOL, 0, &none, NULL);
	log_event(LOG_INFO, 0, "tool_refused", LOG_IF(peer, LOG_U64("uid", peer ? peer->uid : 0)));
	if (!chan)
		return;
	rights_refusal(conf, text);
	CHAN_SEND(chan, tool_refused, .text = msg_str(text));
	chan_flush(chan);
	chan_free(chan);
}
