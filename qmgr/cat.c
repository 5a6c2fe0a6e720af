/* SPDX-License-Identifier: ISC */
/*
 * One is a walk through its states: what is only in memory is committed, the row is read on the
 * index thread, the segment's file is opened, a worker copies. Each step may find the tool gone.
 */
#include "qmgr/cat.h"

#include <errno.h>
#include <stddef.h>
#include <stdlib.h>

#include "lib/hash.h"
#include "lib/log.h"
#include "qmgr/batch.h"
#include "qmgr/index.h"
#include "qmgr/keys.h"
#include "qmgr/links.h"
#include "qmgr/segments.h"
#include "qmgr/work.h"

enum cat_state { CAT_COMMITTING, CAT_READING, CAT_OPENING, CAT_COPYING };

struct cat {
	struct work work;
	struct batch_wait wait;
	struct cat *prev, *next;
	enum cat_state state;
	struct chan *chan; /* NULL: the tool has its answer, or is gone */
	void (*ended)(void *arg);
	void *arg;
	struct owner owner;
	uint64_t id;
	uint32_t number;
	int err; /* of reading the row */
	uint64_t segment_name, body_at, body_len, plain_len;
	uint32_t late_len;
	struct segment *segment; /* held from CAT_OPENING on */
	struct worker *worker;   /* in CAT_COPYING */
};

static struct cat *cats;
static unsigned ncats;
static uint32_t last_number;

/* answered - the tool's part is over */
static void answered(struct cat *c)
{
	if (c->chan)
		c->ended(c->arg);
	c->chan = NULL;
}

/* cat_free - and the segment is nobody's of ours */
static void cat_free(struct cat *c)
{
	struct segment *seg = c->segment;
	answered(c);
	DL_DELETE(cats, c);
	ncats--;
	free(c);
	if (seg && --seg->refs == 0)
		segment_unused(seg);
}

/* fail - there is nothing to be read */
static void fail(struct cat *c, const char *why)
{
	if (c->chan)
		CHAN_SEND(c->chan, tool_changed, .error = msg_str(why));
	cat_free(c);
}

/* copy - a worker that may have jobs writes it */
static void copy(struct cat *c)
{
	struct worker *w;
	DL_FOREACH (links_workers(), w)
		if (w->told)
			break;
	if (!w) {
		fail(c, "no deliver worker is ready; try again");
		return;
	}
	int err = link_give_segment(w, c->segment);
	if (!err)
		err =
		    CHAN_SEND(w->chan, deliver_copy, .copy = c->number, .segment = c->segment->name,
			.body = c->body_at, .body_len = c->body_len, .late_len = c->late_len);
	if (err) {
		fail(c, "no deliver worker can be asked; try again");
		return;
	}
	c->worker = w;
	c->state = CAT_COPYING;
}

/* want_file - it is open, or will be */
static void want_file(struct cat *c)
{
	c->state = CAT_OPENING;
	c->segment->refs++;
	if (c->segment->file == FILE_OPEN)
		copy(c);
	else
		segment_want_file(c->segment);
}

/* cat_segment_opened - on with those that waited for it */
void cat_segment_opened(struct segment *seg)
{
	struct cat *c, *next;
	seg->refs++; /* the caller goes on with it */
	DL_FOREACH_SAFE (cats, c, next) {
		if (c->state != CAT_OPENING || c->segment != seg)
			continue;
		if (seg->file == FILE_OPEN)
			copy(c);
		else
			fail(c, "its segment can't be opened");
	}
	seg->refs--;
}

/* run_read - on the index thread: where it lies, and whose it is */
static void run_read(struct work *work)
{
	struct cat *c = (struct cat *)work;
	struct msg_bytes value;
	struct row_msg row;
	unsigned char key[8];
	c->err = index_read_begin();
	if (c->err)
		return;
	c->err = index_get(TABLE_MSG, key, keys_msg(key, c->id), &value);
	if (!c->err)
		c->err = keys_get_msg_row(value.data, value.len, &row);
	if (!c->err && !owner_has(&c->owner, &row))
		c->err = -ENOENT; /* who may not read it isn't told that it's there */
	if (!c->err) {
		c->segment_name = row.segment;
		c->body_at = row.body_at;
		c->body_len = row.body_len;
		c->plain_len = row.plain_len;
		c->late_len = row.late_len;
	}
	index_read_end();
}

/* read_done - in the loop */
static void read_done(struct work *work)
{
	struct cat *c = (struct cat *)work;
	if (!c->chan) {
		cat_free(c);
		return;
	}
	if (c->err && c->err != -ENOENT) {
		log_warnc(c->err, "a message's row cannot be read");
		fail(c, "the index can't be read; the log has the reason");
		return;
	}
	c->segment = c->err ? NULL : segment_find(c->segment_name);
	if (c->segment)
		want_file(c);
	else
		fail(c, "it isn't in the queue; `mailq` lists what is");
}

/* on_committed - what was in memory only has a row now */
static void on_committed(struct batch_wait *wait)
{
	struct cat *c = (struct cat *)((char *)wait - offsetof(struct cat, wait));
	c->state = CAT_READING;
	work_submit(work_index, &c->work);
}

struct cat *cat_start(
    struct chan *chan, uint64_t id, const struct owner *owner, void (*ended)(void *), void *arg)
{
	struct cat *c = ncats < CATS_MAX ? calloc(1, sizeof(*c)) : NULL;
	if (!c) {
		CHAN_SEND(chan, tool_changed, .error = msg_str("too many messages are being read"));
		return NULL;
	}
	c->chan = chan;
	c->id = id;
	c->owner = *owner;
	c->ended = ended;
	c->arg = arg;
	c->number = ++last_number;
	c->work.run = run_read;
	c->work.done = read_done;
	c->wait.done = on_committed;
	DL_APPEND(cats, c);
	ncats++;
	batch_write_all();
	batch_wait(&c->wait, false);
	return c;
}

void cat_forget(struct cat *c)
{
	c->chan = NULL;
	if (c->state == CAT_OPENING)
		cat_free(c);
}

/* find - a worker's copy; NULL for a number that isn't one of its */
static struct cat *find(const struct worker *worker, uint32_t number)
{
	struct cat *c;
	DL_FOREACH (cats, c)
		if (c->state == CAT_COPYING && c->worker == worker && c->number == number)
			return c;
	return NULL;
}

void cat_copying(struct worker *worker, const struct msg_deliver_copying *m)
{
	struct cat *c = find(worker, m->copy);
	if (c && c->chan)
		CHAN_SEND(
		    c->chan, tool_cat_is, .size = c->plain_len + c->late_len, .pipe = m->pipe);
	if (c)
		answered(c);
}

void cat_copied(struct worker *worker, uint32_t copy)
{
	struct cat *c = find(worker, copy);
	if (c)
		fail(c, "too many messages are being read; try again");
}

void cat_worker_gone(struct worker *worker)
{
	struct cat *c, *next;
	DL_FOREACH_SAFE (cats, c, next)
		if (c->state == CAT_COPYING && c->worker == worker)
			fail(c, "the deliver worker ended; try again");
}
