/* SPDX-License-Identifier: ISC */
/* Both files are read as a whole: they are small beside a delivery. */
#include "deliver/entry.h"

#include <errno.h>
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

/* entry_of_alias - in the aliases file */
void entry_of_alias(const struct mailbox_request *req, int fd, struct mailbox_result *res)
{
	char name[ALIASES_NAME_MAX + 1];
	size_t len = 0;
	const char *colon = strrchr(req->mailbox, ':');
	if (!colon ||
	    str_copy_n(name, sizeof(name), req->mailbox, (size_t)(colon - req->mailbox)) != 0) {
		mailbox_say(res, 451, "4.3.5", EX_USAGE, "local: not an entry of an alias");
		return;
	}
	char *text = alias_file_read(fd, ALIASES_FILE_MAX, &len);
	struct aliases *aliases = text ? aliases_parse(text, len, "aliases") : NULL;
	if (!aliases) {
		mailbox_say_errno(res, text ? ENOMEM : errno, "aliases file");
	} else {
		const struct alias *a = aliases_find(aliases, name);
		deliver(req, a ? address_list_entry(&a->members, colon + 1) : NULL, res);
	}
	aliases_free(aliases);
	free(text);
}

/* entry_of_forward - in the user's own */
void entry_of_forward(const struct mailbox_request *req, struct mailbox_result *res)
{
	struct address_list list = {0};
	char why[200] = "";
	int rc = forward_read(req->home, &list, why, sizeof(why));
	if (rc == -EPERM || rc == -EINVAL)
		mailbox_say(res, 451, "4.3.5", EX_TEMPFAIL, "%s", why);
	else if (rc)
		mailbox_say_errno(res, rc, why);
	else
		deliver(req, address_list_entry(&list, req->mailbox), res);
	address_list_free(&list);
}
