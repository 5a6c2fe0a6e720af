/* SPDX-License-Identifier: ISC */
/* A table of the mailboxes that are busy or have a line, by user. */
#include "qmgr/mailbox.h"

#include <stdlib.h>
#include <string.h>

#include "lib/hash.h"
#include "lib/log.h"
#include "qmgr/dest.h"
#include "qmgr/dispatch.h"
#include "qmgr/message.h"

struct mailbox {
	bool busy; /* else the first of the line is on its way to take it */
	struct rcpt *line;
	UT_hash_handle hh;
	char user[];
};

static struct mailbox *boxes;

/* mailbox_take - busy from now on, or into its line */
bool mailbox_take(struct rcpt *rcpt)
{
	struct mailbox *box;
	HASH_FIND_STR(boxes, rcpt->user, box);
	if (box && !box->busy) {
		box->busy = true;
		return true;
	}
	if (box) {
		dest_remove(rcpt->dest, rcpt);
		rcpt_enter(rcpt, RCPT_BLOCKED);
		DL_APPEND(box->line, rcpt);
		return false;
	}
	size_t len = strlen(rcpt->user);
	box = calloc(1, sizeof(*box) + len + 1);
	if (!box)
		log_fatal("out of memory for a mailbox");
	box->busy = true;
	memcpy(box->user, rcpt->user, len);
	HASH_ADD_STR(boxes, user, box);
	if (!hash_added(box))
		log_fatal("out of memory for a mailbox");
	return true;
}

/* next_in_line - the first that still wants it may come and take it */
static void next_in_line(struct mailbox *box)
{
	while (box->line) {
		struct rcpt *rcpt = box->line;
		DL_DELETE(box->line, rcpt);
		rcpt_enter(rcpt, RCPT_NEW);
		bool gone = rcpt->order || dest_parked(rcpt->dest);
		dispatch_give_back(rcpt);
		if (!gone)
			return;
	}
	HASH_DELETE(hh, boxes, box);
	free(box);
}

/* mailbox_free - the next of its line may go */
void mailbox_free(const char *user)
{
	struct mailbox *box;
	HASH_FIND_STR(boxes, user, box);
	if (!box)
		return;
	box->busy = false;
	next_in_line(box);
}

/* mailbox_poke - who was to take it is gone */
void mailbox_poke(const char *user)
{
	struct mailbox *box;
	HASH_FIND_STR(boxes, user, box);
	if (box && !box->busy)
		next_in_line(box);
}

/* mailbox_forget - out of its line */
void mailbox_forget(struct rcpt *rcpt)
{
	struct mailbox *box;
	HASH_FIND_STR(boxes, rcpt->user, box);
	if (!box)
		log_bug("a blocked recipient has no mailbox");
	DL_DELETE(box->line, rcpt);
	rcpt_enter(rcpt, RCPT_NEW);
}
