/* SPDX-License-Identifier: ISC */
/* Which class a new recipient belongs to: lib/classes.h, for the message at hand. */
#pragma once

#include <stddef.h>

#include "lib/envelope.h"
#include "qmgr/class.h"

/* The message whose recipients come next: what doesn't depend on them is matched once. */
void classify_message(const struct envelope *env, const void *data, size_t len);

/* The class of one of its recipients. */
const struct class *classify_rcpt(const char *address);
