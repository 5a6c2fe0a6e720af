/* SPDX-License-Identifier: ISC */
/*
 * Three lists of marked things (recipients, messages, segments); forming a transaction swaps each
 * with its twin, which holds what is being written. Forming encodes everything, so the index thread
 * shares nothing with the loop but a buffer of bytes.
 *
 * Order inside form(): first the segments' young messages are looked at, for they add messages and
 * recipients; then messages, for those that ended change their segment's count; segments last.
 */
#include "qmgr/batch.h"

#include <errno.h>
#include <stdlib.h>

#include "lib/counters.h"
#include "lib/log.h"
#include "lib/loop.h"
#include "qmgr/batch_rows.h"
#include "qmgr/dispatch.h"
#include "qmgr/index.h"
#include "qmgr/intake.h"
#include "qmgr/links.h"
#include "qmgr/message.h"
#include "qmgr/now.h"
#include "qmgr/route.h"
#include "qmgr/schedule.h"
#include "qmgr/segments.h"
#include "qmgr/waits.h"
#include "qmgr/work.h"

/* A growing list of pointers; its memory is kept. */
struct list {
	void **v;
	size_t n, room;
};

struct marked {
	struct list rcpts, messages, segments;
};

static struct {
	struct marked dirty, writing;
	struct index_ops ops;   /* of the transaction under way */
	struct index_ops extra; /* changes without a thing in memory */
	struct work work;
	int err;
	uint64_t next, committed;
	bool running, stuck, soon, all;
	bool result; /* one was taken since the last form() */
	struct event *tick;
	struct loop_task now;
} b;

static void form(void);

/* list_add - at the end */
static void list_add(struct list *list, void *p)
{
	if (list->n == list->room) {
		list->room = list->room ? list->room * 2 : 256;
		list->v = realloc(list->v, list->room * sizeof(*list->v));
		if (!list->v)
			log_fatal("out of memory for a transaction");
	}
	list->v[list->n++] = p;
}

/* start_soon - now, or as soon as the one under way is through */
static void start_soon(struct loop_task *task)
{
	(void)task;
	if (!b.running)
		form();
}

/* on_tick - the oldest change is old enough */
static void on_tick(evutil_socket_t fd, short what, void *arg)
{
	(void)fd, (void)what, (void)arg;
	if (!b.running)
		form();
	else if (b.stuck)
		work_submit(work_index, &b.work);
}

/* arm - a transaction will come */
static void arm(void)
{
	if (b.running || evtimer_pending(b.tick, NULL))
		return;
	event_add(b.tick, &(struct timeval){.tv_usec = BATCH_MS * 1000});
}

/* mark - into a list unless it is there already; whether it was added */
static void mark(uint8_t *state, struct list *list, void *thing)
{
	if (*state == WRITE_DIRTY || *state == WRITE_AGAIN)
		return;
	*state = *state == WRITE_WRITING ? WRITE_AGAIN : WRITE_DIRTY;
	list_add(list, thing);
	arm();
}

/* batch_rcpt - its row is to change; of a message without rows it gets written with that */
void batch_rcpt(struct rcpt *rcpt)
{
	if (rcpt->msg->rowed) {
		mark(&rcpt->write, &b.dirty.rcpts, rcpt);
		if (b.dirty.rcpts.n == BATCH_FULL)
			batch_soon();
	} else {
		batch_segment(rcpt->msg->segment);
	}
}

/* batch_message - its row is to change */
void batch_message(struct message *msg)
{
	if (msg->rowed)
		mark(&msg->write, &b.dirty.messages, msg);
	else
		batch_segment(msg->segment);
}

/* batch_segment - its row is to change */
void batch_segment(struct segment *seg)
{
	mark(&seg->write, &b.dirty.segments, seg);
}

/* batch_forget_segment - its row goes away */
void batch_forget_segment(uint64_t name)
{
	unsigned char key[8];
	index_del(&b.extra, TABLE_SEG, key, keys_seg(key, name));
	arm();
}

/* batch_site - what was learned of a site */
void batch_site(const char *name, const void *row, size_t len)
{
	if (len)
		index_put(&b.extra, TABLE_SITE, name, strlen(name), row, len);
	else
		index_del(&b.extra, TABLE_SITE, name, strlen(name));
	arm();
}

