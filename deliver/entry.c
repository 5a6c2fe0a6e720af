/* SPDX-License-Identifier: ISC */
/* A .forward is read as a whole, the aliases file as far as the alias. */
#include "deliver/entry.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#include "deliver/command.h"
#include "deliver/forward.h"
#include "lib/alias_file.h"
#include "lib/str.h"

/* deliver - to what the entry says; NULL: it is gone */
static void deliver(
    const struct mailbox_request *req, const char *entry, struct mailbox_result *res)
{
	struct mailbox_request own = *req;
	if (!entry) {
		mailbox_say(res, 451, "4.3.5", EX_TEMPFAIL,
		    "the command or file is no longer in the list that named it");
		return;
	}
	if (entry[0] == '|') {
		command_run(req, entry + 1, res);
		return;
	}
	/* a folder is a Maildir */
	own.kind = entry[strlen(entry) - 1] == '/' ? LOCAL_MAILDIR : LOCAL_MBOX;
	mailbox_into(&own, entry, res);
}

/* Looking for one alias. */
struct search {
	struct alias_reader reader;
	const char *name;
	struct address_list members;
};

/* on_alias - the first of that name is the one */
static int on_alias(struct alias_reader *reader, struct alias_entry *alias)
{
	struct search *s = (struct search *)reader;
	if (strcmp(alias->name, s->name) != 0)
		return 0;
	s->members = alias->members;
	alias->members = (struct address_list){0};
	return 1;
}

/* entry_of_alias - in the aliases file, up to that alias */
void entry_of_alias(const struct mailbox_request *req, int fd, struct mailbox_result *res)
{
	char name[ALIASES_NAME_MAX + 1];
	const char *colon = strrchr(req->mailbox, ':');
	if (!colon ||
	    str_copy_n(name, sizeof(name), req->mailbox, (size_t)(colon - req->mailbox)) != 0) {
		mailbox_say(res, 451, "4.3.5", EX_USAGE, "local: not an entry of an alias");
		return;
	}
	struct search s = {.reader = {.take = on_alias}, .name = name};
	FILE *file = fdopen(fd, "r");
	int e = file ? alias_file_walk(file, &s.reader) : -errno;
	if (e < 0)
		mailbox_say_errno(res, e, "aliases file");
	else
		deliver(req, e ? address_list_entry(&s.members, colon + 1) : NULL, res);
	address_list_free(&s.members);
	if (file)
		fclose(file);
}

/* entry_of_forward - in the user's own */
void entry_of_forward(const struct mailbox_request *req, struct mailbox_result *res)
{
	struct address_list list = {0};
	char why[200] = "";
	int rc = forward_read_all(req->home, &list, why, sizeof(why));
	if (rc == -EPERM || rc == -EINVAL)
		mailbox_say(res, 451, "4.3.5", EX_TEMPFAIL, "%s", why);
	else if (rc)
		mailbox_say_errno(res, rc, why);
	else
		deliver(req, address_list_entry(&list, req->mailbox), res);
	address_list_free(&list);
}
