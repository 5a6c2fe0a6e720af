/* SPDX-License-Identifier: ISC */
/*
 * What query.c (the request and its answer, in the loop) and query_read.c (its slices, on the index
 * thread) share of qmgr/query.h; for nobody else. While a slice is being read its thread owns the
 * walk and, of a flush of everything, the totals.
 */
#pragma once

#include "lib/query.h"
#include "qmgr/batch.h"
#include "qmgr/load.h"
#include "qmgr/query.h"
#include "qmgr/work.h"

struct query {
	struct work work;
	struct batch_wait wait;
	struct chan *chan; /* NULL: the tool is gone */
	void (*ended)(void *arg);
	void *arg;
	struct event *timer;
	bool change, dry_run, rows_wanted, why;
	bool
	    everything; /* a flush of all mail of all users: what is due anyway stays where it is */
	enum query_verb verb;
	struct owner owner;
	struct query_filter filter;
	unsigned char filter_bytes[QUERY_FILTER_MAX];
	uint64_t ids[QUERY_IDS_MAX];
	/* the walk: where it stands, what the slice found */
	uint64_t now, at_id;
	uint32_t at_number;
	size_t at_index; /* in ids */
	struct rows rows;
	unsigned slow;   /* of them: those to be changed */
	unsigned passed; /* not among them: due anyway */
	bool more;
	int err;
	bool missed;      /* rows that had ended by the time they were looked at */
	unsigned repeats; /* walks that found nothing but those */
	/* the answer */
	struct query_totals totals;
	uint64_t flying;        /* changed, but a worker has them */
	unsigned uncommitted;   /* changed since the last commit that was ordered */
	struct batch_wait wave; /* that commit */
	bool waving, stalled;   /* it isn't through; and enough was changed for another one */
	uint64_t last_id;
	struct query_rows out;
	uint64_t out_id; /* of the open row; 0: none */
	unsigned char out_bytes[QUERY_ROWS_MAX];
};

/* Reads some more rows: the `run` of its work. */
void query_slice(struct work *work);