/* batch_ids - the high-water mark of names and IDs */
void batch_ids(uint64_t last)
{
	last = htobe64(last);
	index_put(&b.extra, TABLE_META, KEYS_META_IDS, sizeof(KEYS_META_IDS) - 1, &last, 8);
	arm();
}

/* batch_meta - a row of the table meta */
void batch_meta(const void *key, size_t key_len, const void *value, size_t len)
{
	if (value)
		index_put(&b.extra, TABLE_META, key, key_len, value, len);
	else
		index_del(&b.extra, TABLE_META, key, key_len);
	arm();
}

/* batch_result - see that a transaction comes */
void batch_result(void)
{
	b.result = true;
	arm();
}

/* batch_write_message - with the next transaction, and what lies before it in its segment */
void batch_write_message(struct message *msg)
{
	if (!msg->rowed && msg->segment->force <= msg->offset)
		msg->segment->force = msg->offset + 1;
	batch_segment(msg->segment);
	batch_soon();
}

/* batch_write_all - everything that was read */
void batch_write_all(void)
{
	b.all = true;
	batch_soon();
}

/* batch_soon - don't wait for the tick */
void batch_soon(void)
{
	b.soon = true;
	if (!b.running)
		loop_defer(&b.now);
}

/* batch_next - the transaction to come */
uint64_t batch_next(void)
{
	return b.next;
}

/* batch_committed - the last one that went through */
uint64_t batch_committed(void)
{
	return b.committed;
}

/* batch_stuck - there is no space for the index */
bool batch_stuck(void)
{
	return b.stuck;
}

/* batch_full - enough for one transaction */
bool batch_full(void)
{
	return b.dirty.rcpts.n >= BATCH_FULL;
}

/* batch_idle - nothing is left to be written */
bool batch_idle(void)
{
	return !b.running && !b.result && !b.dirty.rcpts.n && !b.dirty.messages.n &&
	       !b.dirty.segments.n && !b.extra.count;
}

/* -- forming */

/* write_young - messages of a segment that have lived long enough get rows; where taken will be */
static void write_young(struct segment *seg)
{
	struct message *msg;
	uint64_t now = now_ms();
	while ((msg = seg->messages)) {
		if (!b.all && msg->offset >= seg->force && now - msg->read_ms < BATCH_AGE_MS)
			break;
		DL_DELETE(seg->messages, msg);
		message_rowed(msg);
		seg->rows++;
		seg->live_bytes += message_record_len(msg);
		batch_message(msg);
		struct rcpt *rcpt;
		DL_FOREACH2(msg->rcpts, rcpt, sib_next)
		{
			if (rcpt->state != RCPT_DONE)
				batch_rcpt(rcpt);
		}
	}
	seg->taking = msg ? msg->offset : seg->read;
}

/* move - a list of marked things into its twin, each written by put */
#define MOVE(name, type, put)                                 \
	do {                                                  \
		for (size_t i = 0; i < b.dirty.name.n; i++) { \
			type *thing = b.dirty.name.v[i];      \
			put(&b.ops, thing);                   \
		}                                             \
		struct list swap = b.writing.name;            \
		b.writing.name = b.dirty.name;                \
		b.dirty.name = swap;                          \
		b.dirty.name.n = 0;                           \
	} while (0)

/* form - one transaction of all that is marked, handed to the index thread */
static void form(void)
{
	b.soon = b.result = false;
	event_del(b.tick);
	for (size_t i = 0; i < b.dirty.segments.n; i++)
		write_young(b.dirty.segments.v[i]);
	b.all = false;
	index_ops_reset(&b.ops);
	b.running = true; /* marks made from here on belong to the next one */
	MOVE(messages, struct message, rows_put_message);
	MOVE(rcpts, struct rcpt, rows_put_rcpt);
	MOVE(segments, struct segment, rows_put_segment);
	if (b.extra.count) {
		wire_put_raw(&b.ops.out, b.extra.out.base, b.extra.out.len);
		b.ops.count += b.extra.count;
		index_ops_reset(&b.extra);
	}
	if (wire_out_end(&b.ops.out))
		log_fatal("out of memory for a transaction");
	b.next++;
	work_submit(work_index, &b.work);
	dispatch_held();
}

