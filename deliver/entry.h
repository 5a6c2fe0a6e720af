/* SPDX-License-Identifier: ISC */
/*
 * A command or a file that an alias or a .forward names (lib/local.h): found by its digest in the
 * file itself, then carried out. One that isn't there any more, because the file was changed, is
 * tried again until its time is over: the administrator sees it in the queue.
 */
#pragma once

#include "deliver/mailbox.h"

/* req->mailbox is NAME:DIGEST, aliases an open descriptor of the aliases file. */
void entry_of_alias(const struct mailbox_request *req, int aliases, struct mailbox_result *res);

/* req->mailbox is DIGEST. */
void entry_of_forward(const struct mailbox_request *req, struct mailbox_result *res);
