/* SPDX-License-Identifier: ISC */
/* A message whose recipients are in several groups counts as one message, and its bytes, in each.
 */
#include "cli/groups.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/fast.h"
#include "cli/listing.h"
#include "cli/style.h"
#include "cli/tool.h"
#include "lib/hash.h"

struct group {
	uint64_t messages, recipients, bytes, oldest_ms;
	uint64_t last_id; /* counted as a message already */
	UT_hash_handle hh;
	size_t len;
	char name[];
};

enum by { BY_SITE, BY_REASON, BY_SENDER, BY_CLASS, BYS };
static const char *const bys[BYS] = {"site", "reason", "sender", "class"};

struct groups {
	enum by by;
	struct group *table, *others;
};

/* make - a group of that name, in no table */
static struct group *make(struct msg_bytes name)
{
	struct group *group = calloc(1, sizeof(*group) + name.len + 1);

	if (!group) {
		fputs("out of memory\n", stderr);
		exit(TOOL_FAILED);
	}
	group->len = name.len;
	memcpy(group->name, name.data, name.len);
	return group;
}

/* find - the group of that name, made if there may be more */
static struct group *find(struct groups *g, struct msg_bytes name)
{
	struct group *group;

	HASH_FIND(hh, g->table, name.data, name.len, group);
	if (group)
		return group;
	if (HASH_COUNT(g->table) < GROUPS_MAX) {
		group = make(name);
		HASH_ADD(hh, g->table, name, group->len, group);
		if (hash_added(group))
			return group;
		free(group);
	}
	if (!g->others)
		g->others = make(msg_str("(others)"));
	return g->others;
}

/* name_of - what a recipient is grouped by */
static struct msg_bytes name_of(
    const struct groups *g, const struct query_row *row, const struct query_rcpt *rcpt)
{
	switch (g->by) {
	case BY_SITE:
		return rcpt->site.len ? rcpt->site : msg_str("(not known yet)");
	case BY_REASON:
		return rcpt->reason.len ? rcpt->reason : msg_str("(none yet)");
	case BY_SENDER:
		return row->sender.len ? row->sender : msg_str("<>");
	default:
		return row->class;
	}
}

/* count_row - all recipients of a row */
static int count_row(const struct query_row *row, void *arg)
{
	struct groups *g = arg;
	struct query_rcpt rcpt;
	size_t pos = 0;
	int r;

	while ((r = query_next_rcpt(row->rcpts, &pos, &rcpt)) == 1) {
		struct group *group = find(g, name_of(g, row, &rcpt));

		group->recipients++;
		if (!group->oldest_ms || row->arrival_ms < group->oldest_ms)
			group->oldest_ms = row->arrival_ms;
		if (group->last_id == row->id)
			continue;
		group->last_id = row->id;
		group->messages++;
		group->bytes += row->size;
	}
	return r;
}

/* larger - the order of the table: most recipients first, then by name */
static int larger(const void *a, const void *b)
{
	const struct group *x = *(struct group *const *)a, *y = *(struct group *const *)b;

	if (x->recipients != y->recipients)
		return x->recipients < y->recipients ? 1 : -1;
	return strcmp(x->name, y->name);
}

/* print_json - one object a line */
static void print_json(const struct groups *g, const struct group *group)
{
	fast_text("{\"");
	fast_text(bys[g->by]);
	fast_text("\":");
	fast_json(msg_bytes(group->name, group->len));
	fast_text(",\"messages\":");
	fast_u64(group->messages);
	fast_text(",\"recipients\":");
	fast_u64(group->recipients);
	fast_text(",\"bytes\":");
	fast_u64(group->bytes);
	fast_text(",\"oldest\":");
	fast_seconds(group->oldest_ms);
	fast_text("}\n");
}

/* print_text - a line of the table; the name is last, for it may be long */
static void print_text(const struct group *group)
{
	char line[120], when[STYLE_TEXT];

	snprintf(line, sizeof(line), "%10" PRIu64 " %10" PRIu64 " %9" PRIu64 "K  %s  ",
	    group->messages, group->recipients, (group->bytes + 1023) / 1024,
	    style_when(when, group->oldest_ms));
	fast_text(line);
	fast_clean(msg_bytes(group->name, group->len));
	fast_char('\n');
}

/* print_all - in order */
static int print_all(const struct groups *g, bool json)
{
	size_t n = 0, room = HASH_COUNT(g->table) + 1u;
	struct group **list = calloc(room, sizeof(struct group *));
	struct group *group;

	if (!list) {
		fputs("out of memory\n", stderr);
		return TOOL_FAILED;
	}
	for (group = g->table; group; group = group->hh.next)
		list[n++] = group;
	if (g->others)
		list[n++] = g->others;
	qsort(list, n, sizeof(struct group *), larger);
	if (!json && n) {
		fast_text("  messages recipients       size  oldest               ");
		fast_text(bys[g->by]);
		fast_char('\n');
	}
	for (size_t i = 0; i < n; i++) {
		if (json)
			print_json(g, list[i]);
		else
			print_text(list[i]);
	}
	free(list);
	return fast_flush() ? TOOL_FAILED : TOOL_OK;
}

/* groups_print - count, then print */
int groups_print(
    const struct conf *conf, const struct query_filter *filter, const char *by, bool json)
{
	struct groups g = {.by = BYS};
	int r;

	for (unsigned i = 0; i < BYS; i++)
		if (strcmp(by, bys[i]) == 0)
			g.by = (enum by)i;
	if (g.by == BYS) {
		fprintf(stderr, "--by wants site, reason, sender or class\n");
		return TOOL_USAGE;
	}
	r = listing_ask(conf, filter, QUERY_ROWS, count_row, &g);
	return r ? r : print_all(&g, json);
}