/* run_commit - on the index thread */
static void run_commit(struct work *work)
{
	(void)work;
	b.err = b.ops.count ? index_apply(&b.ops) : 0;
}

/* -- after a commit */

/* clean - the state after it was written */
static uint8_t clean(uint8_t state)
{
	return state == WRITE_AGAIN ? WRITE_DIRTY : WRITE_CLEAN;
}

/* rcpt_written - leaves memory, goes on, or stays */
static void rcpt_written(struct rcpt *rcpt)
{
	struct message *msg = rcpt->msg;
	rcpt->write = clean(rcpt->write);
	if (rcpt->write != WRITE_CLEAN)
		return;
	if (rcpt->state == RCPT_COMMITTING && !rcpt->held) {
		rcpt_enter(rcpt, RCPT_NEW);
		route_rcpt(rcpt);
	} else if (rcpt->state == RCPT_WAITING) {
		schedule_forget(rcpt);
	} else if (rcpt->state == RCPT_DONE) {
		rcpt_free(rcpt);
		message_release(msg);
	}
}

/* segments_written - their taken places hold now */
static void segments_written(void)
{
	for (size_t i = 0; i < b.writing.segments.n; i++) {
		struct segment *seg = b.writing.segments.v[i];
		seg->write = clean(seg->write);
		if (seg->taken != seg->taking && seg->writer) {
			seg->taken = seg->taking;
			link_say_taken(seg, seg->writer);
		}
		seg->taken = seg->taking;
	}
}

/* settle_all - hand everything that was written on */
static void settle_all(void)
{
	segments_written();
	for (size_t i = 0; i < b.writing.rcpts.n; i++)
		rcpt_written(b.writing.rcpts.v[i]);
	for (size_t i = 0; i < b.writing.messages.n; i++) {
		struct message *msg = b.writing.messages.v[i];
		msg->write = clean(msg->write);
		message_release(msg);
	}
	unsettled_commit();
	for (size_t i = 0; i < b.writing.segments.n; i++) {
		struct segment *seg = b.writing.segments.v[i];
		if (seg->messages)
			batch_segment(seg); /* their time comes */
		segment_unused(seg);
	}
	b.writing.rcpts.n = b.writing.messages.n = b.writing.segments.n = 0;
}

/* no_space - wait and try the same transaction again */
static void no_space(void)
{
	counter_add(C_queue_index_errors, 1);
	if (!b.stuck)
		log_warnc(b.err, "index: no space for a commit; tried again every second");
	b.stuck = true;
	event_add(b.tick, &(struct timeval){.tv_sec = BATCH_RETRY_MS / 1000});
}

/* batch_give_up - this index can't be trusted any more: start anew and rebuild it */
void batch_give_up(int err, const char *what)
{
	counter_add(C_queue_index_errors, 1);
	index_abandon();
	log_fatal("index: %s failed (%s); it is rebuilt at the next start", what, strerror(-err));
}

/* committed - in the loop: the transaction is in the index */
static void committed(struct work *work)
{
	(void)work;
	if (b.err == -ENOSPC) {
		no_space();
		return;
	}
	if (b.err)
		batch_give_up(b.err, "a commit");
	if (b.stuck)
		log_info("index: commits go through again");
	b.stuck = b.running = false;
	b.committed = b.next - 1;
	counter_add(C_queue_commits, 1);
	settle_all();
	waits_committed(b.committed);
	if (b.soon || waits_any())
		loop_defer(&b.now);
	else if (!batch_idle())
		arm();
	intake_resume();
}

/* batch_wait - be told when what is changed now is safe */
void batch_wait(struct batch_wait *wait, bool sync)
{
	waits_add(wait, b.next, sync);
	batch_soon();
}

/* batch_init - nothing marked, nothing committed */
void batch_init(void)
{
	memset(&b, 0, sizeof(b));
	index_ops_init(&b.ops);
	index_ops_init(&b.extra);
	b.next = 1;
	b.work.run = run_commit;
	b.work.done = committed;
	b.now.run = start_soon;
	b.tick = evtimer_new(loop_base(), on_tick, NULL);
	if (!b.tick)
		log_fatal("out of memory for a timer");
	waits_init();
}
