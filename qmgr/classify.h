/* SPDX-License-Identifier: ISC */
/*
 * Which class a new recipient belongs to. Everything that a block of the configuration names has to
 * match (of a list one entry); of several matching blocks the one that names more kinds of things
 * counts, then the larger weight, then the title. Mail that says Precedence: bulk, list or junk is
 * bulk where no block matches; List-Id alone says nothing, people write to each other through
 * lists.
 */
#pragma once

#include <stddef.h>

#include "lib/envelope.h"
#include "qmgr/class.h"

/* The message whose recipients come next: what doesn't depend on them is matched once. */
void classify_message(const struct envelope *env, const void *data, size_t len);

/* The class of one of its recipients. */
const struct class *classify_rcpt(const char *address);
