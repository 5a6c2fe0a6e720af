/* SPDX-License-Identifier: ISC */
/*
 * A slice of a walk, on the index thread. A visit reads what is due of one lane, up to a number of
 * recipients; sweep and rounds are visits one after the other.
 */
#include <errno.h>
#include <string.h>

#include "qmgr/index.h"
#include "qmgr/walk.h"

struct visit {
	const struct walk
	    *walk; /* sweeping: the first key says which lane; an open one is passed */
	struct walk_slice *slice;
	struct due_key last; /* where it begins, then what was read last */
	uint32_t max, n;
	uint64_t next; /* due time of the first key that wasn't read; WALK_NEVER: there is none */
	bool found;    /* a key of the lane */
	bool more;     /* the next one is due too */
	bool passed;   /* the lane is open */
};

/* same - one place */
static bool same(const struct due_key *a, const struct due_key *b)
{
	return a->due == b->due && a->id == b->id && a->number == b->number;
}

/* visit_key - the walk's callback */
static int visit_key(
    struct msg_bytes key, struct msg_bytes value, struct msg_bytes *seek, void *arg)
{
	struct visit *v = arg;
	struct walk_slice *s = v->slice;
	struct msg_bytes dest;
	struct due_key at;
	(void)value, (void)seek;
	int err = keys_get_due(key.data, key.len, &dest, &at);
	if (err)
		return err;
	if (dest.len != s->dest_len || memcmp(dest.data, s->dest, dest.len))
		return 1;
	if (v->walk && !v->found) {
		const struct lane_at *open = walk_find(v->walk, at.lane);
		v->last.lane = at.lane;
		v->found = true;
		v->passed = open && open->whole;
		if (v->passed)
			return 1;
	}
	if (at.lane != v->last.lane)
		return 1;
	v->found = true;
	if (same(&at, &v->last))
		return 0;
	v->more = at.due <= s->now || at.due > s->latest;
	if (!v->more || v->n == v->max) {
		v->next = at.due;
		return 1;
	}
	v->more = false;
	v->n++;
	v->last = at;
	return rows_add(&s->rows, at.id, at.number);
}

/* visit - from v->last on */
static int visit(struct visit *v)
{
	unsigned char key[KEYS_DUE_MAX];
	size_t len = keys_due(key, v->slice->dest, v->slice->dest_len, &v->last);
	v->next = WALK_NEVER;
	int err = index_walk(TABLE_DUE, key, len, visit_key, v);
	return err < 0 ? err : 0;
}

/* read_up - the lane has nothing more that is due */
static void read_up(struct walk *walk, struct lane_at *at, uint64_t next)
{
	if (at)
		walk_close(walk, at);
	if (next < walk->later)
		walk->later = next;
}

/* keep - the lane has more: it is open now */
static void keep(struct walk *walk, const struct visit *v)
{
	struct lane_at *at = walk_find(walk, v->last.lane);
	struct lane_at now = {.last = v->last, .take = v->slice->fresh, .whole = true};
	if (at)
		*at = now;
	else if (!v->slice->may_open || !walk_open(walk, &now))
		walk->again = true;
}

/* end_sweep - with a rest in proportion */
static void end_sweep(struct walk *walk, uint64_t now)
{
	walk->sweeping = false;
	walk->rest_till = now + SWEEP_REST + walk->looked / SWEEP_REST;
}

/* sweep - the first few of each lane, from where the last slice ended */
static int sweep(struct walk *walk, struct walk_slice *s, uint32_t max)
{
	for (uint32_t looked = 0; looked < SWEEP_LANES && s->rows.n < max; looked++) {
		uint32_t left = max - s->rows.n;
		struct visit v = {.walk = walk,
		    .slice = s,
		    .last.lane = walk->next,
		    .max = left < LANE_TURN ? left : LANE_TURN};
		int err = visit(&v);
		if (err)
			return err;
		if (!v.found) {
			end_sweep(walk, s->now);
			return 0;
		}
		walk->looked++;
		if (v.more)
			keep(walk, &v);
		else if (!v.passed)
			read_up(walk, walk_find(walk, v.last.lane), v.next);
		if (v.last.lane == UINT32_MAX) {
			end_sweep(walk, s->now);
			return 0;
		}
		walk->next = v.last.lane + 1;
	}
	return 0;
}

/* serve - an open lane's share; it may be closed afterwards */
static int serve(struct walk *walk, struct walk_slice *s, struct lane_at *at, uint32_t max)
{
	struct visit v = {.slice = s, .last = at->last, .max = max};
	walk->round = at->last.lane;
	int err = visit(&v);
	if (err)
		return err;
	at->last = v.last;
	at->take -= v.n < at->take ? v.n : at->take;
	if (!v.more)
		read_up(walk, at, v.next);
	return 0;
}

/* round_of_lanes - each open lane once, from the one behind the last; how many rows were read or
 * -E.... */
static int round_of_lanes(struct walk *walk, struct walk_slice *s)
{
	uint32_t before = s->rows.n, lanes = walk->nopen;
	uint32_t share = (s->max - before) / lanes;
	for (uint32_t i = 0; i < lanes && walk->nopen && s->rows.n < s->max; i++) {
		struct lane_at *at = walk_behind(walk, walk->round);
		uint32_t max = share ? share : 1;
		if (max > s->max - s->rows.n)
			max = s->max - s->rows.n;
		if (max > at->take)
			max = at->take;
		walk->round = at->last.lane;
		int err = max ? serve(walk, s, at, max) : 0;
		if (err)
			return err;
	}
	return (int)(s->rows.n - before);
}

/* walk_read - some of the sweep, then rounds */
int walk_read(struct walk *walk, struct walk_slice *s)
{
	int err = index_read_begin(), n = 1;
	if (!err && walk->sweeping)
		err = sweep(walk, s, walk->nopen ? (s->max + 1) / 2 : s->max);
	while (!err && n > 0 && walk->nopen && s->rows.n < s->max) {
		n = round_of_lanes(walk, s);
		err = n < 0 ? n : 0;
	}
	index_read_end();
	return err;
}
