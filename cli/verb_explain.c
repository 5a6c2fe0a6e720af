/* SPDX-License-Identifier: ISC */
/* explain: what would happen now to mail for an address; qmgr knows, this prints. */
#include <ctype.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/style.h"
#include "cli/tool.h"
#include "cli/verbs.h"
#include "lib/explain.h"
#include "lib/json.h"
#include "lib/query.h"

/* usage - of the verb */
static int usage(void)
{
	fputs("usage: batonctl explain " EXPLAIN_USAGE "\n", stderr);
	return TOOL_USAGE;
}

/* print_clean - without what a terminal would obey */
static void print_clean(struct msg_bytes text)
{
	for (uint32_t i = 0; i < text.len; i++)
		putchar(iscntrl((unsigned char)text.data[i]) ? '?' : text.data[i]);
}

/* number_of - a number in decimal */
static uint64_t number_of(struct msg_bytes text)
{
	char digits[24];
	snprintf(digits, sizeof(digits), "%.*s", (int)text.len, text.data);
	return strtoull(digits, NULL, 10);
}

/* print_text - one fact for a person */
static void print_text(const struct explain_row *row)
{
	enum explain_kind kind = explain_kind(row->fact);
	char when[STYLE_TEXT];
	printf("%-28s ", explain_label(row->fact));
	if (kind == EXPLAIN_BOOL)
		fputs(number_of(row->text) ? "yes" : "no", stdout);
	else if (kind == EXPLAIN_TIME)
		fputs(style_when(when, number_of(row->text)), stdout);
	else
		print_clean(row->text);
	putchar('\n');
}

/* print_value - one fact for a program */
static void print_value(const struct explain_row *row)
{
	uint64_t n = number_of(row->text);
	switch (explain_kind(row->fact)) {
	case EXPLAIN_NUMBER:
		printf("%" PRIu64, n);
		break;
	case EXPLAIN_BOOL:
		fputs(n ? "true" : "false", stdout);
		break;
	case EXPLAIN_TIME:
		printf("%" PRIu64 ".%03u", n / 1000, (unsigned)(n % 1000));
		break;
	default:
		json_write(stdout, row->text.data, row->text.len);
	}
}

/* print_fact - all rows of one fact; false: the answer can't be read */
static bool print_fact(struct msg_bytes facts, enum explain_fact fact, bool json)
{
	bool list = explain_kind(fact) == EXPLAIN_LIST;
	struct explain_row row;
	size_t pos = 0, n = 0;
	int r;
	while ((r = explain_next(facts, &pos, &row)) == 1) {
		if (row.fact != fact)
			continue;
		if (!json) {
			print_text(&row);
		} else {
			if (!n)
				printf("%s\"%s\":%s", fact ? "," : "{", explain_name(fact),
				    list ? "[" : "");
			else
				putchar(',');
			print_value(&row);
		}
		n++;
	}
	if (json && list && n)
		putchar(']');
	return r == 0;
}

/* on_explained - the facts come as they were found; they are shown in the table's order */
static void on_explained(struct chan *chan, union msg_any *msg, void *arg)
{
	struct tool *tool = arg;
	const bool *json = tool->arg;
	struct msg_bytes facts = msg->tool_explained.facts;
	(void)chan;
	tool->done = true;
	for (int fact = 0; fact < EXPLAIN_FACTS; fact++)
		if (!print_fact(facts, (enum explain_fact)fact, *json))
			tool->result = TOOL_FAILED;
	if (*json)
		puts("}");
}

/* verb_explain - ADDRESS and options in any order */
int verb_explain(const struct conf *conf, int argc, char **argv)
{
	static const struct chan_handlers handlers = {.on[MSG_tool_explained] = on_explained};
	struct msg_tool_explain ask = {
	    .address = msg_str(""), .sender = msg_str(""), .client = msg_str("")};
	bool json = false;
	for (int i = 0; i < argc; i++) {
		struct msg_bytes *to = strcmp(argv[i], "--sender") == 0   ? &ask.sender
				       : strcmp(argv[i], "--client") == 0 ? &ask.client
									  : NULL;
		if (strcmp(argv[i], "--json") == 0)
			json = true;
		else if (to && i + 1 < argc)
			*to = msg_str(argv[++i]);
		else if (!to && argv[i][0] != '-' && !ask.address.len)
			ask.address = msg_str(argv[i]);
		else
			return usage();
	}
	if (!ask.address.len)
		return usage();
	if (ask.sender.len == 2 && memcmp(ask.sender.data, "<>", 2) == 0)
		ask.sender = msg_str("");
	return tool_request(
	    conf, QUERY_SOCKET, ROLE_QMGR, MSG_tool_explain, &ask, &handlers, &json);
}
