/* SPDX-License-Identifier: ISC */
/*
 * A table by place. Where the place is below what intake had read, the recipient's rows are fetched
 * on the index thread: the record's header gives the ID, the ID the rows. That ID is also how the
 * recipient is found in memory when the answer comes back.
 */
#include "qmgr/claims.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "lib/hash.h"
#include "lib/job.h"
#include "lib/log.h"
#include "qmgr/batch.h"
#include "qmgr/dest.h"
#include "qmgr/index.h"
#include "qmgr/links.h"
#include "qmgr/load.h"
#include "qmgr/message.h"
#include "qmgr/route.h"
#include "qmgr/schedule.h"
#include "qmgr/segments.h"
#include "qmgr/settle.h"
#include "qmgr/spool.h"
#include "qmgr/work.h"

/* No padding: it is hashed as bytes. */
struct place {
	uint64_t segment, offset;
	uint64_t number;
};

/* One result of a place, in the order they came. */
struct said {
	struct said *next;
	struct worker *worker; /* NULL: gone */
	uint64_t position;     /* of its entry among the worker's results */
	uint8_t kind, outcome, passed;
	uint16_t code;
	char *status, *text, *host, *address, *tls;
	char *members; /* OUT_EXPANDED */
	size_t members_len;
};

struct claim {
	struct place place;
	struct worker *on_wire; /* it has the recipient; NULL: nobody */
	struct said *said;
	struct rcpt *rcpt; /* CLAIMED */
	bool looking;      /* being fetched */
	UT_hash_handle hh;
};

static struct claim *table;
static unsigned looking;
static void (*when_found)(void);

/* claims_any - the short way for everybody */
bool claims_any(void)
{
	return table != NULL;
}

/* found_all - tell who waits for it */
static void found_all(void)
{
	void (*fn)(void) = when_found;
	if (looking || !fn)
		return;
	when_found = NULL;
	fn();
}

/* claims_when_found - nothing is being fetched */
void claims_when_found(void (*fn)(void))
{
	when_found = fn;
	found_all();
}

/* text - a copy */
static char *text(struct msg_bytes t)
{
	char *s = strndup(t.data ? t.data : "", t.len);
	if (!s)
		log_fatal("out of memory");
	return s;
}

/* said_free - and the worker's entry waits for one less */
static void said_free(struct said *s)
{
	if (s->worker) {
		struct unsettled *u = unsettled_at(s->worker, s->position);
		u->claims--;
		u->batch = batch_next();
		batch_result();
	}
	free(s->status);
	free(s->text);
	free(s->host);
	free(s->address);
	free(s->tls);
	free(s->members);
	free(s);
}

/* claim_free - nothing is claimed there any more */
static void claim_free(struct claim *c)
{
	while (c->said) {
		struct said *s = c->said;
		LL_DELETE(c->said, s);
		said_free(s);
	}
	HASH_DELETE(hh, table, c);
	free(c);
}

/* settle - what was said is applied to the recipient, which may be gone then; the claim is over */
static void settle(struct claim *c, struct rcpt *rcpt)
{
	struct said *s = c->said;
	LL_DELETE(c->said, s);
	const struct via via = {.kind = s->kind,
	    .host = msg_str(s->host),
	    .address = msg_str(s->address),
	    .tls = msg_str(s->tls)};
	const struct job_result result = {.number = rcpt->number,
	    .outcome = s->outcome,
	    .passed = s->passed,
	    .code = s->code,
	    .status = msg_str(s->status),
	    .text = msg_str(s->text),
	    .members = msg_bytes(s->members, s->members_len)};
	bool more = c->said || c->on_wire;
	c->rcpt = NULL;
	if (!more)
		claim_free(c); /* so that placing it doesn't find the claim again */
	if (result.outcome == OUT_NOT_TRIED || result.outcome == OUT_TOO_MANY)
		schedule_place(rcpt);
	else
		settle_result(rcpt, &result, &via);
	said_free(s);
}

