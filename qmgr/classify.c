/* SPDX-License-Identifier: ISC */
#include "qmgr/classify.h"

#include "lib/child.h"

static struct classes now;

/* classify_message - the blocks that are for it */
void classify_message(const struct envelope *env, const void *data, size_t len)
{
	classes_match(&now, child_self()->conf, env, data, len);
}

/* classify_rcpt - its class as the scheduler has it */
const struct class *classify_rcpt(const char *address)
{
	return class_named(msg_str(classes_pick(&now, address)));
}
