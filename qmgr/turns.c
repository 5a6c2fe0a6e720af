/* SPDX-License-Identifier: ISC */
/*
 * Stride scheduling: a share's time grows by what it sent over its weight, and the one with the
 * least time is next. One that was idle comes back at the present time: it has saved up nothing.
 *
 * Lanes and bundles live as long as something of them is ready. A bundle is only looked for by its
 * message when that has more than one living recipient.
 */
#include "qmgr/turns.h"

#include <stdlib.h>

#include "lib/hash.h"
#include "lib/log.h"
#include "qmgr/class.h"
#include "qmgr/dest.h"
#include "qmgr/message.h"
#include "qmgr/site.h"

#define STRIDE UINT64_C(1000000) /* time of a recipient at weight 1 */

/* A class in a pool. */
struct share {
	const struct class *class;
	uint64_t time;
	struct lane *ring; /* whose turn it is first; NULL: idle */
	struct share *next;
};

/* A sender of a class in a pool. */
struct lane {
	struct {
		struct pool *pool;
		uint64_t lane;
	} key;
	struct share *share;
	struct lane *next, *prev; /* of the ring */
	struct bundle *bundles;
	UT_hash_handle hh;
};

struct bundle {
	struct {
		struct message *msg;
		struct dest *dest;
		uint64_t stage;
	} key;
	struct lane *lane;
	struct bundle *next, *prev; /* of the lane */
	struct rcpt *rcpts;
	bool listed;       /* in the table */
	UT_hash_handle hh; /* if so: else it has no memory for this */
};

static struct lane *lanes;
static struct bundle *bundles;

/* get_share - of a class, made if needed */
static struct share *get_share(struct turns *turns, const struct class *class)
{
	struct share *share;
	LL_FOREACH (turns->shares, share) {
		if (share->class == class)
			return share;
	}
	share = calloc(1, sizeof(*share));
	if (!share)
		log_fatal("out of memory for a class");
	share->class = class;
	LL_PREPEND(turns->shares, share);
	return share;
}

/* get_lane - of a recipient, made if needed */
static struct lane *get_lane(struct pool *pool, const struct rcpt *rcpt)
{
	struct lane *lane, find = {.key = {.pool = pool, .lane = rcpt->lane}};
	HASH_FIND(hh, lanes, &find.key, sizeof(find.key), lane);
	if (lane)
		return lane;
	lane = calloc(1, sizeof(*lane));
	if (!lane)
		log_fatal("out of memory for a sender");
	lane->key = find.key;
	lane->share = get_share(&pool->turns, rcpt->class);
	HASH_ADD(hh, lanes, key, sizeof(lane->key), lane);
	if (!hash_added(lane))
		log_fatal("out of memory for a sender");
	if (!lane->share->ring && lane->share->time < pool->turns.now)
		lane->share->time = pool->turns.now;
	DL_APPEND(lane->share->ring, lane);
	return lane;
}

/* find_bundle - what else is ready of that message at that destination, or NULL */
static struct bundle *find_bundle(const struct rcpt *rcpt)
{
	struct bundle *bundle, find = {.key = {rcpt->msg, rcpt->dest, rcpt->stage}};
	if (rcpt->msg->left < 2)
		return NULL;
	HASH_FIND(hh, bundles, &find.key, sizeof(find.key), bundle);
	return bundle;
}

/* new_bundle - at its place in the lane */
static struct bundle *new_bundle(struct pool *pool, const struct rcpt *rcpt, bool front)
{
	bool listed = rcpt->msg->left > 1;
	struct bundle *bundle = calloc(1, listed ? sizeof(*bundle) : offsetof(struct bundle, hh));
	if (!bundle)
		log_fatal("out of memory for a transaction");
	bundle->key.msg = rcpt->msg;
	bundle->key.dest = rcpt->dest;
	bundle->key.stage = rcpt->stage;
	bundle->lane = get_lane(pool, rcpt);
	if (front)
		DL_PREPEND(bundle->lane->bundles, bundle);
	else
		DL_APPEND(bundle->lane->bundles, bundle);
	bundle->listed = listed;
	if (!listed)
		return bundle;
	HASH_ADD(hh, bundles, key, sizeof(bundle->key), bundle);
	if (!hash_added(bundle))
		log_fatal("out of memory for a transaction");
	return bundle;
}

/* turns_add - to its bundle */
void turns_add(struct pool *pool, struct rcpt *rcpt, bool front)
{
	struct bundle *bundle = find_bundle(rcpt);
	if (!bundle)
		bundle = new_bundle(pool, rcpt, front);
	rcpt->bundle = bundle;
	if (front)
		DL_PREPEND2(bundle->rcpts, rcpt, turn_prev, turn_next);
	else
		DL_APPEND2(bundle->rcpts, rcpt, turn_prev, turn_next);
}

/* turns_remove - and what is empty without it */
void turns_remove(struct rcpt *rcpt)
{
	struct bundle *bundle = rcpt->bundle;
	struct lane *lane = bundle->lane;
	rcpt->bundle = NULL;
	DL_DELETE2(bundle->rcpts, rcpt, turn_prev, turn_next);
	if (bundle->rcpts)
		return;
	DL_DELETE(lane->bundles, bundle);
	if (bundle->listed)
		HASH_DELETE(hh, bundles, bundle);
	free(bundle);
	if (lane->bundles)
		return;
	DL_DELETE(lane->share->ring, lane);
	HASH_DELETE(hh, lanes, lane);
	free(lane);
}

/* turns_first - of the share with the least time */
struct rcpt *turns_first(const struct pool *pool)
{
	const struct share *share, *best = NULL;
	LL_FOREACH (pool->turns.shares, share) {
		if (share->ring && (!best || share->time < best->time))
			best = share;
	}
	return best ? best->ring->bundles->rcpts : NULL;
}

/* turns_more - of the bundle */
struct rcpt *turns_more(const struct rcpt *rcpt)
{
	return rcpt->turn_next;
}

/* turns_used - the share pays, the sender goes behind the others */
void turns_used(struct pool *pool, const struct rcpt *first, unsigned n)
{
	struct lane *lane = first->bundle->lane;
	struct share *share = lane->share;
	pool->turns.now = share->time;
	share->time += n * STRIDE / class_weight(share->class);
	if (!lane->next)
		return; /* it is last already, and perhaps alone */
	DL_DELETE(share->ring, lane);
	DL_APPEND(share->ring, lane);
}

/* turns_has - of a class */
bool turns_has(const struct pool *pool, const struct class *class)
{
	const struct share *share;
	LL_FOREACH (pool->turns.shares, share) {
		if (share->class == class)
			return share->ring != NULL;
	}
	return false;
}

/* turns_free - the shares */
void turns_free(struct pool *pool)
{
	struct share *share, *tmp;
	LL_FOREACH_SAFE (pool->turns.shares, share, tmp)
		free(share);
	pool->turns = (struct turns){0};
}
