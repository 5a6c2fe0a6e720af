/* SPDX-License-Identifier: ISC */
#include "cli/keep.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* keep_start - empty */
void keep_start(struct keep *k, struct letter *l, const char *spool)
{
	*k = (struct keep){.letter = l, .spool = spool, .text = malloc(KEEP_MEMORY)};
	if (!k->text)
		k->error = -ENOMEM;
}

/* to_file - what was kept in memory, and from now on all */
static void to_file(struct keep *k)
{
	k->error = drop_create(&k->drop, k->spool, k->letter);
	if (k->error)
		return;
	k->has_file = true;
	k->error = drop_write(&k->drop, k->text, k->len);
}

/* keep_add - to memory while there is room */
void keep_add(struct keep *k, const void *bytes, size_t len)
{
	if (k->error || len == 0)
		return;
	if (!k->has_file && len <= KEEP_MEMORY - k->len) {
		memcpy(k->text + k->len, bytes, len);
		k->len += len;
		return;
	}
	if (!k->has_file)
		to_file(k);
	if (!k->error)
		k->error = drop_write(&k->drop, bytes, len);
}

/* keep_commit - a whole file, or none */
int keep_commit(struct keep *k)
{
	if (!k->error && !k->has_file)
		to_file(k);
	if (!k->error) {
		k->error = drop_commit(&k->drop, k->letter);
		k->has_file = false;
	}
	return k->error;
}

/* keep_end - no file, no memory */
void keep_end(struct keep *k)
{
	if (k->has_file)
		drop_abandon(&k->drop);
	k->has_file = false;
	free(k->text);
	k->text = NULL;
	k->len = 0;
}
