/* SPDX-License-Identifier: ISC */
/* One walk at a time. The index thread sums up a slice, the loop adds that to the destinations. */
#include "qmgr/sitecount.h"

#include <stdlib.h>
#include <string.h>

#include "lib/hash.h"
#include "lib/log.h"
#include "lib/wire.h"
#include "qmgr/batch.h"
#include "qmgr/dest.h"
#include "qmgr/index.h"
#include "qmgr/keys.h"
#include "qmgr/work.h"

#define SLICE_KEYS 20000 /* a few milliseconds */
#define FOUND_MAX  (16u << 20)

/* Who waits for the end. */
struct asker {
	struct asker *next;
	void (*done)(void *arg);
	void *arg;
};

static struct {
	struct work work;
	struct batch_wait wait;
	struct asker *askers;
	bool running;
	uint32_t run; /* number of this count: older sums don't count any more */
	int err;
	bool more;
	/* the walk */
	unsigned char at[KEYS_DUE_MAX];
	size_t at_len;
	uint32_t keys;
	char name[KEYS_DEST_MAX];
	size_t name_len;
	uint64_t sum, oldest; /* of that name, in this slice */
	struct wire_out found;
} c;

/* put_sum - what was counted of a destination */
static void put_sum(void)
{
	if (c.sum) {
		wire_put_bytes(&c.found, c.name, c.name_len);
		wire_put_u64(&c.found, c.sum);
		wire_put_u64(&c.found, c.oldest);
	}
	c.sum = 0;
}

/* on_key - one more recipient */
static int on_key(struct msg_bytes key, struct msg_bytes value, struct msg_bytes *seek, void *arg)
{
	struct due_key due;
	struct msg_bytes dest;
	(void)value, (void)seek, (void)arg;
	if (c.keys++ == SLICE_KEYS) {
		memcpy(c.at, key.data, key.len);
		c.at_len = key.len;
		c.more = true;
		return 1;
	}
	int err = keys_get_due(key.data, key.len, &dest, &due);
	if (err)
		return err;
	if (dest.len != c.name_len || memcmp(dest.data, c.name, dest.len)) {
		put_sum();
		memcpy(c.name, dest.data, dest.len);
		c.name_len = dest.len;
	}
	if (!c.sum++ || due.id / 1000 < c.oldest)
		c.oldest = due.id / 1000;
	return 0;
}

/* run_slice - on the index thread */
static void run_slice(struct work *work)
{
	(void)work;
	c.more = false;
	c.keys = 0;
	c.err = index_read_begin();
	if (!c.err)
		c.err = index_walk(TABLE_DUE, c.at, c.at_len, on_key, NULL);
	index_read_end();
	put_sum();
	if (c.err >= 0)
		c.err = wire_out_end(&c.found);
}

/* add - to what this count knows of a destination */
static void add(struct dest *dest, uint64_t sum, uint64_t oldest)
{
	if (dest->count_run != c.run) {
		dest->count_run = c.run;
		dest->counted = 0;
		dest->counted_oldest = oldest;
	}
	dest->counted += sum;
	if (oldest < dest->counted_oldest)
		dest->counted_oldest = oldest;
}

/* finish - tell everybody */
static void finish(void)
{
	c.running = false;
	while (c.askers) {
		struct asker *a = c.askers;
		LL_DELETE(c.askers, a);
		a->done(a->arg);
		free(a);
	}
}

/* sliced - in the loop */
static void sliced(struct work *work)
{
	struct wire_in in;
	if (c.err)
		batch_give_up(c.err, "counting the schedule");
	wire_in_init(&in, c.found.base, c.found.len);
	while (wire_left(&in)) {
		size_t len;
		const char *name = wire_get_bytes(&in, &len);
		uint64_t sum = wire_get_u64(&in), oldest = wire_get_u64(&in);
		struct dest *dest = dest_find(name, len);
		if (dest)
			add(dest, sum, oldest);
	}
	wire_out_reset(&c.found);
	if (c.more && c.askers)
		work_submit(work_index, work);
	else
		finish();
}

/* on_committed - all is in the index */
static void on_committed(struct batch_wait *wait)
{
	(void)wait;
	work_submit(work_index, &c.work);
}

/* sitecount_start - join the one under way, or begin */
void sitecount_start(void (*done)(void *arg), void *arg)
{
	struct asker *a = calloc(1, sizeof(*a));
	if (!a)
		log_fatal("out of memory for a count");
	a->done = done;
	a->arg = arg;
	LL_APPEND(c.askers, a);
	if (c.running)
		return;
	if (!c.run++)
		wire_out_grow(&c.found, FOUND_MAX);
	c.running = true;
	c.at_len = c.name_len = 0;
	c.work.run = run_slice;
	c.work.done = sliced;
	c.wait.done = on_committed;
	batch_write_all();
	batch_wait(&c.wait, false);
}

/* sitecount_forget - nobody to tell */
void sitecount_forget(void *arg)
{
	struct asker *a, *tmp;
	LL_FOREACH_SAFE (c.askers, a, tmp) {
		if (a->arg != arg)
			continue;
		LL_DELETE(c.askers, a);
		free(a);
	}
}

/* sitecount_of - of the last count */
uint64_t sitecount_of(const struct dest *dest, uint64_t *oldest_ms)
{
	bool fresh = c.run && dest->count_run == c.run;
	*oldest_ms = fresh ? dest->counted_oldest : 0;
	return fresh ? dest->counted : 0;
}
