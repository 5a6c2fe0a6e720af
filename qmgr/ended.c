/* SPDX-License-Identifier: ISC */
/* Keys of one message are a table, for lists are long; numbers are looked for only where it loops.
 */
#include "qmgr/ended.h"

#include <stdlib.h>

#include "lib/hash.h"
#include "lib/log.h"

struct one {
	uint64_t key;
	uint32_t number, parent;
	UT_hash_handle hh;
};

struct watched {
	uint64_t id;
	struct one *ones;
	UT_hash_handle hh;
};

static struct watched *table;

/* find - the message's */
static struct watched *find(uint64_t id)
{
	struct watched *w;
	HASH_FIND(hh, table, &id, sizeof(id), w);
	return w;
}

/* ended_watch - an empty table for it */
void ended_watch(uint64_t id)
{
	if (find(id))
		return;
	struct watched *w = calloc(1, sizeof(*w));
	if (!w)
		log_fatal("out of memory");
	w->id = id;
	HASH_ADD(hh, table, id, sizeof(w->id), w);
	if (!hash_added(w))
		log_fatal("out of memory");
}

/* ended_watches - the short way for all others */
bool ended_watches(uint64_t id)
{
	return table && find(id);
}

/* ended_note - the first one of a key stays */
void ended_note(uint64_t id, uint64_t key, uint32_t number, uint32_t parent)
{
	struct watched *w = find(id);
	struct one *o = NULL;
	if (w)
		HASH_FIND(hh, w->ones, &key, sizeof(key), o);
	if (!w || o)
		return;
	o = calloc(1, sizeof(*o));
	if (!o)
		log_fatal("out of memory");
	o->key = key;
	o->number = number;
	o->parent = parent;
	HASH_ADD(hh, w->ones, key, sizeof(o->key), o);
	if (!hash_added(o))
		log_fatal("out of memory");
}

/* ended_has - by key */
bool ended_has(uint64_t id, uint64_t key)
{
	struct watched *w = find(id);
	struct one *o = NULL;
	if (w)
		HASH_FIND(hh, w->ones, &key, sizeof(key), o);
	return o;
}

/* ended_find - by number */
bool ended_find(uint64_t id, uint32_t number, uint64_t *key, uint32_t *parent)
{
	struct watched *w = find(id);
	for (struct one *o = w ? w->ones : NULL; o; o = o->hh.next) {
		if (o->number != number)
			continue;
		*key = o->key;
		*parent = o->parent;
		return true;
	}
	return false;
}

/* ended_forget - all of it */
void ended_forget(uint64_t id)
{
	struct watched *w = find(id);
	struct one *o, *tmp;
	if (!w)
		return;
	HASH_ITER (hh, w->ones, o, tmp) {
		HASH_DEL(w->ones, o);
		free(o);
	}
	HASH_DEL(table, w);
	free(w);
}
