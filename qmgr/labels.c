/* SPDX-License-Identifier: ISC */
/*
 * Candidates are a table by hash: each counts one site, and a site that meets another one in its
 * place takes one off there until it is free. So the busy ones rise whatever passes by.
 */
#include "qmgr/labels.h"

#include <string.h>

#include "lib/hash.h"
#include "lib/log.h"
#include "lib/metrics.h"
#include "lib/str.h"

static struct board_labels unshared, *labels = &unshared;
static struct {
	uint32_t hash, score;
} candidates[LABELS_CANDIDATES];
static uint32_t events;
static unsigned last_site; /* the row that was used last: mail for one site comes in rows */

/* labels_attach - or without the board */
void labels_attach(int fd)
{
	struct board_labels *shared = board_labels(fd);
	if (shared)
		labels = shared;
	else
		log_warn("what becomes of recipients is not counted by site");
}

/* add - so that a reader sees whole numbers */
static void add(uint64_t *at, uint64_t n)
{
	__atomic_fetch_add(at, n, __ATOMIC_RELAXED);
}

/* name_row - from now on it is that name's, and begins at 0 */
static void name_row(struct board_label *row, const char *name, uint32_t score)
{
	__atomic_fetch_add(&row->seq, 1, __ATOMIC_ACQ_REL);
	memset(row->ends, 0, sizeof(row->ends));
	str_copy_n(row->name, sizeof(row->name), name, strnlen(name, BOARD_NAME - 1));
	row->score = score;
	__atomic_fetch_add(&row->seq, 1, __ATOMIC_RELEASE);
}

/* halve - what was busy long ago is so no more */
static void halve(void)
{
	if (++events % LABELS_HALF)
		return;
	for (unsigned i = 0; i < BOARD_SITES; i++)
		labels->site[i].score /= 2;
	for (unsigned i = 0; i < LABELS_CANDIDATES; i++)
		candidates[i].score /= 2;
}

/* is - whether the row is that name's; names that are too long are one with their beginning */
static bool is(const struct board_label *row, const char *name)
{
	return strncmp(row->name, name, BOARD_NAME - 1) == 0;
}

/* rise - one more of a site without a row; its score */
static uint32_t rise(const char *name)
{
	uint32_t hash = 2166136261u;
	for (const char *p = name; *p; p++)
		hash = (hash ^ (unsigned char)*p) * 16777619u;
	unsigned at = hash % LABELS_CANDIDATES;
	if (candidates[at].hash == hash)
		return ++candidates[at].score;
	if (candidates[at].score > 0) {
		candidates[at].score--;
		return 0;
	}
	candidates[at].hash = hash;
	return candidates[at].score = 1;
}

/* site_row - the row of a site: its own, one that it gets now, or the last one */
static struct board_label *site_row(const char *name)
{
	unsigned least = 0;
	if (is(&labels->site[last_site], name))
		return &labels->site[last_site];
	if (strcmp(name, METRICS_OTHER) == 0)
		return &labels->site[BOARD_SITES];
	for (unsigned i = 0; i < BOARD_SITES; i++) {
		struct board_label *row = &labels->site[i];
		if (!row->name[0])
			name_row(row, name, 0);
		if (is(row, name)) {
			last_site = i;
			return row;
		}
		if (row->score < labels->site[least].score)
			least = i;
	}
	uint32_t score = rise(name);
	if (score <= 2 * (uint64_t)labels->site[least].score + LABELS_LEAD)
		return &labels->site[BOARD_SITES];
	name_row(&labels->site[least], name, score);
	last_site = least;
	return &labels->site[least];
}

/* class_row - classes come from the configuration: the first ones have a row for good */
static unsigned class_row(const char *name)
{
	if (strcmp(name, METRICS_OTHER) == 0)
		return BOARD_CLASSES;
	for (unsigned i = 0; i < BOARD_CLASSES; i++) {
		struct board_label *row = &labels->class[i];
		if (!row->name[0])
			name_row(row, name, 0);
		if (is(row, name))
			return i;
	}
	return BOARD_CLASSES;
}

/* labels_count - both */
void labels_count(const char *site, const char *class, enum board_end end)
{
	add(&labels->class[class_row(class)].ends[end], 1);
	if (!site || !site[0])
		return;
	struct board_label *row = site_row(site);
	add(&row->ends[end], 1);
	row->score++;
	halve();
}

/* labels_latency - into its bucket */
void labels_latency(const char *class, uint64_t ms)
{
	struct board_latency *at = &labels->latency[class_row(class)];
	unsigned i = 0;
	while (i < BOARD_LATENCIES && ms > board_latency_ms[i])
		i++;
	add(&at->bucket[i], 1);
	add(&at->sum_ms, ms);
}
