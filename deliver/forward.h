/* SPDX-License-Identifier: ISC */
/*
 * ~/.forward, or for mail to user+tag ~/.forward+tag where there is one, read as its user:
 * addresses, \user (the own mailbox), |command and /file, separated by commas or line ends, #
 * begins a comment line (lib/address_list.h). Without any of them it means the mailbox.
 *
 * It counts only if it is a plain file of the user or root that group and others may not write to,
 * in a home that is the user's or root's and that others may not write to; else mail goes to the
 * mailbox and the log says why. One that can't be read now, or has something else in it (an
 * included list for example), makes mail wait.
 */
#pragma once

#include "deliver/mailbox.h"
#include "lib/address_list.h"

#define FORWARD_MAX (64u << 10) /* bytes of the file */

/*
 * Reads the one for a recipient. 0 and the list, empty where there is no file; -EPERM where it
 * doesn't count; -EINVAL for something else in it; else what reading says. `why` gets words for the
 * last three.
 */
int forward_read(
    const char *home, const char *recipient, struct address_list *list, char *why, size_t size);

/* The same of all that the user has: for an entry, which names no tag. What doesn't count is left
 * out. */
int forward_read_all(const char *home, struct address_list *list, char *why, size_t size);

/* The answer of LOCAL_READ into `out` (LOCAL_RESULT_MAX + LOCAL_MEMBERS_MAX): its length, or 0 and
 * the result says why not. */
size_t forward_answer(
    const struct mailbox_request *req, char *out, size_t size, struct mailbox_result *res);