/* take_over - the claim has its recipient */
static void take_over(struct claim *c, struct rcpt *rcpt)
{
	schedule_leave(rcpt);
	if (c->said) {
		settle(c, rcpt);
	} else {
		rcpt_enter(rcpt, RCPT_CLAIMED);
		c->rcpt = rcpt;
	}
}

/* find - by place */
static struct claim *find(uint64_t segment, uint64_t offset, uint32_t number)
{
	const struct place place = {.segment = segment, .offset = offset, .number = number};
	struct claim *c;
	HASH_FIND(hh, table, &place, sizeof(place), c);
	return c;
}

/* claims_take - a recipient is about to be placed */
bool claims_take(struct rcpt *rcpt)
{
	struct claim *c = find(rcpt->msg->segment->name, rcpt->msg->offset, rcpt->number);
	if (!c || (!c->said && !c->on_wire))
		return false;
	take_over(c, rcpt);
	return true;
}

/* claims_ended - the recipients of a record that the done list names */
void claims_ended(uint64_t segment, uint64_t offset)
{
	struct claim *c, *tmp;
	HASH_ITER (hh, table, c, tmp) {
		if (c->place.segment == segment && c->place.offset == offset && !c->looking &&
		    !c->rcpt)
			claim_free(c);
	}
}

/* claims_ended_rcpt - one recipient that the done list names */
void claims_ended_rcpt(uint64_t segment, uint64_t offset, uint32_t number)
{
	struct claim *c = find(segment, offset, number);
	if (c && !c->looking && !c->rcpt)
		claim_free(c);
}

/* -- looking for the recipient */

struct fetch {
	struct work work;
	struct place place;
	struct segment *seg;
	struct rows rows;
	uint64_t id;
	int err;
};

/* read_id - of the record at the place */
static int read_id(struct fetch *f)
{
	unsigned char header[RECORD_HEADER];
	struct record_place place = {
	    .segment = f->place.segment, .nonce = f->seg->nonce, .offset = f->place.offset};
	struct record rec;
	uint64_t size;
	int fd;
	int err = spool_open_read(f->place.segment, &fd, &size);
	if (err)
		return err;
	ssize_t n = pread(fd, header, sizeof(header), (off_t)f->place.offset);
	close(fd);
	if (n != sizeof(header))
		return n < 0 ? -errno : -ENOENT;
	err = record_get_header(header, sizeof(header), &place, &rec);
	if (!err)
		f->id = rec.id;
	return err;
}

/* run_fetch - on the index thread */
static void run_fetch(struct work *work)
{
	struct fetch *f = (struct fetch *)work;
	f->err = read_id(f);
	if (f->err || (f->err = index_read_begin()))
		return;
	f->err = rows_add(&f->rows, f->id, (uint32_t)f->place.number);
	if (f->err == -ENOENT)
		f->err = 0; /* ended, or not in the index yet */
	index_read_end();
}

/* found - the claim's recipient is in memory: bound if it is nobody's yet */
static void found(struct claim *c, struct rcpt *rcpt)
{
	switch (rcpt->state) {
	case RCPT_READY:
		dest_remove(rcpt->dest, rcpt);
		take_over(c, rcpt);
		break;
	case RCPT_NEW:
	case RCPT_WAITING:
		take_over(c, rcpt);
		break;
	case RCPT_EXPANDING:
	case RCPT_COMMITTING:
	case RCPT_OPENING:
	case RCPT_BLOCKED:
		break; /* schedule_place() will ask */
	default:
		claim_free(c); /* ended, or given to another: the claim came too late */
	}
}

/* fetched - in the loop */
static void fetched(struct work *work)
{
	struct fetch *f = (struct fetch *)work;
	struct claim *c = find(f->place.segment, f->place.offset, (uint32_t)f->place.number);
	struct row row;
	size_t pos = 0;
	looking--;
	f->seg->refs--;
	if (f->err)
		log_warnc(f->err, "segment %016llx: looking for the record at %llu",
		    (unsigned long long)f->place.segment, (unsigned long long)f->place.offset);
	if (c) {
		c->looking = false;
		struct message *msg = message_find(f->id);
		struct rcpt *rcpt = msg ? rcpt_find(msg, (uint32_t)f->place.number) : NULL;
		if (!rcpt && rows_next(&f->rows, &pos, &row) == 1 && (rcpt = row_load(&row)))
			route_assign(rcpt);
		if (rcpt)
			found(c, rcpt);
		else if (f->place.offset < f->seg->read)
			claim_free(c); /* it has ended */
	}
	rows_free(&f->rows);
	segment_unused(f->seg);
	free(f);
	found_all();
}

