/* SPDX-License-Identifier: ISC */
/*
 * Lines are written straight to stdout around json_escape(): at a million rows a tree of values
 * would cost more than the listing. stdout is fully buffered by the tools' mains.
 */
#include "cli/listing.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "cli/tool.h"
#include "lib/json.h"
#include "lib/qid.h"

struct listing {
	enum listing_form form;
	uint64_t open_id; /* the message whose rows go on; 0: none */
	uint64_t messages, bytes;
	size_t rcpts; /* printed of the open message */
};

/* -- JSON ---------------------------------------------------------------------------------- */

/* json_text - "key":"value" */
static void json_text(const char *key, struct msg_bytes value)
{
	printf("\"%s\":", key);
	json_write(stdout, value.data ? value.data : "", value.len);
}

/* worst_state - what the message as a whole is said to be */
static const char *worst_state(const struct query_row *row)
{
	unsigned state = QUERY_STATE_NONE;
	struct query_rcpt rcpt;
	size_t pos = 0;

	while (query_next_rcpt(row->rcpts, &pos, &rcpt) == 1)
		if (rcpt.state > state)
			state = rcpt.state;
	return query_state_name(state);
}

/* json_rcpt - one recipient of the open array */
static void json_rcpt(const struct query_rcpt *rcpt, bool first)
{
	printf(first ? "{" : ",{");
	json_text("address", rcpt->address);
	printf(",\"state\":\"%s\",\"attempts\":%u,\"next\":%" PRIu64 ".%03u,",
	    query_state_name(rcpt->state), rcpt->attempts, rcpt->next_ms / 1000,
	    (unsigned)(rcpt->next_ms % 1000));
	json_text("site", rcpt->site);
	putchar(',');
	json_text("reason", rcpt->reason);
	putchar('}');
}

/* json_head - the message up to its array of recipients */
static void json_head(const struct query_row *row)
{
	char id[QID_TEXT_MAX];

	qid_format(id, row->id);
	printf("{\"id\":\"%s\",\"arrival\":%" PRIu64 ".%03u,\"size\":%" PRIu64 ",", id,
	    row->arrival_ms / 1000, (unsigned)(row->arrival_ms % 1000), row->size);
	json_text("sender", row->sender);
	printf(",\"class\":\"normal\",\"state\":\"%s\",\"recipients\":[", worst_state(row));
}

/* -- text ---------------------------------------------------------------------------------- */

/* clean - peers' words and addresses without anything a terminal would obey */
static void clean(const char *data, size_t len)
{
	for (size_t i = 0; i < len; i++)
		putchar((unsigned char)data[i] < 0x20 || data[i] == 0x7f ? '?' : data[i]);
}

/* mailq_head - ID, size, arrival, sender; '*' behind the ID of a message that is being sent */
static void mailq_head(const struct query_row *row)
{
	time_t arrival = (time_t)(row->arrival_ms / 1000);
	bool active = strcmp(worst_state(row), query_state_name(QUERY_ACTIVE)) == 0;
	char id[QID_TEXT_MAX], shown[QID_TEXT_MAX + 1], when[32];
	struct tm tm;

	qid_format(id, row->id);
	snprintf(shown, sizeof(shown), "%s%s", id, active ? "*" : "");
	strftime(when, sizeof(when), "%a %b %e %H:%M:%S", localtime_r(&arrival, &tm));
	printf("%-14s %8" PRIu64 " %s  ", shown, row->size, when);
	if (row->sender.len == 0)
		fputs("MAILER-DAEMON", stdout);
	clean(row->sender.data, row->sender.len);
	putchar('\n');
}

/* mailq_rcpt - the reason in brackets, then the address, as Postfix has it */
static void mailq_rcpt(const struct query_rcpt *rcpt)
{
	if (rcpt->reason.len > 0) {
		printf("%*s(", 17, "");
		clean(rcpt->reason.data, rcpt->reason.len);
		puts(")");
	}
	printf("%*s", 41, "");
	clean(rcpt->address.data, rcpt->address.len);
	putchar('\n');
}

/* -- both ---------------------------------------------------------------------------------- */

/* open_message - the first row of a message */
static void open_message(struct listing *l, const struct query_row *row)
{
	if (l->form == LISTING_JSON)
		json_head(row);
	else if (l->messages == 0)
		puts("-Queue ID-  --Size-- ----Arrival Time---- -Sender/Recipient-------");
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
	puts(l->form == LISTING_JSON ? "]}" : "");
	l->open_id = 0;
}

/* print_row - a message or more of its recipients */
static int print_row(struct listing *l, const struct query_row *row)
{
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

/* on_rows - one packet of the answer */
static void on_rows(struct chan *chan, union msg_any *msg, void *arg)
{
	struct tool *tool = arg;
	struct listing *l = tool->arg;
	struct query_row row;
	size_t pos = 0;
	int r;

	(void)chan;
	while ((r = query_next_row(msg->tool_rows.rows, &pos, &row)) == 1)
		if (print_row(l, &row) < 0)
			r = -1;
	if (r < 0) {
		fputs("qmgr sent rows that cannot be read\n", stderr);
		tool->result = TOOL_FAILED;
	}
	tool->done = msg->tool_rows.last || r < 0;
}

/* closing_lines - Postfix's last line, or its word for an empty queue */
static void closing_lines(const struct listing *l)
{
	if (l->form != LISTING_MAILQ)
		return;
	if (l->messages == 0)
		puts("Mail queue is empty");
	else
		printf("-- %" PRIu64 " Kbytes in %" PRIu64 " Request%s.\n",
		    (l->bytes + 1023) / 1024, l->messages, l->messages == 1 ? "" : "s");
}

/* listing_print - ask and print */
int listing_print(
    const struct conf *conf, const struct query_filter *filter, enum listing_form form)
{
	static const struct chan_handlers handlers = {.on[MSG_tool_rows] = on_rows};
	unsigned char encoded[QUERY_FILTER_MAX];
	struct listing listing = {.form = form};
	struct msg_tool_list ask = {.detail = QUERY_ROWS};
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
	tool.arg = &listing;
	r = tool_ask(&tool, MSG_tool_list, &ask, &handlers);
	tool_close(&tool);
	if (r == TOOL_OK)
		closing_lines(&listing);
	return r;
}
