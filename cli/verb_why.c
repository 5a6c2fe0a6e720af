/* SPDX-License-Identifier: ISC */
/* why: for each recipient of a message what it waits for, and what to do about it. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "cli/fast.h"
#include "cli/filter.h"
#include "cli/listing.h"
#include "cli/style.h"
#include "cli/tool.h"
#include "cli/verbs.h"
#include "lib/qid.h"

struct why {
	bool json;
	uint64_t last_id, found;
	uint64_t now_ms;
};

/* hint_of - what could be done about it; "" for nothing */
static const char *hint_of(const struct query_rcpt *rcpt)
{
	switch (rcpt->wait) {
	case QUERY_WAIT_TIME:
		return "`batonctl flush ID` tries it now";
	case QUERY_WAIT_DOWN:
		return "`batonctl flush ID` probes the site now";
	case QUERY_WAIT_PAUSE:
		return "`batonctl resume` ends a pause, `batonctl pause` lists them";
	case QUERY_WAIT_RELEASE:
		return "`batonctl release ID` gives it its turn, `batonctl delete ID` drops it";
	case QUERY_WAIT_LIMIT:
		return "`batonctl sites` shows the site; its limits are in sites.conf";
	case QUERY_WAIT_DNS:
		return "`batonctl sites` shows what DNS said last";
	default:
		return "";
	}
}

/* text_next - the next attempt, in and at */
static void text_next(const struct why *why, const struct query_rcpt *rcpt)
{
	uint64_t left = rcpt->next_ms > why->now_ms ? rcpt->next_ms - why->now_ms : 0;
	char text[STYLE_TEXT];

	if (!rcpt->next_ms)
		return;
	fast_text("    next:  in ");
	fast_text(style_span(text, left + 999));
	fast_text(" (");
	fast_text(style_when(text, rcpt->next_ms));
	fast_text(")\n");
}

/* text_rcpt - some lines */
static void text_rcpt(const struct why *why, const struct query_rcpt *rcpt)
{
	fast_text("  ");
	fast_clean(rcpt->address);
	fast_text(": ");
	fast_text(query_state_name(rcpt->state));
	fast_text(", ");
	fast_u64(rcpt->attempts);
	fast_text(rcpt->attempts == 1 ? " attempt\n    waits: " : " attempts\n    waits: ");
	fast_clean(rcpt->wait_text);
	fast_char('\n');
	if (rcpt->reason.len) {
		fast_text("    last:  ");
		fast_clean(rcpt->reason);
		fast_char('\n');
	}
	text_next(why, rcpt);
	if (hint_of(rcpt)[0]) {
		fast_text("    hint:  ");
		fast_text(hint_of(rcpt));
		fast_char('\n');
	}
}

/* text_head - the message */
static void text_head(const struct query_row *row, const char *id)
{
	char when[STYLE_TEXT];

	fast_text(id);
	fast_text(" from <");
	fast_clean(row->sender);
	fast_text(">, ");
	fast_u64(row->size);
	fast_text(" bytes, class ");
	fast_clean(row->class);
	fast_text(", arrived ");
	fast_text(style_when(when, row->arrival_ms));
	fast_char('\n');
}

/* json_rcpt - an object a recipient */
static void json_rcpt(const struct query_rcpt *rcpt, const char *id)
{
	fast_text("{\"id\":\"");
	fast_text(id);
	fast_text("\",");
	listing_json_rcpt(rcpt);
	fast_text(",\"wait\":\"");
	fast_text(query_wait_name(rcpt->wait));
	fast_text("\",\"waits\":");
	fast_json(rcpt->wait_text);
	fast_text(",\"last\":");
	fast_json(rcpt->reason);
	fast_text(",\"hint\":");
	fast_json(msg_str(hint_of(rcpt)));
	fast_text("}\n");
}

/* on_row - a message, or more of its recipients */
static int on_row(const struct query_row *row, void *arg)
{
	struct why *why = arg;
	struct query_rcpt rcpt;
	char id[QID_TEXT_MAX];
	size_t pos = 0;
	int r;

	qid_format(id, row->id);
	if (!why->json && why->last_id != row->id)
		text_head(row, id);
	why->last_id = row->id;
	while ((r = query_next_rcpt(row->rcpts, &pos, &rcpt)) == 1) {
		why->found++;
		if (why->json)
			json_rcpt(&rcpt, id);
		else
			text_rcpt(why, &rcpt);
	}
	return r;
}

/* verb_why - of IDs, or what a filter says */
int verb_why(const struct conf *conf, int argc, char **argv)
{
	struct filter_options options;
	struct why why = {.now_ms = (uint64_t)time(NULL) * 1000};
	struct filter filter;
	int r;

	if (filter_parse(argc, argv, &filter, &options))
		return TOOL_USAGE;
	if (query_filter_empty(&filter.query)) {
		fputs("usage: batonctl why " FILTER_USAGE " [--json]\n", stderr);
		return TOOL_USAGE;
	}
	why.json = options.json;
	r = listing_ask(conf, &filter.query, QUERY_WHY, on_row, &why);
	if (fast_flush() && r == TOOL_OK)
		r = TOOL_FAILED;
	return r == TOOL_OK && !why.found ? filter_nothing() : r;
}