/* look - have the rows fetched */
static void look(struct claim *c, struct segment *seg)
{
	if (c->looking || c->rcpt)
		return;
	struct fetch *f = calloc(1, sizeof(*f));
	if (!f)
		log_fatal("out of memory");
	f->work.run = run_fetch;
	f->work.done = fetched;
	f->place = c->place;
	f->seg = seg;
	rows_init(&f->rows);
	c->looking = true;
	looking++;
	seg->refs++;
	work_submit(work_index, &f->work);
}

/* claim_at - the claim on a place, made if needed; NULL: all of that segment has ended */
static struct claim *claim_at(uint64_t segment, uint64_t offset, uint32_t number)
{
	struct segment *seg = segment_find(segment);
	struct claim *c = find(segment, offset, number);
	if (c || !seg || seg->state == SEGMENT_DEAD)
		return c;
	c = calloc(1, sizeof(*c));
	if (!c)
		log_fatal("out of memory");
	c->place = (struct place){.segment = segment, .offset = offset, .number = number};
	HASH_ADD(hh, table, place, sizeof(c->place), c);
	if (!hash_added(c))
		log_fatal("out of memory");
	if (offset < seg->read)
		look(c, seg);
	return c;
}

/* -- what workers say */

/* say - one result of a place */
static void say(struct worker *w, uint64_t position, const struct msg_deliver_result *m,
    const struct job_result *result)
{
	struct claim *c = claim_at(m->segment, m->offset, result->number);
	if (!c)
		return;
	struct said *s = calloc(1, sizeof(*s));
	if (!s)
		log_fatal("out of memory");
	s->worker = w;
	s->position = position;
	s->kind = m->kind;
	s->outcome = result->outcome;
	s->passed = result->passed;
	s->code = result->code;
	s->status = text(result->status);
	s->text = text(result->text);
	s->host = text(m->host);
	s->address = text(m->address);
	s->tls = text(m->tls);
	s->members_len = result->members.len;
	s->members = malloc(s->members_len + 1);
	if (!s->members)
		log_fatal("out of memory");
	memcpy(s->members, result->members.data, s->members_len);
	unsettled_at(w, position)->claims++;
	LL_APPEND(c->said, s);
	if (c->on_wire == w)
		c->on_wire = NULL;
	if (c->rcpt)
		settle(c, c->rcpt);
}

/* claims_result - all results of the message */
void claims_result(struct worker *w, const struct msg_deliver_result *m)
{
	struct segment *seg = segment_find(m->segment);
	uint64_t position = unsettled_add(w, m->seq, seg, m->offset, batch_next());
	struct job_result result;
	size_t pos = 0;
	while (job_next_result(m->results, &pos, &result) == 1)
		say(w, position, m, &result);
	batch_result();
}

/* claims_inflight - it has these on the wire */
void claims_inflight(struct worker *w, struct msg_bytes places)
{
	struct job_place place;
	size_t pos = 0;
	while (job_next_place(places, &pos, &place) == 1) {
		struct claim *c = claim_at(place.segment, place.offset, place.number);
		if (c)
			c->on_wire = w;
	}
}

/* claims_worker_gone - what it had on the wire may be tried again */
void claims_worker_gone(struct worker *w)
{
	struct claim *c, *tmp;
	struct said *s;
	HASH_ITER (hh, table, c, tmp) {
		LL_FOREACH (c->said, s) {
			if (s->worker == w)
				s->worker = NULL;
		}
		if (c->on_wire != w)
			continue;
		c->on_wire = NULL;
		struct rcpt *rcpt = c->rcpt;
		if (c->said || c->looking)
			continue;
		c->rcpt = NULL;
		claim_free(c);
		if (rcpt)
			schedule_place(rcpt);
	}
}
