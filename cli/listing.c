/* SPDX-License-Identifier: ISC */
/* Rows go straight to standard output (cli/fast.h); nothing is kept but what closes a message. */
#include "cli/listing.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "cli/fast.h"
#include "cli/tool.h"
#include "lib/qid.h"

struct listing {
	enum listing_form form;
	uint64_t open_id; /* the message whose rows go on; 0: none */
	uint64_t messages, bytes;
	size_t rcpts; /* printed of the open message */
};

/* listing_state - a message is sent, stuck or waiting: the first of these that one of it is */
unsigned listing_state(struct msg_bytes rcpts)
{
	static const uint8_t order[] = {QUERY_ACTIVE, QUERY_POISON, QUERY_DAMAGED, QUERY_HELD,
	    QUERY_BOUNCING, QUERY_PAUSED, QUERY_DEFERRED, QUERY_READY, QUERY_NOTIFYING};
	unsigned seen = 0;
	struct query_rcpt rcpt;
	size_t pos = 0;

	while (query_next_rcpt(rcpts, &pos, &rcpt) == 1)
		seen |= rcpt.state < QUERY_STATES ? 1u << rcpt.state : 0;
	for (size_t i = 0; i < sizeof(order); i++)
		if (seen & 1u << order[i])
			return order[i];
	return QUERY_STATE_NONE;
}

/* -- JSON ---------------------------------------------------------------------------------- */

/* listing_json_rcpt - with a comma between them, none around */
void listing_json_rcpt(const struct query_rcpt *rcpt)
{
	fast_text("\"address\":");
	fast_json(rcpt->address);
	fast_text(",\"state\":\"");
	fast_text(query_state_name(rcpt->state));
	fast_text("\",\"attempts\":");
	fast_u64(rcpt->attempts);
	fast_text(",\"next\":");
	fast_seconds(rcpt->next_ms);
	fast_text(",\"site\":");
	fast_json(rcpt->site);
}

/* json_rcpt - one recipient of the open array */
static void json_rcpt(const struct query_rcpt *rcpt, bool first)
{
	fast_text(first ? "{" : ",{");
	listing_json_rcpt(rcpt);
	fast_text(",\"reason\":");
	fast_json(rcpt->reason);
	fast_char('}');
}

/* json_head - the message up to its array of recipients */
static void json_head(const struct query_row *row)
{
	char id[QID_TEXT_MAX];

	qid_format(id, row->id);
	fast_text("{\"id\":\"");
	fast_text(id);
	fast_text("\",\"arrival\":");
	fast_seconds(row->arrival_ms);
	fast_text(",\"size\":");
	fast_u64(row->size);
	fast_text(",\"sender\":");
	fast_json(row->sender);
	fast_text(",\"class\":");
	fast_json(row->class);
	fast_text(",\"state\":\"");
	fast_text(query_state_name(listing_state(row->rcpts)));
	fast_text("\",\"recipients\":[");
}

/* -- text ---------------------------------------------------------------------------------- */

/* mailq_mark - behind the ID, as Postfix has it: '*' is being sent, '!' waits for a person */
static const char *mailq_mark(unsigned state)
{
	if (state == QUERY_ACTIVE)
		return "*";
	return state == QUERY_HELD || state == QUERY_DAMAGED || state == QUERY_POISON ? "!" : "";
}

/* mailq_head - ID, size, arrival, sender */
static void mailq_head(const struct query_row *row)
{
	time_t arrival = (time_t)(row->arrival_ms / 1000);
	char id[QID_TEXT_MAX], shown[QID_TEXT_MAX + 1], when[32], line[200];
	struct tm tm;

	qid_format(id, row->id);
	snprintf(shown, sizeof(shown), "%s%s", id, mailq_mark(listing_state(row->rcpts)));
	strftime(when, sizeof(when), "%a %b %e %H:%M:%S", localtime_r(&arrival, &tm));
	snprintf(line, sizeof(line), "%-14s %8" PRIu64 " %s  ", shown, row->size, when);
	fast_text(line);
	if (row->sender.len == 0)
		fast_text("MAILER-DAEMON");
	fast_clean(row->sender);
	fast_char('\n');
}

/* mailq_rcpt - the reason in brackets, then the address, as Postfix has it */
static void mailq_rcpt(const struct query_rcpt *rcpt)
{
	static const char blank[] = "                                         ";

	if (rcpt->reason.len > 0) {
		fast_bytes(blank, 17);
		fast_char('(');
		fast_clean(rcpt->reason);
		fast_text(")\n");
	}
	fast_bytes(blank, 41);
	fast_clean(rcpt->address);
	fast_char('\n');
}

/* -- both ---------------------------------------------------------------------------------- */

/* open_message - the first row of a message */
static void open_message(struct listing *l, const struct query_row *row)
{
	if (l->form == LISTING_JSON)
		json_head(row);
	else if (l->messages == 0)
		fast_text("-Queue ID-  --Size-- ----Arrival Time---- -Sender/Recipient-------\n");
	if (l->form == LISTING_MAILQ)
		mailq_head(row);
	l->open_id = row->id;
	l->rcpts = 0;
	l->messages++;
	l->bytes += row->size;
}

/* close_message - its last recipient was printed */
static void close_message(struct listing *l)
{
	fast_text(l->form == LISTING_JSON ? "]}\n" : "\n");
	l->open_id = 0;
}

/* print_row - a message or more of its recipients */
static int print_row(const struct query_row *row, void *arg)
{
	struct listing *l = arg;
	struct query_rcpt rcpt;
	size_t pos = 0;
	int r;

	if (l->open_id != row->id)
		open_message(l, row);
	while ((r = query_next_rcpt(row->rcpts, &pos, &rcpt)) == 1) {
		if (l->form == LISTING_JSON)
			json_rcpt(&rcpt, l->rcpts == 0);
		else
			mailq_rcpt(&rcpt);
		l->rcpts++;
	}
	if (!row->more)
		close_message(l);
	return r;
}

/* closing_lines - Postfix's last line, or its word for an empty queue */
static void closing_lines(const struct listing *l)
{
	char line[80];

	if (l->form != LISTING_MAILQ)
		return;
	snprintf(line, sizeof(line), "-- %" PRIu64 " Kbytes in %" PRIu64 " Request%s.\n",
	    (l->bytes + 1023) / 1024, l->messages, l->messages == 1 ? "" : "s");
	fast_text(l->messages ? line : "Mail queue is empty\n");
}

/* listing_print - ask and print */
int listing_print(const struct conf *conf, const struct query_filter *filter,
    enum listing_form form, uint64_t *found)
{
	struct listing listing = {.form = form};
	int r = listing_ask(conf, filter, QUERY_ROWS, print_row, &listing);

	if (r == TOOL_OK)
		closing_lines(&listing);
	*found = listing.messages;
	if (fast_flush() && r == TOOL_OK)
		r = TOOL_FAILED;
	return r;
}

/* -- asking -------------------------------------------------------------------------------- */

/* Who gets the rows. */
struct asker {
	listing_row_fn *fn;
	void *arg;
};

/* on_rows - one packet of the answer */
static void on_rows(struct chan *chan, union msg_any *msg, void *arg)
{
	struct tool *tool = arg;
	const struct asker *asker = tool->arg;
	struct query_row row;
	size_t pos = 0;
	int r;

	(void)chan;
	while ((r = query_next_row(msg->tool_rows.rows, &pos, &row)) == 1)
		if (asker->fn(&row, asker->arg) < 0)
			r = -1;
	if (r < 0) {
		fputs("qmgr sent rows that cannot be read\n", stderr);
		tool->result = TOOL_FAILED;
	}
	tool->own = msg->tool_rows.own;
	tool->done = msg->tool_rows.last || r < 0;
}

/* listing_ask - the request and its rows */
int listing_ask(const struct conf *conf, const struct query_filter *filter,
    enum query_detail detail, listing_row_fn *fn, void *arg)
{
	static const struct chan_handlers handlers = {.on[MSG_tool_rows] = on_rows};
	unsigned char encoded[QUERY_FILTER_MAX];
	struct asker asker = {.fn = fn, .arg = arg};
	struct msg_tool_list ask = {.detail = (uint8_t)detail};
	struct tool tool;
	int n = query_filter_put(filter, encoded, sizeof(encoded)), r;

	if (n < 0) {
		fputs("the filter is too long\n", stderr);
		return TOOL_USAGE;
	}
	ask.filter = msg_bytes(encoded, (size_t)n);
	r = tool_open(&tool, conf, QUERY_SOCKET, ROLE_QMGR);
	if (r)
		return r;
	tool.arg = &asker;
	r = tool_ask(&tool, MSG_tool_list, &ask, &handlers);
	tool_say_own(&tool);
	tool_close(&tool);
	return r;
}
